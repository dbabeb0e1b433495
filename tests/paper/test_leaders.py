"""Figure 2, Rules for Servers, leaders: VL-1 and L-1 to L-4, with flow control and the guide's backtracking."""

import msgspec
import pytest
from tests.support.raft_server import accepted, append_entries, grant_votes, leader, log_of, refused, server

from oarlock.raft.messages import AppendEntries, AppendEntriesReply
from oarlock.raft.state import NotLeader, Overloaded
from oarlock.raft.types import Entry, EntryKind, HardState


def sent_to(sent, peer: int) -> list[AppendEntries]:
    """The messages for one peer."""
    return [message for to, message in sent if to == peer]


def spans(messages: list[AppendEntries]) -> list[tuple[int, int]]:
    """For each message prev_log_index and the number of its entries."""
    return [(message.prev_log_index, len(message.entries)) for message in messages]


# -- on election -------------------------------------------------------------------------------------------------


def test_next_index_and_match_index_start_anew() -> None:
    """VL-1, G16: on winning, every next_index is last + 1 and every match_index 0, whatever was known before."""
    sender = leader([1, 2, 3], log=[1, 1, 1], term=1)
    facts = sender.facts()
    assert facts["next_index"] == {2: 4, 3: 4}
    assert facts["match_index"] == {2: 0, 3: 0}
    assert ("VL-1", (4,)) in sender.fired
    sender.step(accepted(sender, 2, 4))
    assert sender.facts()["match_index"] == {2: 4, 3: 0}
    sender.step(append_entries(3, source=3))
    grant_votes(sender, sender.time_out())
    assert sender.facts()["match_index"] == {2: 0, 3: 0}
    assert sender.facts()["next_index"] == {2: 5, 3: 5}


def test_a_no_op_opens_the_term() -> None:
    """NO-1: the new leader's first entry is a no-op of its own term, durable as any other."""
    sender = leader(log=[1], term=1)
    assert sender.state.log.entry(2) == Entry(2, 2, EntryKind.NOOP, b"")
    assert sender.disk.entries[-1] == Entry(2, 2, EntryKind.NOOP, b"")
    assert ("NO-1", (2,)) in sender.fired
    sender.forget_rules()
    sender.beat()
    sender.propose(b"x")
    assert "NO-1" not in sender.rules()


def test_heartbeats_leave_at_once() -> None:
    """L-1, B3: the turn that wins the election sends to everybody, before any timer."""
    candidate = server([1, 2, 3, 4, 5], pre_vote=False, log=[1])
    sent = grant_votes(candidate, candidate.time_out())
    assert {to for to, message in sent if isinstance(message, AppendEntries)} == {2, 3, 4, 5}
    assert "L-1" in candidate.rules()


def test_heartbeats_are_repeated_when_idle() -> None:
    """L-1: at each interval every follower gets AppendEntries without entries, at a point it is known to share."""
    sender = leader(log=[1, 1], term=1)
    sender.step(accepted(sender, 2, 3))
    sender.tell_news()
    sender.forget_rules()
    deadline = sender.raft.heartbeat_deadline()
    assert deadline == pytest.approx(sender.state.leader.last_heartbeat + 0.1)
    assert sender.tick(deadline - 0.01) == []
    first = sender.state.request_counter + 1
    assert sender.tick(deadline) == [
        (2, AppendEntries(1, 2, first, 3, 2, 3)),
        (3, AppendEntries(1, 2, first + 1, 0, 0, 3)),
    ]
    assert "L-1" in sender.rules()
    assert sender.raft.heartbeat_deadline() == pytest.approx(deadline + 0.1)


def test_followers_have_no_heartbeat() -> None:
    """L-1: only a leader has a heartbeat deadline; a deposed one sends no more."""
    sender = leader()
    sender.step(append_entries(2))
    assert sender.raft.heartbeat_deadline() == float("inf")
    assert sender.lost_leaderships == 1


# -- commands ----------------------------------------------------------------------------------------------------


