"""Pre-vote (dissertation, section 9.6), check-quorum and joint majorities: PV, CQ and MC rules."""

import msgspec
import pytest
from tests.support.raft_cluster import Cluster
from tests.support.raft_server import accepted, append_entries, leader, mismatch, refused, server

from oarlock.raft.messages import (
    AppendEntries,
    InstallSnapshotReply,
    PreVote,
    PreVoteReply,
    RequestVote,
    RequestVoteReply,
)
from oarlock.raft.types import Configuration, Entry, EntryKind, HardState


def answer(term: int, granted: bool, to: int = 3):
    """What server 1 answers to a pre-vote with id 7."""
    return to, PreVoteReply(1, term, 7, granted)


# -- asking ------------------------------------------------------------------------------------------------------


def test_asking_costs_nothing() -> None:
    """PV-1: all are asked about the next term; own term, vote and disk stay, only the wait begins anew."""
    asking = server(term=4, vote=2, log=[2, 4])
    before = asking.facts()
    now = asking.raft.election_deadline()
    request_id = asking.state.request_counter + 1
    assert asking.tick(now) == [(peer, PreVote(1, 5, request_id, 2, 4)) for peer in (2, 3)]
    assert asking.changes(before) == {"role": "pre_candidate"}
    assert asking.disk.hard_state == HardState(4, 2)
    assert asking.raft.election_deadline() >= now + 1
    assert "PV-1" in asking.rules()
    assert not {"C-1", "C-1a", "C-1b"} & asking.rules()


def test_without_pre_vote_nobody_asks() -> None:
    """PV-1: switched off, the campaign starts at once."""
    candidate = server(pre_vote=False)
    candidate.time_out()
    assert candidate.state.role.value == "candidate"
    assert not {"PV-1", "PV-3"} & candidate.rules()


def test_a_majority_of_pre_votes_starts_the_campaign() -> None:
    """PV-3: then, and only then, the term rises; the votes themselves are asked for anew."""
    asking = server([1, 2, 3, 4, 5], term=1)
    requests = asking.time_out()
    request_id = requests[0][1].request_id
    assert asking.step(PreVoteReply(2, 2, request_id, vote_granted=True)) == []
    assert asking.step(RequestVoteReply(4, 1, request_id, vote_granted=True)) == []
    assert asking.state.role.value == "pre_candidate"
    assert "PV-3" not in asking.rules()
    sent = asking.step(PreVoteReply(3, 2, request_id, vote_granted=True))
    assert [type(message) for _, message in sent] == [RequestVote] * 4
    assert {message.term for _, message in sent} == {2}
    assert "PV-3" in asking.rules()
    assert asking.state.role.value == "candidate"
    before = asking.facts()
    asking.step(PreVoteReply(4, 2, request_id, vote_granted=True))
    asking.step(PreVoteReply(5, 2, sent[0][1].request_id, vote_granted=True))
    assert asking.changes(before) == {}


def test_a_majority_of_refusals_is_no_campaign() -> None:
    """PV-3: a server that cannot win goes on following, its term as it was."""
    asking = server(term=1)
    request_id = asking.time_out()[0][1].request_id
    for peer in (2, 3):
        asking.step(PreVoteReply(peer, 1, request_id, vote_granted=False))
    assert (asking.state.role.value, asking.state.current_term) == ("follower", 1)


# -- answering ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("term", "last", "granted"),
    [
        (4, (2, 2), True),
        (9, (2, 2), True),
        (4, (1, 2), False),
        (4, (9, 1), False),
        (4, (1, 3), True),
        (3, (2, 2), False),
    ],
    ids=["next term", "later term", "shorter log", "older log", "newer log", "own term"],
)
def test_a_pre_vote_is_granted_if_the_vote_could_be(term: int, last: tuple[int, int], granted: bool) -> None:
    """PV-2: for a newer term and an up-to-date log; nothing is promised, so term, vote and timer stay."""
    voter = server(term=3, vote=2, log=[1, 2])
    before = voter.facts()
    deadline = voter.raft.election_deadline()
    assert voter.step(PreVote(3, term, 7, *last), 0.5) == [answer(term if granted else 3, granted)]
    assert voter.changes(before) == {}
    assert voter.raft.election_deadline() == deadline
    assert "PV-2" in voter.rules()
    assert not {"PV-4", "PV-5"} & voter.rules()


