"""A server's word counts only from the disk that the log admits: NS-1, NS-2, NS-3."""

import msgspec
import pytest
from tests.support.raft_cluster import Cluster
from tests.support.raft_server import Server, accepted, append_entries, refused, server

from oarlock.raft.messages import (
    AppendEntries,
    InstallSnapshotReply,
    PreVote,
    PreVoteReply,
    RequestVote,
    RequestVoteReply,
    TimeoutNow,
)
from oarlock.raft.state import Role
from oarlock.raft.types import NO_DISK, Configuration, EntryKind

VOTERS = frozenset({1, 2, 3})
ADMITTED = Configuration(voters=VOTERS, disks=((1, 100), (2, 200), (3, 300)))


def candidate(configuration: Configuration = ADMITTED, disk_id: int = 100, **settings: object) -> Server:
    """A server that campaigns in earnest."""
    one = server(configuration=configuration, disk_id=disk_id, pre_vote=False, log=[1], **settings)
    one.time_out()
    return one


def vote(of: Server, voter: int, disk_id: int) -> RequestVoteReply:
    """A grant."""
    state = of.state
    assert state.candidate is not None
    return RequestVoteReply(voter, state.current_term, state.candidate.request_id, vote_granted=True, disk_id=disk_id)


def leader_of(configuration: Configuration = ADMITTED, **settings: object) -> Server:
    """A leader that servers 2 and 3 have voted for, from disks 200 and 300, and that has committed in its term."""
    one = candidate(configuration, **settings)
    one.step(vote(one, 2, 200))
    one.step(accepted(one, 2, one.state.log.last_index, disk_id=200))
    assert one.state.commit_index == one.state.log.last_index
    one.forget_rules()
    return one


def disks(of: Server) -> dict[int, int]:
    """The disks that count, as the newest configuration has them."""
    return dict(of.state.configuration.disks)


def let_time_pass(one: Server, *replies: object) -> None:
    """More than an election timeout, with each heartbeat answered, as long as the leader leads."""
    for _ in range(12):
        if one.state.leader is None:
            return
        one.beat()
        for reply in replies if one.state.leader is not None else ():
            one.step(reply(one))


def catch_up(of: Server, peer: int, disk_id: int) -> None:
    """Follower `peer` is found to have an empty log on another disk, and takes the whole log there."""
    of.step(refused(of, peer, of.state.log.last_index, 0, 1, disk_id=disk_id))
    let_time_pass(
        of,
        lambda one: accepted(one, peer, one.state.log.last_index, disk_id=disk_id),
        lambda one: accepted(one, 5 - peer, one.state.commit_index, disk_id=100 * (5 - peer)),
    )


# -- elections -----------------------------------------------------------------------------------------------------


def test_a_vote_from_another_disk_does_not_count() -> None:
    """NS-1: on the disk that is gone the voter may have acknowledged more, or voted for another."""
    one = candidate()
    one.step(vote(one, 2, 201))
    assert one.state.role is Role.CANDIDATE
    assert "NS-1" in one.rules()
    one.step(vote(one, 2, 200))
    assert one.state.role is Role.LEADER


def test_a_pre_vote_from_another_disk_does_not_count() -> None:
    """NS-1: else campaigns would begin that cannot be won."""
    one = server(configuration=ADMITTED, disk_id=100)
    requests = [message for _, message in one.time_out() if isinstance(message, PreVote)]
    term, request_id = requests[0].term, requests[0].request_id
    one.step(PreVoteReply(2, term, request_id, vote_granted=True, disk_id=201))
    assert one.state.role is Role.PRE_CANDIDATE
    one.step(PreVoteReply(2, term, request_id, vote_granted=True, disk_id=200))
    assert one.state.role is Role.CANDIDATE


def test_a_vote_counts_from_any_disk_where_none_is_admitted() -> None:
    """NS-1: a server that was never reached elects with those that were; it has forgotten nothing."""
    one = candidate(Configuration(voters=VOTERS, disks=((1, 100), (3, 300))))
    one.step(vote(one, 2, 201))
    assert one.state.role is Role.LEADER