def test_commands_are_appended_and_sent() -> None:
    """L-2, L-3: commands enter the log at once, durable and of the current term, and travel together to all."""
    sender = leader()
    for peer in (2, 3):
        sender.step(accepted(sender, peer, 1))
    sender.forget_rules()
    placed = sender.raft.propose([b"x", b"y"])
    assert placed == [(2, 1), (3, 1)]
    entries = (Entry(2, 1, EntryKind.COMMAND, b"x"), Entry(3, 1, EntryKind.COMMAND, b"y"))
    first = sender.state.request_counter + 1
    assert sender.settle() == [
        (2, AppendEntries(1, 1, first, 1, 1, 1, entries)),
        (3, AppendEntries(1, 1, first + 1, 1, 1, 1, entries)),
    ]
    assert tuple(sender.disk.entries[1:]) == entries
    assert {"L-2", "L-3"} <= sender.rules()


def test_a_command_is_applied_only_when_committed() -> None:
    """L-2, G23: until a majority has it nothing is applied, so nothing can be answered."""
    sender = leader()
    sender.step(accepted(sender, 2, 1))
    sender.propose(b"x")
    assert sender.machine == [b"1:0:"]
    sender.step(accepted(sender, 2, 2))
    assert sender.machine == [b"1:0:", b"1:1:x"]


def test_only_a_leader_takes_commands() -> None:
    """L-2: others refuse, with the leader as a hint where they know one, and append nothing."""
    follower = server(term=1)
    with pytest.raises(NotLeader) as refusal:
        follower.raft.propose([b"x"])
    assert refusal.value.leader_id is None
    follower.step(append_entries(1))
    with pytest.raises(NotLeader) as refusal:
        follower.raft.propose([b"x"])
    assert refusal.value.leader_id == 2
    assert follower.facts()["log"] == []
    assert "L-2" not in follower.rules()


def test_uncommitted_bytes_are_bounded() -> None:
    """FC-1 (etcd issue 10167, etcd-io/raft issue 11): beyond the cap commands are refused whole; commitment frees it."""
    sender = leader(max_uncommitted_bytes=10)
    sender.propose(b"12345")
    before = sender.facts()
    with pytest.raises(Overloaded):
        sender.raft.propose([b"1", b"23456"])
    assert sender.changes(before) == {}
    assert "FC-1" in sender.rules()
    sender.propose(b"67890")
    sender.step(accepted(sender, 2, 3))
    sender.propose(b"a" * 20)
    assert sender.state.log.last_index == 4


def test_the_cap_holds_across_terms() -> None:
    """FC-1: a new leader counts what it finds uncommitted in its log, and a single large command still passes."""
    sender = leader(log=[1, 1], term=1, max_uncommitted_bytes=8)
    assert sender.state.leader.uncommitted_bytes == len(b"1@1") + len(b"2@1")
    with pytest.raises(Overloaded):
        sender.raft.propose([b"abc"])
    sender.step(accepted(sender, 2, 3))
    assert sender.state.leader.uncommitted_bytes == 0


# -- replication -------------------------------------------------------------------------------------------------


def test_entries_are_sent_from_next_index() -> None:
    """L-3: while probing one message at next_index; with the logs agreed, all that is missing, ahead of replies."""
    sender = leader(log=[1, 1, 1], term=1)
    sender.step(refused(sender, 2, 3, 0, 2))
    sender.forget_rules()
    sent = sent_to(sender.step(accepted(sender, 2, 1)), 2)
    assert spans(sent) == [(1, 3)]
    assert sent[0].entries == tuple(sender.disk.entries[1:])
    assert "L-3" in sender.rules()
    assert spans(sent_to(sender.propose(b"x"), 2)) == [(4, 1)]
    assert spans(sent_to(sender.propose(b"y"), 2)) == [(5, 1)]


def test_a_probed_follower_gets_one_message_at_a_time() -> None:
    """L-3, FC-2: until it answers, more of the same would only be refused again."""
    sender = leader()
    assert sent_to(sender.propose(b"x"), 2) == []
    assert spans(sent_to(sender.step(accepted(sender, 2, 1)), 2)) == [(1, 1)]


def test_a_lost_probe_is_repeated() -> None:
    """L-3, T1: a follower that answers heartbeats but not the probe is probed again; a silent one is not."""
    sender = leader(log=[1], term=1)
    heartbeat = sent_to(sender.beat(), 2)
    assert spans(heartbeat) == [(0, 0)]
    reply = AppendEntriesReply(2, 2, heartbeat[0].request_id, success=True, match_index=0)
    assert spans(sent_to(sender.step(reply), 2)) == [(1, 1)]


