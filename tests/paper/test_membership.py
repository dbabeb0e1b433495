"""Changes of membership (paper, section 6; dissertation, chapter 4): MC-1 to MC-9."""

import msgspec
import pytest
from tests.support.raft_cluster import Cluster
from tests.support.raft_server import accepted, append_entries, leader, server

from oarlock.raft.messages import AppendEntries, TimeoutNow
from oarlock.raft.state import MembershipRefused, NotLeader, Role
from oarlock.raft.types import Configuration, Entry, EntryKind


def settled_leader(voters=(1, 2, 3)):
    """A leader that has committed its no-op at index 1."""
    sender = leader(voters)
    for peer in sorted(set(voters) - {1}):
        sender.step(accepted(sender, peer, 1))
    assert sender.state.commit_index == 1
    sender.forget_rules()
    return sender


def voters(*ids: int, learners=()) -> Configuration:
    """A configuration that is not joint."""
    return Configuration(voters=frozenset(ids), learners=frozenset(learners))


def joint(new, old) -> Configuration:
    """A joint configuration."""
    return Configuration(voters=frozenset(new), voters_outgoing=frozenset(old))


def configuring(term: int, configuration: Configuration) -> AppendEntries:
    """AppendEntries of server 2 that puts a configuration at index 1."""
    entry = Entry(1, term, EntryKind.CONFIGURATION, msgspec.msgpack.encode(configuration))
    return AppendEntries(2, term, 7, 0, 0, 0, (entry,))


def test_a_configuration_is_in_force_from_the_moment_it_is_in_the_log() -> None:
    """MC-1: uncommitted, it already says who counts; truncated, it says so no more."""
    follower = server(term=1)
    follower.step(configuring(1, voters(1, 2, 3, 4)))
    assert follower.state.commit_index == 0
    assert follower.state.configuration == voters(1, 2, 3, 4)
    assert "MC-1" in follower.rules()
    follower.step(append_entries(2, terms=[2]))
    assert follower.state.configuration == voters(1, 2, 3)


def test_while_joint_both_halves_commit() -> None:
    """MC-2: a majority of the new half alone, or of the old one alone, commits nothing."""
    sender = settled_leader((1, 2, 3))
    sender.raft.change_membership(voters(1, 4, 5))
    sender.settle()
    assert sender.state.configuration == joint((1, 4, 5), (1, 2, 3))
    sender.step(accepted(sender, 4, 2))
    sender.step(accepted(sender, 5, 2))
    assert sender.state.commit_index == 1
    sender.step(accepted(sender, 2, 2))
    assert sender.state.commit_index == 2
    assert "MC-2" in sender.rules()


def test_a_leader_first_commits_in_its_own_term() -> None:
    """MC-3: else two leaders in turn could commit changes to disjoint majorities."""
    sender = leader((1, 2, 3))
    with pytest.raises(MembershipRefused, match="own term"):
        sender.raft.change_membership(voters(1, 2, 3, 4))
    assert sender.state.configuration == voters(1, 2, 3)
    assert "MC-3" in sender.rules()


def test_one_change_at_a_time() -> None:
    """MC-4: the next change waits until the last is committed."""
    sender = settled_leader()
    sender.raft.change_membership(voters(1, 2, 3, 4))
    with pytest.raises(MembershipRefused, match="under way"):
        sender.raft.change_membership(voters(1, 2, 3, 4, 5))
    assert "MC-4" in sender.rules()
    sender.settle()
    for peer in (2, 3):
        sender.step(accepted(sender, peer, 2))
    sender.raft.change_membership(voters(1, 2, 3, 4, 5))
    assert sender.state.configuration == voters(1, 2, 3, 4, 5)


@pytest.mark.parametrize("target", [voters(1, 2, 3, 4), voters(1, 2), voters(1, 2, 3, learners=(4,))])
def test_one_voter_more_or_less_needs_no_joint_consensus(target: Configuration) -> None:
    """MC-5: majorities before and after overlap, so the new configuration is appended at once."""
    sender = settled_leader()
    sender.raft.change_membership(target)
    assert sender.state.configuration == target
    assert {"MC-1", "MC-5"} <= sender.rules()


def test_joint_consensus_is_left_when_it_commits() -> None:
    """MC-6: the leader then appends the new configuration by itself, which its half alone commits."""
    sender = settled_leader((1, 2, 3))
    sender.raft.change_membership(voters(1, 4, 5))
    sender.settle()
    for peer in (2, 4):
        sender.step(accepted(sender, peer, 2))
    assert sender.state.configuration == voters(1, 4, 5)
    assert sender.state.configuration_index == 3
    assert "MC-6" in sender.rules()
    sender.step(accepted(sender, 4, 3))
    assert sender.state.commit_index == 3


def test_a_removed_leader_hands_over_once_its_removal_is_committed() -> None:
    """MC-7: it leads, without counting itself, until then; its followers hear of the commit before it steps down."""
    sender = settled_leader()
    sender.raft.change_membership(voters(2, 3))
    sender.settle()
    sender.step(accepted(sender, 2, 2))
    assert sender.state.role is Role.LEADER
    assert sender.state.commit_index == 1
    sent = sender.step(accepted(sender, 3, 2))
    assert sender.state.commit_index == 2
    assert sender.state.role is Role.FOLLOWER
    news = [to for to, message in sent if isinstance(message, AppendEntries) and message.leader_commit == 2]
    assert news == [2, 3]
    assert [to for to, message in sent if isinstance(message, TimeoutNow)] == [2]
    assert "MC-7" in sender.rules()