def test_a_voter_without_a_word_refuses_nothing_and_grants_nothing() -> None:
    """NS-1: the word of a voter whose old disk was dismissed counts from no disk, until one is admitted (NS-3)."""
    one = candidate(ADMITTED.with_disks({2: NO_DISK}))
    for disk_id in (0, 200, 201):
        one.step(vote(one, 2, disk_id))
    assert one.state.role is Role.CANDIDATE
    one.step(vote(one, 3, 300))
    assert one.state.role is Role.LEADER


@pytest.mark.parametrize("disk_id", [101, 0])
def test_who_is_on_another_disk_does_not_campaign(disk_id: int) -> None:
    """NS-1: its own vote would not count; asked to take over, it does not either."""
    one = server(configuration=ADMITTED, disk_id=disk_id, log=[1])
    assert one.time_out() == []
    assert one.state.role is Role.FOLLOWER
    one.step(append_entries(1, (1, 1)))
    assert one.step(TimeoutNow(2, 1, 9)) == []
    assert one.state.role is Role.FOLLOWER
    assert "NS-1" in one.rules()


# -- admission -----------------------------------------------------------------------------------------------------


def test_a_new_leader_admits_itself_and_who_elected_it() -> None:
    """NS-2: with the entry that follows its no-op, whatever is committed; who is heard later is admitted then."""
    one = candidate(Configuration(voters=VOTERS))
    one.step(vote(one, 3, 300))
    assert disks(one) == {1: 100, 3: 300}
    last = one.state.log.slice(2, 4)
    assert [entry.kind for entry in last] == [EntryKind.NOOP, EntryKind.CONFIGURATION]
    assert "NS-2" in one.rules()
    one.step(accepted(one, 2, 0, disk_id=200))
    assert disks(one) == {1: 100, 2: 200, 3: 300}
    assert one.state.log.last_index == 4
    one.step(accepted(one, 2, 4, disk_id=200))
    assert one.state.commit_index == 4
    assert one.state.leader.uncommitted_bytes == 0


def test_an_admission_is_made_once() -> None:
    """NS-2: a leader whose log admits all appends no configuration."""
    one = leader_of()
    one.step(accepted(one, 3, 2, disk_id=300))
    assert one.state.log.last_index == 2
    assert one.rules().isdisjoint({"NS-1", "NS-2"})


def test_what_is_not_told_apart_is_not_admitted() -> None:
    """NS-2: servers without disk ids count as they always did, beside such as have them."""
    one = candidate(Configuration(voters=VOTERS))
    one.step(vote(one, 2, 0))
    assert disks(one) == {1: 100}
    one.step(accepted(one, 2, 3))
    assert one.state.commit_index == 3


def test_an_admission_goes_with_a_change_under_way() -> None:
    """NS-2: it changes no quorum, so it waits for nothing; joint consensus is left once it is committed."""
    one = leader_of()
    one.raft.change_membership(Configuration(voters=frozenset({1, 2, 4, 5})))
    one.settle()
    one.step(accepted(one, 4, 3, disk_id=400))
    assert one.state.configuration.is_joint
    assert disks(one) == {1: 100, 2: 200, 3: 300, 4: 400}
    one.step(accepted(one, 2, 4, disk_id=200))
    one.step(accepted(one, 4, 4, disk_id=400))
    assert one.state.configuration == Configuration(
        voters=frozenset({1, 2, 4, 5}), disks=((1, 100), (2, 200), (4, 400))
    )


def test_a_learner_is_admitted_with_its_vote() -> None:
    """NS-2: a learner's disk may be replaced as it likes; the one that it was last heard from gets the vote."""
    one = leader_of(msgspec.structs.replace(ADMITTED, learners=frozenset({4})))
    for disk_id in (400, 401):
        one.step(accepted(one, 4, 2, disk_id=disk_id))
    assert disks(one) == dict(ADMITTED.disks)
    one.raft.change_membership(Configuration(voters=VOTERS | {4}))
    assert disks(one) == {1: 100, 2: 200, 3: 300, 4: 401}
    one.raft.step(accepted(one, 2, 3, disk_id=200), 1.0)
    one.raft.step(accepted(one, 4, 3, disk_id=401), 1.0)
    one.settle()
    one.raft.change_membership(Configuration(voters=VOTERS))
    assert disks(one) == dict(ADMITTED.disks)