def test_a_live_leader_is_not_disturbed() -> None:
    """PV-2 (etcd issue 9241): within an election timeout of hearing a leader, pre-votes are refused; then granted."""
    voter = server(term=3)
    voter.step(append_entries(3), 1.0)
    assert voter.step(PreVote(3, 4, 7, 0, 0), 1.999) == [answer(3, False)]
    assert voter.step(PreVote(3, 4, 7, 0, 0), 2.0) == [answer(4, True)]


def test_a_leader_refuses_pre_votes() -> None:
    """PV-2: the leader itself knows best that there is one."""
    sender = leader(term=3)
    assert sender.step(PreVote(3, 5, 7, 9, 9)) == [answer(4, False)]


def test_the_own_leader_may_ask() -> None:
    """PV-4 (hashicorp/raft issue 606): a leader that restarted is granted at once by those that still follow it."""
    voter = server(term=3)
    voter.step(append_entries(3, source=2), 1.0)
    assert voter.step(PreVote(2, 4, 7, 0, 0), 1.1) == [answer(4, True, to=2)]
    assert "PV-4" in voter.rules()
    voter.forget_rules()
    assert voter.step(PreVote(3, 4, 7, 0, 0), 1.1) == [answer(3, False)]
    assert "PV-4" not in voter.rules()
    assert voter.step(RequestVote(2, 4, 8, 0, 0), 1.2) == [(2, RequestVoteReply(1, 4, 8, vote_granted=True))]


def test_the_own_leader_needs_an_up_to_date_log_too() -> None:
    """PV-4, PV-2: a leader that lost its disk is refused."""
    voter = server(term=3, log=[3])
    voter.step(append_entries(3, (1, 3)), 1.0)
    assert voter.step(PreVote(2, 4, 7, 0, 0), 1.1) == [answer(3, False, to=2)]


def test_a_lower_term_learns_the_newer() -> None:
    """PV-5 (etcd issue 8501): refused with the own term, which the asker adopts, and asks again in time."""
    voter = server(term=9, log=[1])
    assert voter.step(PreVote(3, 4, 7, 5, 3)) == [answer(9, False)]
    assert "PV-5" in voter.rules()
    asker = server(server_id=3, term=3, log=[1, 1, 1, 1, 3])
    asker.time_out()
    asker.step(PreVoteReply(1, 9, 7, vote_granted=False))
    assert asker.facts()["current_term"] == 9
    request = next(message for to, message in asker.time_out() if to == 1)
    assert request.term == 10
    assert voter.step(request) == [(3, PreVoteReply(1, 10, request.request_id, vote_granted=True))]


@pytest.mark.parametrize("on", [(True, True), (True, False), (False, True)], ids=["both", "first", "second"])
def test_pre_vote_can_be_switched_on_server_by_server(on: tuple[bool, bool]) -> None:
    """PV-5, PV-1 (etcd issues 8501, 8243): short log of a high term, long log of a low term; a leader comes anyway."""
    cluster = Cluster(3)
    cluster.down.add(3)
    for server_id, (term, terms, pre_vote) in {1: (9, [1], on[0]), 2: (4, [1, 4, 4], on[1])}.items():
        one = server(server_id=server_id, term=term, log=terms, pre_vote=pre_vote)
        cluster.servers[server_id] = one
    assert cluster.elect().id == 2
    assert cluster.leader.state.current_term > 9


# -- check-quorum ------------------------------------------------------------------------------------------------


