"""Linearizable reads by the read index (dissertation, section 6.4): CL-Q1 to CL-Q5, RI-1, RI-2, FC-4."""

import pytest
from tests.support.raft_server import accepted, append_entries, grant_votes, leader, refused, server

from oarlock.raft.messages import AppendEntries, AppendEntriesReply, ReadIndex, ReadIndexReply
from oarlock.raft.ready import ReadState


def settled_leader(voters=(1, 2, 3), **state: object):
    """A leader that has committed its no-op at index 1."""
    sender = leader(voters, **state)
    for peer in sorted(set(voters) - {1}):
        sender.step(accepted(sender, peer, 1))
    assert sender.state.commit_index == 1
    sender.beat()
    sender.forget_rules()
    return sender


def read(reader, context: int = 1):
    """Ask for a read index; gives what was sent."""
    reader.raft.read_index(context, reader.state.now)
    return reader.settle()


# -- who answers -------------------------------------------------------------------------------------------------


def test_a_server_without_a_leader_refuses() -> None:
    """CL-Q1: with nobody to ask, the read is refused at once."""
    follower = server(term=1)
    assert read(follower) == []
    assert follower.reads == [ReadState(1, None)]
    assert "CL-Q1" in follower.rules()
    assert "RI-1" not in follower.rules()


def test_a_follower_forwards_to_its_leader() -> None:
    """CL-Q1, RI-1: the read goes to the leader under the follower's own context, and waits."""
    follower = server(term=1)
    follower.step(append_entries(1))
    request_id = follower.state.request_counter + 1
    assert read(follower, 5) == [(2, ReadIndex(1, 1, request_id, 5))]
    assert follower.reads == []
    assert {"CL-Q1", "RI-1"} <= follower.rules()
    follower.step(ReadIndexReply(2, 1, request_id, 5, 0))
    assert follower.reads == [ReadState(5, None)]


def test_a_forwarded_read_is_answered_to_its_asker() -> None:
    """RI-1, CL-Q3, CL-Q4: the leader reads for the follower as for itself, and repeats context and request id."""
    sender = settled_leader()
    sent = sender.step(ReadIndex(3, 1, 77, 5))
    assert [type(message) for _, message in sent] == [AppendEntries, AppendEntries]
    assert sender.step(accepted(sender, 2, 1)) == [(3, ReadIndexReply(1, 1, 77, 5, 1))]
    assert sender.reads == []


@pytest.mark.parametrize("role", ["follower", "leader of a newer term"])
def test_a_forwarded_read_is_refused_by_who_does_not_lead(role: str) -> None:
    """CL-Q1: who does not lead, or leads in a newer term than the asker knows, answers 0."""
    asked = server(term=2) if role == "follower" else settled_leader(term=1)
    assert asked.step(ReadIndex(3, 2 if role == "follower" else 1, 77, 5)) == [(3, ReadIndexReply(1, 2, 77, 5, 0))]
    assert "CL-Q1" in asked.rules()
    assert "CL-Q3" not in asked.rules()


def test_a_leader_answers_itself() -> None:
    """CL-Q1: a leader's own read is not refused and goes to nobody else."""
    sender = settled_leader()
    assert [type(message) for _, message in read(sender)] == [AppendEntries, AppendEntries]
    assert not {"CL-Q1", "RI-1"} & sender.rules()


# -- the leader's part -------------------------------------------------------------------------------------------


def test_reads_wait_for_a_commit_of_the_own_term() -> None:
    """CL-Q2 (etcd issue 7331): before that the commit index may lag behind what an earlier leader acknowledged."""
    sender = leader(log=[1, 1], term=1, applied=1)
    read(sender)
    sender.step(accepted(sender, 2, 2))
    sender.step(accepted(sender, 3, 2))
    assert sender.reads == []
    assert "CL-Q2" in sender.rules()
    assert "CL-Q3" not in sender.rules()
    sender.step(accepted(sender, 2, 3))
    assert sender.state.commit_index == 3
    assert sender.reads == []
    sender.step(accepted(sender, 2, 3))
    assert sender.reads == [ReadState(1, 3)]