def test_admissions_leave_with_the_log() -> None:
    """NS-2, MC-1: what a deposed leader admitted, and nobody has, counts no more."""
    one = candidate(Configuration(voters=VOTERS))
    one.step(vote(one, 2, 200))
    assert disks(one) == {1: 100, 2: 200}
    one.step(append_entries(5, (1, 1), [5]))
    assert disks(one) == {}


# -- a leader and another disk ---------------------------------------------------------------------------------------


def test_acknowledgements_from_another_disk_commit_nothing() -> None:
    """NS-1: the follower is told of, and sent what it lacks; but its word is not taken, nor is what it said before."""
    one = leader_of()
    one.propose(b"x")
    one.step(accepted(one, 2, 3, disk_id=201))
    assert one.state.commit_index == 2
    assert one.state.leader.peers[2].match_index == 3
    one.step(refused(one, 3, 2, 0, 1, disk_id=301))
    assert one.state.leader.peers[3].match_index == 0
    assert one.state.leader.peers[3].mode.value == "probe"
    one.step(accepted(one, 3, 3, disk_id=300))
    assert one.state.commit_index == 3


def test_what_the_old_disk_acknowledged_is_not_the_new_ones() -> None:
    """NS-1: match_index begins anew with each disk, in whatever order two disks answer."""
    one = leader_of()
    one.propose(b"x")
    one.step(accepted(one, 3, 2, disk_id=300))
    one.step(refused(one, 3, 2, 0, 1, disk_id=301))
    one.step(accepted(one, 3, 1, disk_id=300))
    assert one.state.leader.peers[3].match_index == 1
    assert one.state.leader.peers[3].counts


def test_a_late_answer_from_another_disk_says_nothing_of_today() -> None:
    """NS-1, RS-1: the follower has answered a later request from the known disk; an acknowledgement is not forgotten."""
    one = leader_of()
    late = accepted(one, 3, 1, disk_id=0)
    one.propose(b"x")
    one.step(accepted(one, 3, 3, disk_id=300))
    one.step(late)
    assert one.state.leader.peers[3].match_index == 3
    assert one.state.leader.peers[3].counts
    assert one.state.commit_index == 3


def test_it_is_reported_once_in_a_while() -> None:
    """NS-1: two servers that share an identity take turns at answering; the log is not flooded with that."""
    one = leader_of()
    for _ in range(3):
        for disk_id in (201, 200):
            one.raft.step(accepted(one, 2, 2, disk_id=disk_id), one.state.now)
    assert one.raft.ready().other_disks == [2]
    one.raft.step(accepted(one, 2, 2, disk_id=201), one.state.now + 100)
    assert one.raft.ready().other_disks == [2]


def test_another_disk_confirms_no_read() -> None:
    """NS-1: it may follow another leader since, and not know it."""
    one = leader_of()
    one.raft.read_index(1, one.state.now)
    one.settle()
    one.step(accepted(one, 2, 2, disk_id=201))
    assert one.reads == []
    one.step(accepted(one, 3, 2, disk_id=300))
    assert [read.read_index for read in one.reads] == [2]


def test_another_disk_is_no_part_of_a_majority() -> None:
    """NS-1, CQ-1: a leader whom only servers without a word answer steps down."""
    one = leader_of()
    let_time_pass(one, lambda leader: accepted(leader, 2, 2, disk_id=201))
    let_time_pass(one, lambda leader: accepted(leader, 2, 2, disk_id=201))
    assert one.state.role is Role.FOLLOWER


def test_leadership_is_not_handed_to_another_disk() -> None:
    """NS-1: it would not campaign; the leader leads on (LT-4)."""
    one = leader_of()
    one.step(accepted(one, 2, 2, disk_id=201))
    one.raft.transfer_leadership(2, one.state.now)
    sent = one.settle() + one.step(accepted(one, 2, 2, disk_id=201))
    assert not any(isinstance(message, TimeoutNow) for _, message in sent)


