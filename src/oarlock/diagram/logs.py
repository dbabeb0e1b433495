"""Questions to a server's log and configuration, as traces hold them."""

from collections.abc import Collection

from oarlock.trace.schema import ConfigurationView, ServerState


def last_index(state: ServerState) -> int:
    """Where the log ends."""
    return state.log[-1][1] if state.log else state.base[0]


def last_term(state: ServerState) -> int:
    """The term of the last entry; that of the snapshot if there is none after it."""
    return state.log[-1][2] if state.log else state.base[1]


def term_at(state: ServerState, index: int) -> int | None:
    """The term of an entry, or of the log's base; None if the log does not hold it."""
    if index == state.base[0]:
        return state.base[1]
    return next((term for first, last, term in state.log if first <= index <= last), None)


def majorities(conf: ConfigurationView, servers: Collection[str]) -> bool:
    """Whether servers are a majority; while joint, of both halves."""
    return all(sum(voter in servers for voter in half) * 2 > len(half) for half in (conf.voters, conf.outgoing) if half)


def in_words(term: int | None) -> str:
    """What a log holds at an index."""
    return "nothing" if term is None else f"an entry of term {term}"