def test_a_server_without_a_vote_does_not_campaign() -> None:
    """MC-8: a learner, or a server whose removal is committed, lets others lead."""
    learner = server(configuration=voters(2, 3, learners=(1,)), term=1)
    assert learner.time_out() == []
    assert learner.state.role is Role.FOLLOWER
    assert "MC-8" in learner.rules()


def test_a_server_whose_removal_is_not_committed_still_campaigns() -> None:
    """MC-8: it may be the only one whose log can win (dissertation 4.2.2); its own vote does not count."""
    removed = server((1, 2, 3), term=1)
    removed.step(configuring(1, voters(2, 3)))
    requests = removed.time_out()
    assert [to for to, _ in requests] == [2, 3]
    assert "MC-8" not in removed.rules()


def test_a_demoted_leader_hands_over_once_its_demotion_is_committed() -> None:
    """MC-7, MC-5: it leads, without counting itself, until then; after that it learns, and does not campaign (MC-8)."""
    sender = settled_leader()
    sender.raft.change_membership(voters(2, 3, learners=(1,)))
    sender.settle()
    assert not sender.state.configuration.is_joint
    sender.step(accepted(sender, 2, 2))
    assert (sender.state.role, sender.state.commit_index) == (Role.LEADER, 1)
    sent = sender.step(accepted(sender, 3, 2))
    assert (sender.state.role, sender.state.commit_index) == (Role.FOLLOWER, 2)
    assert [to for to, message in sent if isinstance(message, TimeoutNow)] == [2]
    assert sender.time_out() == []
    assert {"MC-5", "MC-7", "MC-8"} <= sender.rules()


def test_a_demoted_follower_is_served_and_does_not_count() -> None:
    """MC-1: from the moment its demotion is in the log its acknowledgements commit nothing; it gets all entries."""
    sender = settled_leader()
    sender.raft.change_membership(voters(1, 2, learners=(3,)))
    sender.settle()
    sender.step(accepted(sender, 3, 2))
    assert sender.state.commit_index == 1
    sender.step(accepted(sender, 2, 2))
    assert sender.state.commit_index == 2
    assert [to for to, _ in sender.propose(b"x")] == [2, 3]
    sender.step(accepted(sender, 3, 3))
    assert sender.state.commit_index == 2


def test_voters_demoted_together_count_in_the_outgoing_half() -> None:
    """MC-2: while joint a server may be a learner in the new half and still a voter in the old one."""
    sender = settled_leader((1, 2, 3, 4, 5))
    sender.raft.change_membership(voters(1, 2, 3, learners=(4, 5)))
    sender.settle()
    assert sender.state.configuration.is_joint
    sender.step(accepted(sender, 2, 2))
    assert sender.state.commit_index == 1
    sender.step(accepted(sender, 4, 2))
    assert sender.state.commit_index == 2
    assert sender.state.configuration == voters(1, 2, 3, learners=(4, 5))


def test_a_removed_follower_is_served_until_it_can_know() -> None:
    """MC-9: it receives the entry and the commit of its removal, and nothing after."""
    sender = settled_leader()
    sender.raft.change_membership(voters(1, 2))
    sent = sender.settle()
    assert 3 in [to for to, message in sent if isinstance(message, AppendEntries) and message.entries]
    sent = sender.step(accepted(sender, 2, 2))
    assert [message.leader_commit for to, message in sent if to == 3] == [2]
    sender.step(accepted(sender, 3, 2))
    assert [to for to, _ in sender.propose(b"x")] == [2]
    assert "MC-9" in sender.rules()
    assert sorted(sender.state.leader.peers) == [2]


def test_a_removed_follower_that_stays_silent_is_given_up() -> None:
    """MC-9: after two election timeouts a removed server is served no more."""
    sender = settled_leader()
    sender.raft.change_membership(voters(1, 2))
    sender.settle()
    sender.step(accepted(sender, 2, 2))
    for _ in range(40):
        sender.beat()
        sender.step(accepted(sender, 2, 2))
    assert sorted(sender.state.leader.peers) == [2]


@pytest.mark.parametrize(
    ("target", "text"),
    [
        (voters(), "needs a voter"),
        (voters(1, 2, 3), "already"),
        (voters(1, 2, learners=(2,)), "both vote and learn"),
        (joint((1, 2), (3,)), "joint"),
    ],
)
def test_impossible_targets_are_refused(target: Configuration, text: str) -> None:
    """A change that cannot be is refused with its reason, and changes nothing."""
    sender = settled_leader()
    with pytest.raises(MembershipRefused, match=text):
        sender.raft.change_membership(target)
    assert sender.state.log.last_index == 1


def test_only_a_leader_changes_members() -> None:
    """A follower names its leader instead."""
    follower = server(term=1)
    follower.step(append_entries(1))
    with pytest.raises(NotLeader) as refusal:
        follower.raft.change_membership(voters(1, 2))
    assert refusal.value.leader_id == 2


def test_a_cluster_is_replaced_wholly_while_it_works() -> None:
    """MC-2, MC-6, MC-7: three servers make way for three others; commands commit before, during and after."""
    cluster = Cluster(6, configuration=Configuration(voters=frozenset({1, 2, 3}), learners=frozenset({4, 5, 6})))
    cluster.elect()
    assert cluster.propose()
    cluster.run_until(lambda: cluster.change_membership({4, 5, 6}))
    assert cluster.propose()
    cluster.run_until(lambda: cluster.leader is not None and cluster.leader.id in {4, 5, 6})
    cluster.run_until(cluster.propose)
    for server_id in (1, 2, 3):
        cluster.crash(server_id)
    cluster.converge()
    assert cluster.leader.state.configuration == voters(4, 5, 6)