def test_a_snapshot_on_another_disk_is_not_the_old_ones() -> None:
    """NS-1: that all of a snapshot is there is said of the disk that has it."""
    one = leader_of()
    one.propose(*[b"x"] * 5)
    one.step(accepted(one, 2, 7, disk_id=200))
    one.compact()
    one.settle()
    one.step(refused(one, 3, one.state.leader.peers[3].next_index - 1, 0, 1, disk_id=300))
    chunk = one.state.leader.peers[3].chunk_request_id
    assert chunk
    one.step(InstallSnapshotReply(3, one.state.current_term, chunk, 7, 0, done=True, disk_id=301))
    assert one.state.leader.peers[3].match_index == 0
    assert not one.state.leader.peers[3].counts


# -- replacement -----------------------------------------------------------------------------------------------------


def test_a_replaced_disk_counts_again_after_two_changes() -> None:
    """NS-3: first the old disk's word ends, by the others alone; when that is committed, the new one's begins."""
    one = leader_of()
    one.step(refused(one, 2, 2, 0, 1, disk_id=201))
    let_time_pass(
        one,
        lambda leader: accepted(leader, 2, leader.state.log.last_index, disk_id=201),
        lambda leader: accepted(leader, 3, 2, disk_id=300),
    )
    assert disks(one)[2] == NO_DISK
    first = one.state.configuration_index
    assert one.state.commit_index < first
    assert not one.state.leader.peers[2].counts
    one.step(accepted(one, 3, first, disk_id=300))
    assert one.state.commit_index == first
    one.beat()
    assert disks(one)[2] == 201
    one.step(accepted(one, 2, first + 1, disk_id=201))
    assert one.state.commit_index == first + 1
    assert [rule for rule, _ in one.fired if rule == "NS-3"] == ["NS-3"] * 2


def test_nothing_is_replaced_before_the_new_disk_has_caught_up() -> None:
    """NS-3: until then the old one may be put back, and the new one would be of no use."""
    one = leader_of()
    one.step(refused(one, 2, 2, 0, 1, disk_id=201))
    let_time_pass(
        one,
        lambda leader: accepted(leader, 2, 1, disk_id=201),
        lambda leader: accepted(leader, 3, leader.state.log.last_index, disk_id=300),
    )
    assert disks(one) == dict(ADMITTED.disks)


@pytest.mark.parametrize("turns", [(200, 201), (201, 200)])
def test_two_disks_that_take_turns_replace_nothing(turns: tuple[int, int]) -> None:
    """NS-3: the old one is not gone; its word goes on counting whenever it is the one that answers."""
    one = leader_of()
    let_time_pass(
        one,
        *(
            lambda leader, disk_id=disk_id: accepted(leader, 2, leader.state.log.last_index, disk_id=disk_id)
            for disk_id in turns
        ),
        lambda leader: accepted(leader, 3, leader.state.log.last_index, disk_id=300),
    )
    assert disks(one) == dict(ADMITTED.disks)
    assert one.state.leader.peers[2].counts is (turns[-1] == 200)


def test_a_new_disk_that_fell_silent_replaces_nothing() -> None:
    """NS-3: the old one may be put back meanwhile."""
    one = leader_of()
    one.step(accepted(one, 2, 2, disk_id=201))
    alive = lambda leader: accepted(leader, 3, leader.state.log.last_index, disk_id=300)  # noqa: E731
    let_time_pass(one, alive)
    let_time_pass(one, alive)
    assert disks(one) == dict(ADMITTED.disks)


def test_a_disk_without_an_id_replaces_nothing() -> None:
    """NS-3: it could be any."""
    one = leader_of()
    alive = lambda leader: accepted(leader, 3, leader.state.log.last_index, disk_id=300)  # noqa: E731
    let_time_pass(one, alive, lambda leader: accepted(leader, 2, leader.state.log.last_index))
    assert disks(one) == dict(ADMITTED.disks)


def test_who_is_removed_needs_no_other_disk() -> None:
    """NS-3, MC-9: a removed server is told, and that is all."""
    one = leader_of()
    one.step(accepted(one, 2, 2, disk_id=201))
    one.raft.change_membership(Configuration(voters=frozenset({1, 3})))
    one.settle()
    one.step(accepted(one, 3, 3, disk_id=300))
    peer = one.state.leader.peers[2]
    peer.disk_since = float("-inf")
    one.step(accepted(one, 2, 2, disk_id=201))
    one.beat()
    assert one.state.log.last_index == 3
    assert disks(one) == {1: 100, 3: 300}


