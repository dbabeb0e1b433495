"""Handing over leadership."""

from oarlock.raft.messages import TimeoutNow
from oarlock.raft.types import Configuration
from oarlock.zoo.core.broken import require
from oarlock.zoo.core.cluster import Cluster
from oarlock.zoo.core.scenes.stage import (
    AT_ONCE_S,
    HEARTBEAT_S,
    SOON_S,
    TIMEOUT_S,
    converge,
    elect,
    make,
    propose,
    someone_leads,
)

_SUCCESSOR = "the successor leads soon"


def leadership_is_handed_over(seed: int) -> None:
    """A transfer waits for no timeout."""
    cluster = make(3, seed)
    elect(cluster, 1)
    converge(cluster)
    cluster.transfer(2)
    cluster.run_until(lambda: cluster[2].is_leading, AT_ONCE_S, _SUCCESSOR)


def the_successor_lags(seed: int) -> None:
    """A successor that lacks entries gets them, and then leads."""
    cluster = make(3, seed)
    leader = elect(cluster, 1)
    converge(cluster)
    cluster.isolate(2)
    propose(cluster, 20)
    cluster.run_for(0.05)
    cluster.heal()
    cluster.transfer(2)
    leader.raft.peer_unreachable(2)
    cluster.carry_out(leader)
    cluster.run_until(lambda: cluster[2].is_leading, AT_ONCE_S, _SUCCESSOR)


def commands_keep_coming(seed: int) -> None:
    """A transfer ends although clients go on asking."""
    cluster = make(3, seed)
    elect(cluster, 1)
    cluster.delay = lambda source, to, message: 0.02  # noqa: ARG005
    cluster.run_for(0.1)
    propose(cluster, 1)
    cluster.transfer(2)
    for _ in range(60):
        cluster.propose()
        cluster.run_for(0.005)
    require(cluster[2].state.leader is not None, _SUCCESSOR, cluster.describe())


def the_successor_is_gone(seed: int) -> None:
    """A transfer to a server that is down is given up after an election timeout, and commands are taken again."""
    cluster = make(3, seed)
    elect(cluster, 1)
    cluster.crash(2)
    propose(cluster, 1)
    cluster.transfer(2)
    cluster.run_for(TIMEOUT_S - AT_ONCE_S)
    require(not cluster.propose(), "a transfer is given its time", cluster.describe())
    cluster.run_for(HEARTBEAT_S + 2 * AT_ONCE_S)
    require(cluster.propose(), "takes commands again", cluster.describe())


def a_voter_is_first_heard_meanwhile(seed: int) -> None:
    """That a disk is to be named makes nothing longer than the log of the successor, who may campaign already."""
    cluster = _one_unheard(seed)
    cluster.delay = lambda source, to, message: 1.5 * HEARTBEAT_S if to == 2 else 0.001  # noqa: ARG005
    cluster.heal()
    cluster.transfer(2)
    cluster.run_until(lambda: cluster[2].is_leading, TIMEOUT_S, _SUCCESSOR)
    _all_are_named(cluster)


def a_voter_is_first_heard_in_vain(seed: int) -> None:
    """A voter that nobody listened to during a transfer is listened to when that is given up."""
    cluster = _one_unheard(seed)
    cluster.drop = lambda source, to, message: isinstance(message, TimeoutNow)  # noqa: ARG005
    cluster.heal()
    cluster.transfer(2)
    cluster.run_for(TIMEOUT_S + HEARTBEAT_S + AT_ONCE_S)
    require(cluster.propose(), "takes commands again", cluster.describe())
    _all_are_named(cluster)


def members_change_meanwhile(seed: int) -> None:
    """Joint consensus that is committed during a transfer is left by the successor."""
    cluster = _joint(seed)
    cluster.transfer(2)
    cluster.run_until(lambda: cluster[2].state.leader is not None, TIMEOUT_S, _SUCCESSOR)
    _joint_consensus_is_left(cluster)


def members_change_and_nobody_succeeds(seed: int) -> None:
    """Joint consensus that is committed during a transfer is left by the leader when that is given up."""
    cluster = _joint(seed)
    cluster.drop = lambda source, to, message: isinstance(message, TimeoutNow)  # noqa: ARG005
    cluster.transfer(2)
    _joint_consensus_is_left(cluster)


def _joint(seed: int) -> Cluster:
    """A leader and one follower know of joint consensus; the others will before that follower hears more."""
    cluster = make(Configuration(voters=frozenset({1, 2, 3}), learners=frozenset({4, 5})), seed)
    leader = elect(cluster, 1)
    converge(cluster)
    cluster.delay = lambda source, to, message: 0.001 if to < 3 else HEARTBEAT_S / 2  # noqa: ARG005
    require(cluster.change_membership({1, 2, 3, 4, 5}), "a leader changes members", cluster.describe())
    cluster.run_for(0.01)
    require(leader.state.configuration.is_joint, "a leader changes members", cluster.describe())
    cluster.delay = lambda source, to, message: 1.5 * HEARTBEAT_S if to == 2 else 0.001  # noqa: ARG005
    return cluster


def _joint_consensus_is_left(cluster: Cluster) -> None:
    cluster.run_for(SOON_S)
    require(not someone_leads(cluster).state.configuration.is_joint, "changes of members end", cluster.describe())


def _one_unheard(seed: int) -> Cluster:
    """Server 1 leads, and has not heard server 3 yet, whose disk it does not know."""
    cluster = make(3, seed, disk_ids=True)
    cluster.isolate(3)
    elect(cluster, 1)
    cluster.run_for(AT_ONCE_S)
    return cluster


def _all_are_named(cluster: Cluster) -> None:
    converge(cluster)
    disks = {each: someone_leads(cluster).state.configuration.disk_of(each) for each in (1, 2, 3)}
    require(None not in disks.values(), "a voter is admitted", f"the disks that are admitted: {disks}")


TRANSFERS = (
    leadership_is_handed_over,
    the_successor_lags,
    commands_keep_coming,
    the_successor_is_gone,
    a_voter_is_first_heard_meanwhile,
    a_voter_is_first_heard_in_vain,
    members_change_meanwhile,
    members_change_and_nobody_succeeds,
)
"""The scenes of this module."""