def test_a_leader_without_a_majority_steps_down() -> None:
    """CQ-1: a full election timeout without answers from a majority ends the leadership, in the same term."""
    sender = leader([1, 2, 3, 4, 5])
    start = sender.state.now
    sender.step(accepted(sender, 2, 1), start + 0.9)
    sender.step(accepted(sender, 3, 1), start + 0.9)
    sender.tick(start + 1.0)
    sender.step(accepted(sender, 2, 1), start + 1.95)
    before = sender.facts()
    sender.tick(start + 1.95)
    assert sender.state.leader is not None
    assert "CQ-1" not in sender.rules()
    deadline = sender.raft.election_deadline()
    assert deadline == start + 2.0
    sender.tick(deadline)
    assert "CQ-1" in sender.rules()
    changes = sender.changes(before)
    assert (changes["role"], changes["leader_id"]) == ("follower", None)
    assert "current_term" not in changes
    assert sender.lost_leaderships == 1
    assert sender.raft.election_deadline() >= deadline + 1


def test_any_answer_of_the_term_counts_as_heard() -> None:
    """CQ-1: a follower whose log does not match follows; learners and strangers do not count."""
    configuration = Configuration(voters=frozenset({1, 2, 3}), learners=frozenset({4}))
    sender = leader(configuration=configuration, log=[1], term=1)
    for heard_from, stays in [(2, True), (4, False)]:
        sender.step(refused(sender, heard_from, 1, 0, 1), sender.state.now + 0.9)
        sender.tick(sender.raft.election_deadline())
        assert (sender.state.leader is not None) is stays


def test_without_check_quorum_a_leader_stays() -> None:
    """CQ-1: switched off, silence ends nothing."""
    sender = leader(check_quorum=False)
    assert sender.raft.election_deadline() == float("inf")
    sender.tick(sender.state.now + 60)
    assert sender.state.leader is not None


def test_a_vote_is_not_asked_of_a_live_leaders_follower() -> None:
    """CQ-2: within an election timeout of a leader, a RequestVote is not answered and its term not adopted; then it is."""
    voter = server(term=3)
    voter.step(append_entries(3), 1.0)
    before = voter.facts()
    voter.forget_rules()
    assert voter.step(RequestVote(3, 9, 7, 9, 9), 1.999) == []
    assert voter.changes(before) == {}
    assert voter.rules() == {"CQ-2"}
    assert voter.step(RequestVote(3, 9, 7, 9, 9), 2.0) == [(3, RequestVoteReply(1, 9, 7, vote_granted=True))]


def test_a_leader_does_not_hear_campaigns() -> None:
    """CQ-2 (etcd issue 9241): a removed or flapping server cannot depose a leader that has its majority."""
    sender = leader()
    before = sender.facts()
    assert sender.step(RequestVote(3, 9, 7, 9, 9)) == []
    assert sender.changes(before) == {}


def test_without_check_quorum_every_campaign_is_heard() -> None:
    """CQ-2: switched off, a newer term is adopted whoever leads."""
    voter = server(term=3, check_quorum=False)
    voter.step(append_entries(3), 1.0)
    assert voter.step(RequestVote(3, 9, 7, 9, 9), 1.1) == [(3, RequestVoteReply(1, 9, 7, vote_granted=True))]
    assert "CQ-2" not in voter.rules()


def test_a_stale_leader_learns_of_the_newer_term() -> None:
    """CQ-3: else a server of a higher term would be ignored by its leader, and ignore it, for ever."""
    follower = server(term=9)
    assert follower.step(append_entries(3)) == [mismatch(9, 0, (0, 0))]
    assert "CQ-3" in follower.rules()
    sender = leader(term=2)
    _, answer_to_leader = mismatch(9, 0, (0, 0))
    sender.step(msgspec.structs.replace(answer_to_leader, source=3))
    assert (sender.state.role.value, sender.state.current_term) == ("follower", 9)


