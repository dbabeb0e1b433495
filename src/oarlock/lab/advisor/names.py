"""Which attributes hold a Raft's term, role and vote: told by their names, as people write them."""

from enum import Enum
from functools import lru_cache
from typing import Final

TERM: Final = frozenset({"term", "currentterm", "curterm", "currterm"})
ROLE: Final = frozenset(
    {"role", "state", "status", "raftstate", "isleader", "currentrole", "currentstate", "serverstate"}
)
VOTE: Final = frozenset({"votedfor", "vote", "votefor"})
COMMIT: Final = frozenset({"commitindex", "committed", "committedindex", "commit"})
APPLIED: Final = frozenset({"lastapplied", "applied", "appliedindex"})
CLOCKS: Final = ("time", "heard", "contact", "deadline", "reset", "tick", "beat", "last_seen", "stamp", "expire")
"""Parts of names of attributes that hold moments: to write those anew needs no look at the old one."""


@lru_cache(maxsize=10_000)
def plain(attribute: str) -> str:
    """A name in small letters, without underscores."""
    return attribute.replace("_", "").lower()


def is_known(attribute: str) -> bool:
    """Whether an attribute has any of these names."""
    return plain(attribute) in TERM | ROLE | VOTE | COMMIT | APPLIED


def is_term(attribute: str) -> bool:
    """Whether an attribute holds the current term."""
    return plain(attribute) in TERM


def is_role(attribute: str, value: object) -> bool:
    """Whether an attribute holds the role; one of that name that holds a structure does not."""
    return plain(attribute) in ROLE and isinstance(value, str | int | Enum)


def is_vote(attribute: str) -> bool:
    """Whether an attribute holds whom the server voted for."""
    return plain(attribute) in VOTE


def is_commit(attribute: str) -> bool:
    """Whether an attribute holds the commit index."""
    return plain(attribute) in COMMIT


def is_applied(attribute: str) -> bool:
    """Whether an attribute holds the index of what was applied last."""
    return plain(attribute) in APPLIED


def is_moment(attribute: str, value: object) -> bool:
    """Whether an attribute holds a time: any number with a fraction, or one of such a name."""
    return isinstance(value, float) or any(part in attribute.lower() for part in CLOCKS)


def has_role_or_vote(owner: object) -> bool:
    """Whether an object has attributes for the role or the vote as well: so it is no entry, and no message."""
    return any(is_vote(name) or plain(name) in ROLE for name in _attributes(owner))


def term_in(message: object) -> int | None:
    """The term in an RPC's arguments or reply."""
    items = message.items() if isinstance(message, dict) else _fields(message)
    for name, value in items:
        if isinstance(name, str) and is_term(name) and isinstance(value, int):
            return value
    return None


def _fields(message: object) -> list[tuple[str, object]]:
    return [(name, getattr(message, name)) for name in _attributes(message) if hasattr(message, name)]


def _attributes(owner: object) -> list[str]:
    names = [*getattr(owner, "__dict__", ()), *getattr(type(owner), "__struct_fields__", ())]
    slots = getattr(type(owner), "__slots__", ())
    return names + ([slots] if isinstance(slots, str) else list(slots))