def test_a_replacement_does_not_hold_up_a_transfer() -> None:
    """NS-3, LT-2: the successor could not complete its log; it may begin the replacement itself."""
    one = leader_of()
    one.step(accepted(one, 2, 2, disk_id=201))
    one.step(accepted(one, 3, 1, disk_id=300))
    one.raft.transfer_leadership(3, one.state.now)
    one.state.leader.peers[2].disk_since = float("-inf")
    one.beat()
    assert disks(one) == dict(ADMITTED.disks)


def leader_that_knows_one_disk() -> Server:
    """A leader of three that has heard one of the others so far, and so named its disk; it is asked to hand over to it."""
    one = candidate(Configuration(voters=frozenset({1, 2, 3})))
    one.step(vote(one, 2, 200))
    one.step(accepted(one, 2, 3, disk_id=200))
    assert disks(one) == {1: 100, 2: 200}
    one.raft.transfer_leadership(2, one.state.now)
    return one


def test_who_is_first_heard_during_a_transfer_is_heard_after_it() -> None:
    """LT-5, NS-2: an entry that names its disk would be one more than the successor has, who could not win then."""
    one = leader_that_knows_one_disk()
    assert any(isinstance(message, TimeoutNow) for _, message in one.settle())
    for _ in range(3):
        one.beat()
        one.step(accepted(one, 3, 0, disk_id=300))
        one.step(accepted(one, 2, 3, disk_id=200))
    assert one.state.log.last_index == 3
    assert "LT-5" in one.rules()
    assert one.state.leader.peers[3].match_index == 0
    let_time_pass(one, lambda leader: accepted(leader, 2, 3, disk_id=200))
    assert "LT-4" in one.rules()
    one.step(accepted(one, 3, 0, disk_id=300))
    assert disks(one) == {1: 100, 2: 200, 3: 300}


def test_who_is_first_heard_before_the_successor_is_told_is_named() -> None:
    """LT-5, LT-2: the successor's log is not complete yet, and gets that entry too before it may campaign."""
    one = leader_that_knows_one_disk()
    one.state.leader.transfer_to = None
    one.propose(b"x")
    one.raft.transfer_leadership(2, one.state.now)
    one.step(accepted(one, 3, 0, disk_id=300))
    assert disks(one) == {1: 100, 2: 200, 3: 300}
    assert not any(isinstance(message, TimeoutNow) for _, message in one.step(accepted(one, 2, 4, disk_id=200)))
    assert any(isinstance(message, TimeoutNow) for _, message in one.step(accepted(one, 2, 5, disk_id=200)))


def test_a_removed_leader_hands_over_to_who_can_lead() -> None:
    """NS-1, MC-7: the one whose log is furthest may be on another disk, and would not campaign."""
    five = frozenset({1, 2, 3, 4, 5})
    one = candidate(Configuration(voters=five, disks=tuple((voter, 100 * voter) for voter in sorted(five))))
    for voter in (3, 4):
        one.step(vote(one, voter, 100 * voter))
    for voter in (3, 4):
        one.step(accepted(one, voter, 2, disk_id=100 * voter))
    one.raft.change_membership(Configuration(voters=five - {1}))
    one.settle()
    one.step(accepted(one, 2, 3, disk_id=201))
    sent = [one.step(accepted(one, voter, 3, disk_id=100 * voter)) for voter in (5, 4, 3)][-1]
    assert [to for to, message in sent if isinstance(message, TimeoutNow)] == [3]


def test_confirmations_are_of_one_disk() -> None:
    """NS-1: what another disk answered confirms nothing, nor does the admitted one's late answer, but its next does."""
    one = leader_of()
    before = accepted(one, 2, 2, disk_id=200)
    one.raft.read_index(1, one.state.now)
    one.settle()
    one.step(accepted(one, 2, 2, disk_id=201))
    one.step(before)
    one.raft.read_index(2, one.state.now)
    one.settle()
    assert one.reads == []
    one.step(accepted(one, 2, 2, disk_id=200))
    assert one.state.leader.peers[2].counts
    assert [read.context for read in one.reads] == [1, 2]