def test_an_isolated_server_does_not_inflate_its_term() -> None:
    """PV-1, CQ-2 (etcd issue 9241): it comes back to the leader it left, who keeps its term."""
    cluster = Cluster(3, seed=1)
    first = cluster.elect()
    term = first.state.current_term
    other = next(i for i in cluster.servers if i != first.id)
    cluster.isolate(other)
    cluster.run_for(20)
    assert cluster[other].state.current_term == term
    cluster.heal()
    cluster.run_for(5)
    assert cluster.leader is first
    assert {one.state.current_term for one in cluster.live} == {term}


@pytest.mark.parametrize("pre_vote", [True, False])
def test_a_server_of_a_higher_term_is_taken_in(pre_vote: bool) -> None:
    """CQ-3, CQ-2: one that campaigned before it was cut off brings its term, and the cluster elects above it."""
    cluster = Cluster(3, seed=1, pre_vote=pre_vote)
    first = cluster.elect()
    other = cluster[next(i for i in cluster.servers if i != first.id)]
    cluster.crash(other.id)
    other.disk.hard_state = HardState(30, other.id)
    cluster.restart(other.id)
    cluster.run_for(10)
    assert cluster.elect().state.current_term >= 30
    assert cluster.propose()
    cluster.converge()


def test_a_stalled_disk_ends_the_leadership() -> None:
    """CQ-4 (hashicorp/raft issues 503, 683): after an election timeout no heartbeats, and no campaign either."""
    sender = leader(asynchronous=True, check_quorum=False)
    sender.raft.propose([b"x"])
    sender.run()
    stalled_at = sender.raft.election_deadline()
    assert stalled_at == sender.state.now + 1
    sender.raft.tick(stalled_at - 0.01)
    assert sender.state.leader is not None
    assert "CQ-4" not in sender.rules()
    sender.outbox.clear()
    sender.raft.tick(stalled_at)
    sender.run()
    assert sender.state.leader is None
    assert "CQ-4" in sender.rules()
    assert not [message for _, message in sender.outbox if isinstance(message, AppendEntries)]
    sender.raft.tick(sender.raft.election_deadline())
    assert sender.state.role.value == "follower"
    sender.settle()
    assert sender.time_out()


def test_others_take_over_from_a_stalled_disk() -> None:
    """CQ-4: the cluster goes on without the leader whose disk hangs; nothing acknowledged is lost."""
    cluster = Cluster(3, seed=2)
    first = cluster.elect()
    cluster.propose()
    cluster.converge()
    first.asynchronous = True
    cluster._writes_scheduled[first.id] = 1 << 62  # no write of its disk will ever end
    cluster.propose()
    cluster.run_until(lambda: cluster.leader is not None and cluster.leader is not first)
    assert "CQ-4" in first.rules()
    assert first.state.leader is None
    assert cluster.leader.state.log.entry(2).data == b"c1"


# -- joint majorities --------------------------------------------------------------------------------------------

JOINT = Configuration(voters=frozenset({1, 2, 3}), voters_outgoing=frozenset({1, 4, 5}))


def test_a_joint_election_needs_both_halves() -> None:
    """MC-2, C-2: a majority of the one half is none of the other."""
    candidate = server(configuration=JOINT, pre_vote=False)
    request_id = candidate.time_out()[0][1].request_id
    for voter in (2, 3):
        candidate.step(RequestVoteReply(voter, 1, request_id, vote_granted=True))
    assert candidate.state.role.value == "candidate"
    candidate.step(RequestVoteReply(4, 1, request_id, vote_granted=True))
    assert candidate.state.role.value == "leader"
    assert "MC-2" in candidate.rules()


def test_a_joint_election_is_lost_with_one_half() -> None:
    """MC-2, C-2: refused by a majority of either half, it cannot be won."""
    candidate = server(configuration=JOINT, pre_vote=False)
    request_id = candidate.time_out()[0][1].request_id
    for voter in (4, 5):
        candidate.step(RequestVoteReply(voter, 1, request_id, vote_granted=False))
    assert candidate.state.role.value == "follower"