def test_the_read_index_is_the_commit_index_on_arrival() -> None:
    """CL-Q3, CL-Q2: what commits later need not be waited for."""
    sender = settled_leader()
    read(sender)
    assert ("CL-Q3", (1,)) in sender.fired
    sender.propose(b"x")
    sender.step(accepted(sender, 2, 2))
    assert sender.state.commit_index == 2
    assert sender.reads == [ReadState(1, 1)]
    assert "CL-Q2" not in sender.rules()


def test_a_round_of_heartbeats_confirms() -> None:
    """CL-Q4, G24: heartbeats leave with the read; a majority's answers to them, in any order, let it go."""
    sender = settled_leader([1, 2, 3, 4, 5])
    sent = read(sender)
    assert {to for to, message in sent if isinstance(message, AppendEntries)} == {2, 3, 4, 5}
    newest = sender.state.request_counter
    sender.step(AppendEntriesReply(2, 1, newest - 3, success=True, match_index=1))
    sender.step(AppendEntriesReply(2, 1, newest, success=True, match_index=1))
    assert sender.reads == []
    assert "CL-Q4" not in sender.rules()
    sender.step(AppendEntriesReply(4, 1, newest, success=True, match_index=1))
    assert sender.reads == [ReadState(1, 1)]
    assert "CL-Q4" in sender.rules()


def test_a_refusal_in_the_same_term_confirms_too() -> None:
    """CL-Q4: a follower whose log does not match follows all the same."""
    sender = settled_leader()
    read(sender)
    sender.step(refused(sender, 2, 1, 0, 1))
    assert sender.reads == [ReadState(1, 1)]


def test_answers_to_earlier_requests_confirm_nothing() -> None:
    """RI-2, CL-Q4, RS-1: an answer to what was sent before the read began says nothing of the time after."""
    sender = settled_leader()
    before = accepted(sender, 2, 1)
    read(sender)
    sender.step(before)
    assert sender.reads == []
    sender.step(AppendEntriesReply(2, 1, sender.state.request_counter + 1, success=True, match_index=1))
    assert sender.reads == []
    sender.step(accepted(sender, 2, 1))
    assert sender.reads == [ReadState(1, 1)]


def test_a_retried_read_is_a_new_one() -> None:
    """RI-2 (etcd issue 20418, etcd-io/raft issue 397): late answers to a first attempt do not confirm the second."""
    sender = settled_leader()
    read(sender, 1)
    first = accepted(sender, 2, 1)
    late = accepted(sender, 3, 1)
    sender.step(first)
    assert sender.reads == [ReadState(1, 1)]
    read(sender, 2)
    for answer in (first, late):
        sender.step(answer)
    assert sender.reads == [ReadState(1, 1)]
    assert len([operands for rule, operands in sender.fired if rule == "RI-2"]) == 2


def test_answers_across_a_deposition_confirm_nothing() -> None:
    """RI-2, RS-1: deposed and elected again, a leader does not take answers to its earlier term for new ones."""
    sender = settled_leader(pre_vote=False)
    read(sender, 1)
    late = accepted(sender, 2, 1)
    sender.step(append_entries(2, (1, 1), [2], source=3))
    assert sender.reads == [ReadState(1, None)]
    grant_votes(sender, sender.time_out())
    sender.step(accepted(sender, 3, 3))
    assert sender.state.commit_index == 3
    read(sender, 2)
    sender.step(late)
    sender.step(AppendEntriesReply(2, sender.state.current_term, late.request_id, success=True, match_index=1))
    assert sender.reads == [ReadState(1, None)]


def test_an_isolated_leader_answers_no_read() -> None:
    """CL-Q4, G24: without answers nothing is confirmed; stepping down refuses what waits, a follower's read too."""
    sender = settled_leader()
    read(sender, 1)
    sender.step(ReadIndex(3, 1, 77, 5))
    sender.tick(sender.state.now + 0.5)
    assert sender.reads == []
    assert sender.step(append_entries(2, (9, 9), source=2))[-1] != ()
    assert sender.reads == [ReadState(1, None)]


def test_a_deposed_leader_refuses_what_it_was_asked() -> None:
    """CL-Q4: the follower that asked hears that it must ask again, in the new term."""
    sender = settled_leader()
    sender.step(ReadIndex(3, 1, 77, 5))
    assert (3, ReadIndexReply(1, 2, 77, 5, 0)) in sender.step(append_entries(2, (9, 9)))