def test_another_disk_is_looked_into_from_the_logs_end() -> None:
    """NS-1: to a new leader each disk is unknown; one that has it all already is not sent all of it again."""
    one = leader_of()
    one.step(accepted(one, 3, 0, disk_id=301))
    assert one.state.leader.peers[3].next_index == 2


def test_a_replacement_waits_for_other_changes() -> None:
    """NS-3, MC-3, MC-4: it is a change of members, and there is one at a time, after this term has committed."""
    one = candidate()
    one.step(vote(one, 2, 200))
    one.step(refused(one, 3, 2, 0, 1, disk_id=301))
    alive = lambda leader: accepted(leader, 2, 1, disk_id=200)  # noqa: E731
    let_time_pass(one, alive, lambda leader: accepted(leader, 3, 2, disk_id=301))
    assert one.state.commit_index == 0
    assert disks(one) == dict(ADMITTED.disks)
    one.step(accepted(one, 2, 2, disk_id=200))
    one.raft.change_membership(Configuration(voters=VOTERS | {4}))
    one.settle()
    let_time_pass(one, alive, lambda leader: accepted(leader, 3, 3, disk_id=301))
    assert disks(one) == dict(ADMITTED.disks)
    one.step(accepted(one, 2, 3, disk_id=200))
    one.step(accepted(one, 4, 3, disk_id=400))
    one.step(accepted(one, 2, one.state.log.last_index, disk_id=200))
    one.step(accepted(one, 4, one.state.log.last_index, disk_id=400))
    one.beat()
    assert disks(one)[3] == NO_DISK


def test_a_new_leader_goes_on_with_a_replacement() -> None:
    """NS-3: all of it is in the log; the disk that it hears from is the one to admit."""
    one = leader_of(ADMITTED.with_disks({3: NO_DISK}))
    assert not one.state.leader.peers[3].counts
    catch_up(one, 3, 302)
    assert disks(one)[3] == 302


# -- whole clusters --------------------------------------------------------------------------------------------------


def committed_by_two(cluster: Cluster) -> None:
    """All three are admitted; then servers 1 and 2 commit an entry that server 3 lacks, and stop."""
    cluster.campaign(1)
    cluster.run_until(lambda: len(cluster[1].state.configuration.disks) == 3)
    cluster.converge()
    cluster.crash(3)
    assert cluster.propose()
    last = cluster[1].state.log.last_index
    cluster.run_until(lambda: cluster[1].state.commit_index == last)
    for server_id in (1, 2):
        cluster.crash(server_id)


def wipe(cluster: Cluster, server_id: int) -> None:
    """Start a server that is down, on an empty disk."""
    cluster.down.discard(server_id)
    cluster[server_id].wipe(cluster.now)
    cluster.restart(server_id)


@pytest.mark.parametrize("first_back", [1, 3])
@pytest.mark.parametrize("pre_vote", [True, False])
def test_a_replaced_disk_cannot_vote_a_committed_entry_away(first_back: int, *, pre_vote: bool) -> None:
    """NS-1: committed by servers 1 and 2, and server 2 forgets: it elects nobody alone with one other, whichever."""
    cluster = Cluster(3, disk_ids=True, pre_vote=pre_vote)
    committed_by_two(cluster)
    wipe(cluster, 2)
    cluster.restart(first_back)
    cluster.run_for(20)
    assert cluster.leader is None
    cluster.restart(4 - first_back)
    cluster.elect()
    cluster.run_until(lambda: dict(cluster[1].state.configuration.disks)[2] == 201)
    cluster.converge()
    assert any(b"c1" in slot for slot in cluster[2].machine)


def test_a_replaced_disk_counts_in_the_next_election() -> None:
    """NS-3: once it is admitted, it elects with one other, whichever was away meanwhile."""
    cluster = Cluster(3, disk_ids=True)
    committed_by_two(cluster)
    wipe(cluster, 2)
    for server_id in (1, 3):
        cluster.restart(server_id)
    cluster.elect()
    cluster.run_until(lambda: dict(cluster[1].state.configuration.disks)[2] == 201)
    cluster.converge()
    cluster.crash(1)
    cluster.elect()
    cluster.converge()