def test_joint_commitment_needs_both_halves() -> None:
    """MC-2, L-4: an entry is committed when a majority of each half has it."""
    sender = leader(configuration=JOINT)
    for peer in (2, 3):
        sender.step(accepted(sender, peer, 1))
        assert sender.state.commit_index == 0
    sender.step(accepted(sender, 5, 1))
    assert sender.state.commit_index == 1
    assert "MC-2" in sender.rules()


def test_joint_reads_need_both_halves() -> None:
    """MC-2, CL-Q4: leadership is confirmed by a majority of each half, as soon as the log has the joint configuration."""
    sender = leader()
    sender.step(accepted(sender, 2, 1))
    sender.state.append_to_log([configuration_entry(2, 1, JOINT)])
    sender.beat()
    sender.raft.read_index(1, sender.state.now)
    sender.settle()
    for peer in (2, 3):
        sender.step(accepted(sender, peer, 1))
        assert sender.reads == []
    sender.step(accepted(sender, 4, 0))
    assert [read.read_index for read in sender.reads] == [1]


def test_one_half_alone_fires_no_joint_rule() -> None:
    """MC-2: a plain majority is not joint."""
    sender = leader()
    sender.step(accepted(sender, 2, 1))
    assert "MC-2" not in sender.rules()


def configuration_entry(index: int, term: int, configuration: Configuration) -> Entry:
    """An entry that changes the membership."""
    return Entry(index, term, EntryKind.CONFIGURATION, msgspec.msgpack.encode(configuration))


def test_a_configuration_is_in_force_from_the_log_on() -> None:
    """MC-1 (etcd issues 11284, 7625): on being appended, not committed; and it leaves when its entry is deleted."""
    follower = server(term=2)
    before = follower.state.configuration
    entry = configuration_entry(1, 2, JOINT)
    follower.step(AppendEntries(2, 2, 7, 0, 0, 0, (entry,)))
    assert follower.state.commit_index == 0
    assert follower.state.configuration == JOINT
    assert "MC-1" in follower.rules()
    follower.start(1.0)
    assert follower.state.configuration == JOINT
    follower.step(append_entries(3, (0, 0), [3], source=3))
    assert follower.state.configuration == before
    assert follower.disk.entries[0].kind is EntryKind.COMMAND


def test_the_configuration_in_force_survives_compaction() -> None:
    """MC-1, LC-1: compacting past a configuration's entry keeps it with the log's base, and later ones in the log."""
    follower = server(term=2)
    later = Configuration(voters=frozenset({1, 2, 3, 4, 5}))
    entries = (configuration_entry(1, 2, JOINT), Entry(2, 2, EntryKind.COMMAND, b"x"), configuration_entry(3, 2, later))
    follower.step(AppendEntries(2, 2, 7, 0, 0, 2, entries))
    follower.flush()
    follower.raft.compact(2)
    follower.settle()
    assert follower.disk.base.configuration == JOINT
    assert follower.state.configuration == later
    follower.step(append_entries(3, (2, 2), [3], source=3))
    assert follower.state.configuration == JOINT
    follower.start(1.0)
    assert follower.state.configuration == JOINT


def test_a_leader_follows_the_configuration_it_appends() -> None:
    """MC-1, VL-1: new members are sent to at once, from the end of the log."""
    sender = leader(log=[1], term=1)
    sender.step(accepted(sender, 2, 2))
    sender.state.append_to_log([configuration_entry(3, 2, Configuration(voters=frozenset({1, 2, 3, 4})))])
    sender.beat()
    assert sender.facts()["match_index"] == {2: 2, 3: 0, 4: 0}
    assert sender.facts()["next_index"] == {2: 4, 3: 2, 4: 4}
    sender.forget_rules()
    sender.step(accepted(sender, 9, 3))
    sender.step(InstallSnapshotReply(9, 2, 1, 1, 0, done=True))
    assert sender.rules() == {"RS-1"}
