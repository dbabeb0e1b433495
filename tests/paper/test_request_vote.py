"""Figure 2, RequestVote RPC, the receiver: RV-1 and RV-2, each by its whole reply and state."""

import pytest
from tests.support.raft_server import server

from oarlock.raft.messages import RequestVote, RequestVoteReply
from oarlock.raft.types import HardState


def vote_reply(term: int, granted: bool, to: int = 2, request_id: int = 7):
    """What server 1 answers."""
    return to, RequestVoteReply(1, term, request_id, granted)


def test_an_older_term_is_refused() -> None:
    """RV-1: a candidate of an older term gets no vote, but the newer term."""
    voter = server(term=5, log=[1])
    before = voter.facts()
    assert voter.step(RequestVote(2, 4, 7, 9, 4)) == [vote_reply(5, False)]
    assert voter.changes(before) == {}
    assert "RV-1" in voter.rules()
    assert not {"RV-2", "F-1"} & voter.rules()


def test_a_vote_is_granted_and_durable() -> None:
    """RV-2, F-1: with no vote given and an up-to-date log the vote is granted, recorded, and on disk."""
    voter = server(term=5, log=[1])
    before = voter.facts()
    assert voter.step(RequestVote(2, 5, 7, 1, 1)) == [vote_reply(5, True)]
    assert voter.changes(before) == {"voted_for": 2}
    assert voter.disk.hard_state == HardState(5, 2)
    assert {"RV-2", "F-1"} <= voter.rules()
    assert "RV-1" not in voter.rules()


def test_a_term_has_one_vote() -> None:
    """RV-2, B1: who voted for another refuses, also after a restart; the same candidate may ask again."""
    voter = server(term=5)
    voter.step(RequestVote(2, 5, 7, 1, 1))
    for _ in range(2):
        assert voter.step(RequestVote(3, 5, 8, 9, 5)) == [vote_reply(5, False, to=3, request_id=8)]
        assert voter.step(RequestVote(2, 5, 9, 1, 1)) == [vote_reply(5, True, request_id=9)]
        voter.start(0.0)


def test_a_newer_term_has_a_new_vote() -> None:
    """RV-2, ALL-2: a vote in one term says nothing of the next."""
    voter = server(term=5, vote=3)
    before = voter.facts()
    assert voter.step(RequestVote(2, 6, 7, 1, 1)) == [vote_reply(6, True)]
    assert voter.changes(before) == {"current_term": 6, "voted_for": 2}


@pytest.mark.parametrize(
    ("log", "last", "granted"),
    [
        ([1, 1], (2, 1), True),
        ([1, 1], (3, 1), True),
        ([1, 1], (1, 2), True),
        ([1, 1, 1], (2, 1), False),
        ([2], (5, 1), False),
        ([1, 2], (2, 2), True),
        ([], (0, 0), True),
        ([1], (0, 0), False),
    ],
    ids=["equal", "longer", "newer term, shorter", "shorter", "longer, older term", "equal later", "empty", "behind"],
)
def test_only_an_up_to_date_log_gets_a_vote(log: list[int], last: tuple[int, int], granted: bool) -> None:
    """RV-2, G11: the last entry's term decides, and only between equal terms the length."""
    voter = server(term=5, log=log)
    before = voter.facts()
    assert voter.step(RequestVote(2, 5, 7, *last)) == [vote_reply(5, granted)]
    assert voter.changes(before) == ({"voted_for": 2} if granted else {})


@pytest.mark.parametrize(("last", "granted"), [((4, 2), True), ((5, 1), False), ((3, 2), False), ((4, 3), True)])
def test_an_empty_log_above_its_base_is_compared_by_the_base(last: tuple[int, int], granted: bool) -> None:
    """RV-2, B7: with nothing held above the snapshot, the snapshot's index and term are the last entry's."""
    voter = server(term=5, base=(4, 2))
    assert voter.step(RequestVote(2, 5, 7, *last)) == [vote_reply(5, granted)]


def test_a_refused_candidate_still_brings_its_term() -> None:
    """RV-2, ALL-2, G4: the term is adopted first; the refusal names it, and the old term's vote is gone."""
    voter = server(term=3, vote=3, log=[3])
    before = voter.facts()
    assert voter.step(RequestVote(2, 4, 7, 5, 2)) == [vote_reply(4, False)]
    assert voter.changes(before) == {"current_term": 4, "voted_for": None}
    assert voter.disk.hard_state == HardState(4, None)


def test_leaders_and_candidates_refuse_their_own_term() -> None:
    """RV-2: who stands for election itself has given its vote."""
    candidate = server(term=1, pre_vote=False)
    candidate.time_out()
    assert candidate.step(RequestVote(2, 2, 7, 9, 1)) == [vote_reply(2, False)]