def test_reads_before_the_commit_are_refused_on_deposition_too() -> None:
    """CL-Q2: what still waits for the term's first commit is not forgotten when the leader is deposed."""
    sender = leader()
    read(sender, 1)
    sender.step(append_entries(2))
    assert sender.reads == [ReadState(1, None)]


def test_many_reads_share_a_round() -> None:
    """CL-Q4: reads of one turn cost one heartbeat for each follower; one answer confirms all."""
    sender = settled_leader()
    for context in range(10):
        sender.raft.read_index(context, sender.state.now)
    assert len(sender.settle()) == 2
    sender.step(accepted(sender, 2, 1))
    assert sender.reads == [ReadState(context, 1) for context in range(10)]


def test_one_voter_alone_confirms_itself() -> None:
    """CL-Q4: a majority of one is at hand; learners do not count."""
    alone = leader([1])
    alone.settle()
    read(alone)
    assert alone.reads == [ReadState(1, 1)]


# -- the reader's part -------------------------------------------------------------------------------------------


def test_a_read_waits_for_the_state_machine() -> None:
    """CL-Q5: the answer comes when last_applied reaches the read index, not before."""
    follower = server(term=1, asynchronous=True)
    follower.step(append_entries(1, (0, 0), [1, 1], commit=1))
    follower.raft.read_index(5, 0.0)
    follower.settle()
    follower.forget_rules()
    reply = ReadIndexReply(2, 1, follower.state.request_counter, 5, 2)
    follower.step(reply)
    assert follower.reads == []
    assert "CL-Q5" not in follower.rules()
    follower.raft.step(append_entries(1, (2, 1), commit=2), 0.0)
    follower.run()
    assert follower.reads == []
    follower.apply_next()
    follower.run()
    assert follower.reads == [ReadState(5, 2)]
    assert "CL-Q5" in follower.rules()


def test_a_confirmed_read_survives_a_new_term() -> None:
    """CL-Q5: once confirmed, the index stays good, whoever leads when it is reached."""
    follower = server(term=1)
    follower.step(append_entries(1, (0, 0), [1]))
    read(follower, 5)
    follower.step(ReadIndexReply(2, 1, follower.state.request_counter, 5, 1))
    follower.step(append_entries(2, (1, 1), source=3))
    assert follower.reads == []
    follower.step(append_entries(2, (1, 1), source=3, commit=1))
    assert follower.reads == [ReadState(5, 1)]


def test_only_the_very_answer_counts() -> None:
    """RI-1, RS-1: an answer to another request, or a second one, is dropped."""
    follower = server(term=1, log=[1], applied=1)
    follower.step(append_entries(1))
    read(follower, 5)
    request_id = follower.state.request_counter
    follower.forget_rules()
    follower.step(ReadIndexReply(2, 1, request_id - 1, 5, 1))
    follower.step(ReadIndexReply(2, 1, request_id, 6, 1))
    assert follower.reads == []
    assert follower.rules() == {"RS-1"}
    for _ in range(2):
        follower.step(ReadIndexReply(2, 1, request_id, 5, 1))
    assert follower.reads == [ReadState(5, 1)]


def test_a_lost_leader_ends_what_was_forwarded() -> None:
    """RI-1: reads forwarded to a leader are refused when the server campaigns itself or learns of a newer term."""
    for how in ("time out", "newer term"):
        follower = server(term=1)
        follower.step(append_entries(1))
        read(follower, 5)
        if how == "time out":
            follower.time_out()
        else:
            follower.step(append_entries(2, source=3))
        assert follower.reads == [ReadState(5, None)]


def test_pending_reads_are_bounded() -> None:
    """FC-4: a leader refuses reads beyond the limit, its own and forwarded ones, waiting for either thing."""
    sender = settled_leader(max_pending_reads=2)
    for context in (1, 2, 3):
        read(sender, context)
    assert sender.reads == [ReadState(3, None)]
    assert sender.step(ReadIndex(3, 1, 77, 5)) == [(3, ReadIndexReply(1, 1, 77, 5, 0))]
    assert "FC-4" in sender.rules()
    early = leader(max_pending_reads=2)
    for context in (1, 2, 3):
        read(early, context)
    assert early.reads == [ReadState(3, None)]
    sender.step(accepted(sender, 2, 1))
    sender.forget_rules()
    read(sender, 4)
    assert "FC-4" not in sender.rules()