def test_an_old_leader_commits_nothing_with_a_replaced_disk() -> None:
    """NS-3: cut off, with a leader after it that it knows nothing of, it has nobody's word to admit another disk."""
    cluster = Cluster(3, disk_ids=True, check_quorum=False)
    cluster.campaign(1)
    cluster.run_until(lambda: len(cluster[1].state.configuration.disks) == 3)
    cluster.converge()
    cluster.isolate(1)
    other = elect_another(cluster).id
    assert cluster.propose()
    cluster.run_for(1)
    committed = cluster[other].state.commit_index
    third = 5 - other
    cluster.crash(third)
    wipe(cluster, third)
    cluster.partition({1, third}, {other})
    cluster.run_for(20)
    assert cluster[1].state.commit_index < committed
    cluster.heal()
    cluster.elect()
    cluster.converge()


def elect_another(cluster: Cluster) -> Server:
    """Let time pass until there is a leader that has committed in a newer term than one that is cut off."""
    term = cluster.leader.state.current_term
    cluster.run_until(lambda: cluster.leader.state.current_term > term)
    return cluster.elect()


def test_a_server_never_reached_elects_with_one_that_was() -> None:
    """NS-1: servers 1 and 3 commit without server 2, and 1 is lost for good: 2 and 3 go on, with all that there is."""
    cluster = Cluster(3, disk_ids=True)
    cluster.isolate(2)
    cluster.campaign(1)
    assert cluster.propose()
    last = cluster[1].state.log.last_index
    cluster.run_until(lambda: cluster[1].state.commit_index == last)
    cluster.crash(1)
    cluster.heal()
    cluster.elect()
    assert cluster.leader is cluster[3]
    cluster.converge()
    assert any(b"c1" in slot for slot in cluster[2].machine)


def test_two_servers_of_one_name_do_no_harm() -> None:
    """NS-1, NS-3: a second server 3, on an empty disk beside the first, elects nobody and commits nothing."""
    cluster = Cluster(3, disk_ids=True)
    cluster.campaign(1)
    cluster.run_until(lambda: len(cluster[1].state.configuration.disks) == 3)
    cluster.converge()
    cluster.crash(2)
    cluster.propose()
    cluster.run_for(1)
    committed = cluster[1].state.commit_index
    assert committed == cluster[1].state.log.last_index
    # From here on server 2, which lacks the last entry, meets the second server 3 and not the first.
    cluster.crash(1)
    first, disk = cluster[3], cluster[3].disk
    cluster.crash(3)
    wipe(cluster, 3)
    cluster.restart(2)
    cluster.run_for(20)
    assert cluster.leader is None
    # Then the first is there again, as if it had never been away.
    cluster.crash(3)
    first.disk, first.disk_id = disk, 300
    cluster.restart(3)
    cluster.elect()
    assert cluster.leader is cluster[3]
    cluster.converge()


def test_an_old_encoding_is_read() -> None:
    """A configuration of a version that knew no disks admits any."""
    old = msgspec.msgpack.encode([[1, 2], [], [], []])
    assert msgspec.msgpack.decode(old, type=Configuration) == Configuration(voters=frozenset({1, 2}))
    new = msgspec.msgpack.encode(ADMITTED)
    assert msgspec.msgpack.decode(new, type=Configuration) == ADMITTED


def test_replies_name_the_disk() -> None:
    """NS-1: each answer that the sender's word hangs on says for which disk it speaks."""
    one = server(disk_id=100)
    [(_, pre_vote)] = one.step(PreVote(2, 1, 7, 0, 0))
    [(_, granted)] = one.step(RequestVote(2, 1, 8, 0, 0))
    [(_, success)] = one.step(append_entries(1, terms=[1]))
    [(_, mismatch)] = one.step(AppendEntries(2, 1, 9, 5, 1, 0))
    assert [reply.disk_id for reply in (pre_vote, granted, success, mismatch)] == [100] * 4
