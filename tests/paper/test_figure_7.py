"""Figure 7: when the leader at the top comes to power, any of (a) to (f) may be followers; all come to agree with it."""

import pytest
from tests.support.raft_server import Server, leader, log_of, server

from oarlock.raft.types import EntryKind

LEADER = [1, 1, 1, 4, 4, 5, 5, 6, 6, 6]
FOLLOWERS = {
    "a": [1, 1, 1, 4, 4, 5, 5, 6, 6],
    "b": [1, 1, 1, 4],
    "c": [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6],
    "d": [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7],
    "e": [1, 1, 1, 4, 4, 4, 4],
    "f": [1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3],
}
IDS = {name: server_id for server_id, name in enumerate(FOLLOWERS, 2)}
REFUSALS = {"a": 1, "b": 1, "c": 0, "d": 0, "e": 2, "f": 2}
"""How often each refuses before the logs agree: whole terms are skipped."""


def figure() -> tuple[Server, dict[str, Server]]:
    """The leader of term 8, just elected, and the six that may follow it."""
    top = leader(range(1, 8), log=LEADER, term=7)
    followers = {name: server(range(1, 8), server_id=IDS[name], term=7, log=terms) for name, terms in FOLLOWERS.items()}
    return top, followers


def exchange(top: Server, follower: Server, sent: list) -> int:
    """Carry messages between the two until both are silent; gives the number of refusals."""
    refusals = 0
    while sent:
        replies = [reply for to, message in sent if to == follower.id for _, reply in follower.step(message)]
        refusals += sum(not reply.success for reply in replies)
        sent = [outgoing for reply in replies for outgoing in top.step(reply)]
    return refusals


@pytest.mark.parametrize("name", FOLLOWERS)
def test_a_follower_comes_to_agree(name: str) -> None:
    """AE-2, AE-3, AE-4, L-3, L-3b, BT-2: missing entries come, extraneous ones go, in a bounded number of steps."""
    top, followers = figure()
    follower = followers[name]
    refusals = exchange(top, follower, top.beat())
    held = follower.state.log.slice(1, follower.state.log.last_index)
    assert held == top.state.log.slice(1, 11)
    assert held[:10] == log_of(*LEADER)
    assert (held[10].term, held[10].kind) == (8, EntryKind.NOOP)
    assert follower.disk.entries == held
    assert refusals == REFUSALS[name]
    assert ("AE-3" in follower.rules()) is (name in "cdef")
    assert top.facts()["match_index"][follower.id] == 11


@pytest.mark.parametrize("first", FOLLOWERS)
def test_a_majority_commits_the_term(first: str) -> None:
    """L-4, SP-4: with its no-op on four of seven, in any order, the leader commits everything beneath it."""
    top, followers = figure()
    names = sorted(FOLLOWERS)
    names = names[names.index(first) :] + names[: names.index(first)]
    for count, name in enumerate(names, 1):
        exchange(top, followers[name], top.beat())
        assert top.state.commit_index == (11 if count >= 3 else 0)
    for name in names:
        exchange(top, followers[name], top.beat())
    assert {tuple(one.machine) for one in (top, *followers.values())} == {tuple(top.machine)}
    assert len(top.machine) == 11


def test_who_could_be_elected() -> None:
    """RV-2, SP-4: of the seven, the leader gets the votes of (a), (b), (e) and (f), and needs no more; (c), (d) refuse."""
    granted = {}
    candidate = server(range(1, 8), log=LEADER, term=7, pre_vote=False)
    for to, request in candidate.time_out():
        name = next(name for name in IDS if IDS[name] == to)
        voter = server(range(1, 8), server_id=to, term=7, log=FOLLOWERS[name])
        ((_, reply),) = voter.step(request)
        granted[name] = reply.vote_granted
    assert granted == {"a": True, "b": True, "c": False, "d": False, "e": True, "f": True}