def test_lost_entries_are_sent_again() -> None:
    """L-3: a follower that answers heartbeats, but not entries sent half an election timeout ago, gets them again."""
    sender = leader(check_quorum=False)
    sender.step(accepted(sender, 2, 1))
    sender.propose(b"x")
    sender.tick(sender.state.now + 0.4)
    sender.step(accepted(sender, 2, 1))
    assert sender.facts()["next_index"][2] == 3
    sender.tick(sender.state.now + 0.4)
    again = sender.step(accepted(sender, 2, 1))
    assert spans(sent_to(again, 2)) == [(1, 1)]


def test_a_broken_link_is_probed() -> None:
    """L-3: what was in flight on a link that broke is not counted on."""
    sender = leader()
    sender.step(accepted(sender, 2, 1))
    sender.propose(b"x")
    sender.raft.peer_unreachable(2)
    assert spans(sent_to(sender.settle(), 2)) == [(1, 1)]
    sender.raft.peer_unreachable(9)
    assert sent_to(sender.settle(), 9) == []


def test_the_window_is_bounded_in_messages() -> None:
    """FC-2: no more AppendEntries with entries await a reply than the window holds; a reply makes room for the rest."""
    sender = leader(max_inflight_messages=2, max_message_bytes=1)
    sender.step(accepted(sender, 2, 1))
    assert spans(sent_to(sender.propose(b"a", b"b", b"c", b"d"), 2)) == [(1, 1), (2, 1)]
    assert "FC-2" in sender.rules()
    assert sent_to(sender.propose(b"e"), 2) == []
    assert spans(sent_to(sender.step(accepted(sender, 2, 2)), 2)) == [(3, 1)]
    assert spans(sent_to(sender.step(accepted(sender, 2, 4)), 2)) == [(4, 1), (5, 1)]


def test_the_window_is_bounded_in_bytes() -> None:
    """FC-2: a few large messages fill the window as many small ones do."""
    sender = leader(max_inflight_bytes=6, max_message_bytes=4)
    sender.step(accepted(sender, 2, 1))
    assert spans(sent_to(sender.propose(b"aaaa", b"bbbb", b"cccc"), 2)) == [(1, 1), (2, 1)]
    assert sender.state.leader.peers[2].inflight.bytes == 8
    assert spans(sent_to(sender.step(accepted(sender, 2, 3)), 2)) == [(3, 1)]
    assert sender.state.leader.peers[2].inflight.bytes == 4


def test_a_message_is_bounded_in_bytes() -> None:
    """FC-3: entries are batched up to the limit; a larger one travels alone."""
    sender = leader(max_message_bytes=5)
    sender.step(accepted(sender, 2, 1))
    sent = sent_to(sender.propose(b"12", b"34", b"5", b"678901234", b"5", b"6"), 2)
    assert spans(sent) == [(1, 3), (4, 1), (5, 2)]
    assert "FC-3" in sender.rules()
    sender.forget_rules()
    sender.propose(b"12")
    assert "FC-3" not in sender.rules()


# -- replies -----------------------------------------------------------------------------------------------------


def test_success_raises_next_and_match() -> None:
    """L-3a: match_index is what the follower verified, next_index the one after."""
    sender = leader(log=[1, 1], term=1)
    before = sender.facts()
    sender.step(accepted(sender, 2, 3))
    assert sender.changes(before) == {
        "next_index": {2: 4, 3: 3},
        "match_index": {2: 3, 3: 0},
        "commit_index": 3,
        "last_applied": 3,
    }
    assert "L-3a" in sender.rules()


def test_match_index_is_what_was_verified() -> None:
    """L-3a, G17: commands appended between request and reply are not counted as replicated."""
    sender = leader()
    sender.propose(b"x", b"y")
    sender.step(accepted(sender, 2, 1))
    assert sender.facts()["match_index"][2] == 1
    assert sender.state.commit_index == 1


