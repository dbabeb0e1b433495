"""Figure 2, Rules for Servers, candidates: C-1 to C-4."""

from tests.support.raft_server import append_entries, server, success

from oarlock.raft.messages import PreVoteReply, RequestVote, RequestVoteReply
from oarlock.raft.types import Configuration, HardState


def candidate_of(voters=(1, 2, 3), **state: object):
    """A candidate, without a pre-vote before, and the requests it sent."""
    candidate = server(voters, pre_vote=False, **state)
    return candidate, candidate.time_out()


def vote(candidate, voter: int, *, granted: bool = True) -> RequestVoteReply:
    """An answer to the campaign under way."""
    state = candidate.state
    return RequestVoteReply(voter, state.current_term, state.candidate.request_id, granted)


def test_a_campaign() -> None:
    """C-1, C-1a, C-1b, C-1c, C-1d, K5: term + 1, a vote for itself, a new wait, RequestVote to all others, as one."""
    candidate = server([1, 2, 3, 4, 5], term=4, vote=3, log=[2, 4], pre_vote=False)
    before = candidate.facts()
    now = candidate.raft.election_deadline()
    request_id = candidate.state.request_counter + 1
    assert candidate.tick(now) == [(peer, RequestVote(1, 5, request_id, 2, 4)) for peer in (2, 3, 4, 5)]
    assert candidate.changes(before) == {"current_term": 5, "voted_for": 1, "role": "candidate"}
    assert candidate.disk.hard_state == HardState(5, 1)
    assert now + 1 <= candidate.raft.election_deadline() < now + 2
    assert {"C-1", "C-1a", "C-1b", "C-1c", "C-1d"} <= candidate.rules()
    assert not {"C-2", "C-4", "PV-1"} & candidate.rules()


def test_learners_are_asked_but_do_not_count() -> None:
    """C-2, C-1d: learners and strangers may answer, but only voters' votes make a majority."""
    configuration = Configuration(voters=frozenset({1, 2, 3}), learners=frozenset({4}))
    candidate, requests = candidate_of(configuration=configuration)
    assert [to for to, _ in requests] == [2, 3, 4]
    for voter in (4, 9):
        candidate.step(vote(candidate, voter))
    assert candidate.state.role.value == "candidate"


def test_a_majority_leads() -> None:
    """C-2: two of five are not enough, three are; the same voter counts once."""
    candidate, _ = candidate_of([1, 2, 3, 4, 5])
    for _ in range(2):
        assert candidate.step(vote(candidate, 2)) == []
    candidate.step(vote(candidate, 3, granted=False))
    assert candidate.state.role.value == "candidate"
    assert "C-2" not in candidate.rules()
    candidate.step(vote(candidate, 4))
    assert (candidate.state.role.value, candidate.state.leader_id) == ("leader", 1)
    assert "C-2" in candidate.rules()


def test_one_voter_alone_leads_at_once() -> None:
    """C-2: a majority of one is the candidate itself; with no one to wait for it does not wait."""
    alone = server([1])
    assert alone.raft.election_deadline() == 0.0
    alone.time_out()
    assert alone.state.role.value == "leader"


def test_a_majority_of_refusals_ends_the_campaign() -> None:
    """C-2, F-2: who cannot win any more follows; its timer goes on, and it tries again."""
    candidate, _ = candidate_of()
    deadline = candidate.raft.election_deadline()
    candidate.step(vote(candidate, 2, granted=False))
    assert candidate.state.role.value == "candidate"
    candidate.step(vote(candidate, 3, granted=False))
    assert candidate.state.role.value == "follower"
    assert candidate.raft.election_deadline() == deadline
    candidate.step(vote_of_the_past(candidate))
    assert candidate.state.role.value == "follower"


def vote_of_the_past(candidate) -> RequestVoteReply:
    """A grant to the campaign that has ended."""
    return RequestVoteReply(2, candidate.state.current_term, candidate.state.request_counter, vote_granted=True)


def test_the_first_answer_stands() -> None:
    """C-2: a duplicated request's second answer does not change what the voter said first."""
    candidate, _ = candidate_of()
    candidate.step(vote(candidate, 2, granted=False))
    candidate.step(vote(candidate, 2))
    assert candidate.state.role.value == "candidate"


def test_votes_of_an_earlier_campaign_do_not_count() -> None:
    """C-2, RS-1, G18, K6: a vote for term 1 that arrives in term 2 is no vote for term 2."""
    candidate, requests = candidate_of()
    late = vote(candidate, 2)
    candidate.time_out()
    assert requests[0][1].term < candidate.state.current_term
    before = candidate.facts()
    candidate.forget_rules()
    candidate.step(late)
    candidate.step(RequestVoteReply(2, 2, late.request_id, vote_granted=True))
    assert candidate.changes(before) == {}
    assert candidate.rules() == {"RS-1"}


def test_a_candidate_follows_its_terms_leader() -> None:
    """C-3: AppendEntries of the same term shows that another has won."""
    candidate, _ = candidate_of()
    before = candidate.facts()
    assert candidate.step(append_entries(1, (0, 0), [1])) == [success(1, 1)]
    assert candidate.changes(before) == {"role": "follower", "leader_id": 2, "log": [(1, 1)]}
    assert "C-3" in candidate.rules()


def test_a_pre_candidate_follows_too() -> None:
    """C-3, PV-1: who only asked goes back to its leader."""
    asking = server(term=1)
    asking.time_out()
    assert asking.state.role.value == "pre_candidate"
    asking.step(append_entries(1))
    assert (asking.state.role.value, asking.state.leader_id) == ("follower", 2)


def test_an_older_terms_leader_is_not_followed() -> None:
    """C-3, AE-1: a candidate has left that term."""
    candidate, _ = candidate_of(term=1)
    before = candidate.facts()
    candidate.step(append_entries(1))
    assert candidate.changes(before) == {}
    assert "C-3" not in candidate.rules()


def test_an_election_without_result_is_followed_by_another() -> None:
    """C-4, G3: no replies at all; the next timeout starts a new election, in a new term, with new requests."""
    candidate, first = candidate_of()
    second = candidate.time_out()
    assert "C-4" in candidate.rules()
    assert candidate.facts()["current_term"] == 2
    assert [message.term for _, message in second] == [2, 2]
    assert second[0][1].request_id > first[0][1].request_id
    assert candidate.disk.hard_state == HardState(2, 1)


def test_with_pre_vote_the_question_is_asked_again() -> None:
    """C-4, PV-1: a candidate without result asks first whether another election could be won."""
    candidate = server()
    (_, question), _ = candidate.time_out()
    candidate.step(PreVoteReply(2, question.term, question.request_id, vote_granted=True))
    assert candidate.state.role.value == "candidate"
    assert [type(message).__name__ for _, message in candidate.time_out()] == ["PreVote", "PreVote"]
    assert "C-4" in candidate.rules()
    assert candidate.facts()["current_term"] == 1