def test_replies_move_nothing_back() -> None:
    """L-3a, G19: successes that overtake each other, or come twice, leave the highest."""
    sender = leader()
    sender.step(accepted(sender, 2, 1))
    sender.propose(b"x")
    sender.propose(b"y")
    late = accepted(sender, 2, 2)
    sender.step(accepted(sender, 2, 3))
    before = sender.facts()
    sender.forget_rules()
    sender.step(late)
    assert sender.changes(before) == {}
    assert "L-3a" not in sender.rules()


def test_a_mismatch_lowers_next_and_retries() -> None:
    """L-3b: next_index goes back, and the retry leaves in the same turn."""
    sender = leader(log=[1, 1, 1], term=1)
    sent = sender.step(refused(sender, 2, 3, 0, 2))
    assert spans(sent_to(sent, 2)) == [(1, 3)]
    assert sender.facts()["next_index"][2] == 2
    assert sender.facts()["match_index"][2] == 0
    assert {"L-3b", "BT-2"} <= sender.rules()


@pytest.mark.parametrize(
    ("log", "conflict", "next_index"),
    [
        ([1, 1, 4, 4, 5, 5, 6, 6, 6], (0, 6), 6),
        ([1, 1, 4, 4, 5, 5, 6, 6, 6], (4, 3), 5),
        ([1, 1, 4, 4, 5, 5, 6, 6, 6], (2, 3), 3),
        ([1, 1, 4, 4, 5, 5, 6, 6, 6], (5, 9), 7),
        ([1, 1, 4, 4, 5, 5, 6, 6, 6], (3, 1), 1),
        ([1, 1, 4, 4, 5, 5, 6, 6, 6], (9, 99), 9),
    ],
    ids=["short log", "term known", "term unknown", "term known, later", "unknown from the start", "nonsense"],
)
def test_a_whole_term_is_skipped(log: list[int], conflict: tuple[int, int], next_index: int) -> None:
    """BT-2, L-3b, G20: short log: its length; term known: after its last entry here; unknown: its first index there."""
    sender = leader(log=log, term=6)
    sender.step(refused(sender, 2, 9, *conflict))
    assert sender.facts()["next_index"][2] == next_index


def test_backtracking_stays_above_match_index() -> None:
    """BT-2, RS-1, G20: a late refusal, or one that names too little, leads next_index never to match_index or below."""
    sender = leader(log=[1, 1, 1], term=1)
    sender.step(accepted(sender, 2, 2))
    sender.propose(b"x")
    sender.step(refused(sender, 2, 3, 0, 1))
    assert sender.facts()["next_index"][2] == 3
    sender.forget_rules()
    before = sender.facts()
    sent_before = sender.state.leader.peers[2].known_at_request_id
    for prev in (1, 2, 3, 9):
        sender.step(msgspec.structs.replace(refused(sender, 2, prev, 0, 1), request_id=sent_before))
    assert sender.changes(before) == {}
    assert "L-3b" not in sender.rules()


def test_a_follower_that_denies_what_it_acknowledged_is_served_anew() -> None:
    """DL-1: asked after its success was known, it lacks entries it had: told of, and replicated to from further back."""
    sender = leader(log=[1, 1, 1], term=1)
    sender.step(accepted(sender, 2, 4))
    sender.step(accepted(sender, 3, 4))
    assert sender.state.commit_index == 4
    sender.beat()
    sender.raft.step(refused(sender, 2, 4, 0, 3), sender.state.now)
    ready = sender.raft.ready()
    assert ready.lost_data == [2]
    assert {"DL-1"} <= sender.rules()
    assert sender.facts()["match_index"][2] == 0
    assert sender.state.commit_index == 4
    (probe,) = [message for to, message in ready.messages if to == 2]
    assert (probe.prev_log_index, [entry.index for entry in probe.entries]) == (3, [4])
    sender.step(refused(sender, 2, 3, 0, 3))
    sender.step(accepted(sender, 2, 4))
    assert sender.facts()["match_index"][2] == 4


def test_a_repeated_refusal_is_stale() -> None:
    """RS-1, L-3b: the same refusal twice lowers next_index once."""
    sender = leader(log=[1, 1, 2, 2], term=2)
    answer = refused(sender, 2, 4, 1, 2)
    sender.step(answer)
    before = sender.facts()
    assert sender.step(answer) == []
    assert sender.changes(before) == {}


# -- commitment --------------------------------------------------------------------------------------------------


def test_a_majority_commits() -> None:
    """L-4: the highest index that a majority, the leader's own disk included, has; then followers learn it."""
    sender = leader([1, 2, 3, 4, 5])
    for peer in (2, 3, 4, 5):
        sender.step(accepted(sender, peer, 1))
    sender.propose(b"x", b"y")
    sender.forget_rules()
    sender.step(accepted(sender, 2, 3))
    assert sender.state.commit_index == 1
    assert "L-4" not in sender.rules()
    sender.step(accepted(sender, 3, 2))
    assert sender.state.commit_index == 2
    assert ("L-4", (2, 1, 1)) in sender.fired
    assert {message.leader_commit for _, message in sender.tell_news()} == {2}


def test_news_of_commitment_waits_for_entries_to_go_with() -> None:
    """FC-5: nothing is sent for it alone at first; the next entries carry it, and by its deadline all are told."""
    sender = leader()
    sender.step(accepted(sender, 2, 1))
    assert sender.step(accepted(sender, 3, 1)) == []
    assert sender.state.commit_index == 1
    assert {message.leader_commit for _, message in sender.propose(b"x")} == {1}
    for peer in (2, 3):
        assert sender.step(accepted(sender, peer, 2)) == []
    deadline = sender.raft.heartbeat_deadline()
    assert deadline <= sender.state.now + 0.01
    told = sender.tick(deadline)
    assert [(to, message.leader_commit, message.entries) for to, message in told] == [(2, 2, ()), (3, 2, ())]
    assert "FC-5" in sender.rules()
    assert sender.state.leader.news_deadline == float("inf")


def test_news_of_commitment_that_a_follower_awaits_is_sent_at_once() -> None:
    """FC-5: the follower that forwarded a command learns of its commitment without delay; the other waits."""
    sender = leader()
    for peer in (2, 3):
        sender.step(accepted(sender, peer, 1))
    sender.raft.propose([b"x"], awaited_by=3)
    sender.settle()
    sent = sender.step(accepted(sender, 2, 2))
    assert [(to, message.leader_commit) for to, message in sent] == [(3, 2)]


def test_an_older_terms_entry_is_not_committed_by_counting() -> None:
    """L-4, G15 (Figure 8): a majority has entry 2 of term 2, but until one of term 3 follows nothing commits."""
    sender = leader(log=[1, 2], term=2)
    for peer in (2, 3):
        sender.step(accepted(sender, peer, 2))
        assert sender.state.commit_index == 0
    assert "L-4" not in sender.rules()
    sender.step(accepted(sender, 2, 3))
    assert sender.state.commit_index == 3
    assert len(sender.machine) == 3


def test_the_leaders_own_disk_counts_when_it_is_done() -> None:
    """L-4, P-1: appended is not stored: one follower and an unfinished write are no majority of three."""
    sender = leader(asynchronous=True)
    sender.step(accepted(sender, 2, 1))
    sender.raft.propose([b"x"])
    sender.run()
    sender.raft.step(accepted(sender, 2, 2), sender.state.now)
    assert sender.state.commit_index == 1
    sender.complete_write()
    assert sender.state.commit_index == 2


def test_followers_commit_without_the_leaders_disk() -> None:
    """L-4: two followers of three are a majority; the leader applies when its own disk has it too."""
    sender = leader(asynchronous=True)
    for peer in (2, 3):
        sender.step(accepted(sender, peer, 1))
    sender.raft.propose([b"x"])
    sender.run()
    for peer in (2, 3):
        sender.raft.step(accepted(sender, peer, 2), sender.state.now)
    sender.run()
    assert sender.state.commit_index == 2
    assert not sender.to_apply
    sender.settle()
    assert len(sender.machine) == 2


def test_a_restarted_leader_is_none() -> None:
    """VL-1, B1: leadership is of one life; what was uncommitted waits in the log for the next leader."""
    sender = leader(log=[1], term=1)
    sender.propose(b"x")
    sender.start(5.0)
    assert sender.facts()["role"] == "follower"
    assert sender.disk.hard_state == HardState(2, 1)
    assert sender.state.log.slice(1, 1) == log_of(1)
    assert sender.state.log.last_index == 3
    assert sender.state.commit_index == 0
