"""Members that come, go, lead and are told."""

from oarlock.raft.messages import AppendEntries
from oarlock.raft.types import Configuration
from oarlock.zoo.core.broken import require
from oarlock.zoo.core.cluster import Cluster
from oarlock.zoo.core.scenes.stage import (
    AT_ONCE_S,
    HEARTBEAT_S,
    SOON_S,
    TIMEOUT_S,
    campaign_up_to,
    converge,
    elect,
    lead,
    make,
    someone_leads,
)


def a_removed_server_campaigns(seed: int) -> None:
    """With check-quorum, a server that was removed while it was away deposes nobody when it is back."""
    cluster = make(4, seed, pre_vote=False)
    leader = elect(cluster, 1)
    converge(cluster)
    cluster.isolate(4)
    require(cluster.change_membership({1, 2, 3}), "a leader changes members", cluster.describe())
    cluster.run_for(4 * TIMEOUT_S)
    term = leader.state.current_term
    cluster.heal()
    cluster.run_for(SOON_S)
    stays = leader.state.leader is not None
    terms = [cluster[each].state.current_term for each in (1, 2, 3)]
    require(stays and terms == [term] * 3, "a leader is not deposed without need", cluster.describe())


def a_learner_is_left_alone(seed: int) -> None:
    """A learner that hears nobody does not campaign."""
    members = Configuration(voters=frozenset({1, 2, 3}), learners=frozenset({4}))
    cluster = make(members, seed, pre_vote=False, check_quorum=False)
    elect(cluster, 1)
    converge(cluster)
    term = cluster[4].state.current_term
    cluster.isolate(4)
    cluster.run_for(SOON_S)
    require(cluster[4].state.current_term == term, "who has no vote does not campaign", cluster.describe())


def a_removed_server_is_told(seed: int) -> None:
    """A server that is removed gets to know it."""
    cluster = make(4, seed)
    elect(cluster, 1)
    converge(cluster)
    require(cluster.change_membership({1, 2, 3}), "a leader changes members", cluster.describe())

    def knows() -> bool:
        state = cluster[4].state
        return 4 not in state.configuration.members and state.commit_index >= state.configuration_index

    cluster.run_until(knows, SOON_S, "who is removed is told")


def a_removed_server_stays_away(seed: int) -> None:
    """A server that is removed while it is away is waited for, so that it may still be told, but not for ever."""
    cluster = make(3, seed, check_quorum=False)
    leader = elect(cluster, 1)
    converge(cluster)
    cluster.isolate(3)
    require(cluster.change_membership({1, 2}), "a leader changes members", cluster.describe())

    def is_served() -> bool:
        return leader.state.leader is not None and 3 in leader.state.leader.peers

    cluster.run_for(2 * TIMEOUT_S - AT_ONCE_S)
    require(is_served(), "who is removed is told", "server 3 is given up before it could be told")
    cluster.run_for(3 * HEARTBEAT_S)
    require(not is_served(), "who is removed and away is given up", cluster.describe())


def a_learner_gets_a_vote(seed: int) -> None:
    """A learner that becomes a voter is admitted with the disk that it was heard from; its word counts at once."""
    members = Configuration(voters=frozenset({1, 2, 3}), learners=frozenset({4}))
    cluster = make(members, seed, disk_ids=True)
    _all_admitted(cluster)
    leader = cluster[1]
    require(cluster.change_membership({1, 2, 3, 4}), "a leader changes members", cluster.describe())
    found = leader.state.configuration.disk_of(4)
    require(found == 400, "a voter is admitted", f"server 4 was heard from disk 400, and is admitted with {found}")
    converge(cluster)
    cluster.crash(2)
    cluster.propose()
    index = leader.state.log.last_index
    cluster.run_until(lambda: len(leader.machine) >= index, AT_ONCE_S, "writes are answered promptly")


def the_leader_is_removed(seed: int) -> None:
    """A leader that is removed makes room at once."""
    cluster = make(3, seed)
    leader = elect(cluster, 1)
    converge(cluster)
    require(cluster.change_membership({2, 3}), "a leader changes members", cluster.describe())
    cluster.run_until(lambda: leader.state.leader is None, AT_ONCE_S, "a removed leader makes room")
    someone_leads(cluster, without=1)


def everybody_is_replaced(seed: int) -> None:
    """Joint consensus is entered, passed and left; who was three is three others."""
    members = Configuration(voters=frozenset({1, 2, 3}), learners=frozenset({4, 5, 6}))
    cluster = make(members, seed)
    elect(cluster, 1)
    converge(cluster)
    require(cluster.change_membership({4, 5, 6}), "a leader changes members", cluster.describe())

    def is_done() -> bool:
        leader = cluster.leader
        voters = leader.state.configuration.voters if leader is not None else frozenset()
        return leader is not None and leader.is_leading and voters == {4, 5, 6} and leader.id in voters

    cluster.run_until(is_done, SOON_S, "changes of members end")
    cluster.run_for(0.5)
    leader = someone_leads(cluster)
    require(not leader.state.configuration.is_joint, "changes of members end", cluster.describe())


def two_halves_elect(seed: int) -> None:
    """While joint, the new half alone elects nobody: the old one, which may not know yet, could do so too."""
    members = Configuration(voters=frozenset({1, 2, 3}), learners=frozenset({4, 5, 6}))
    cluster = make(members, seed, pre_vote=False, check_quorum=False)
    elect(cluster, 1)
    converge(cluster)
    cluster.drop = lambda source, to, message: isinstance(message, AppendEntries) and to in (2, 3)  # noqa: ARG005
    require(cluster.change_membership({4, 5, 6}), "a leader changes members", cluster.describe())
    cluster.run_for(0.02)
    cluster.crash(1)
    cluster.partition({2, 3}, {4, 5, 6})
    for _ in range(2):
        cluster.time_out(4)
        cluster.run_for(0.01)
    campaign_up_to(cluster, 2, cluster[4].state.current_term)
    cluster.drop = lambda source, to, message: False  # noqa: ARG005
    cluster.heal()
    cluster.restart(1)
    someone_leads(cluster)


def two_leaders_change_members(seed: int) -> None:
    """Two leaders in turn, each changing one member at once, do not come to count on majorities that never meet."""
    cluster = make(4, seed, pre_vote=False, check_quorum=False)
    elect(cluster, 1)
    converge(cluster)
    cluster.isolate(1)
    cluster.change_membership({1, 2, 3})
    cluster.run_for(0.01)
    cluster.drop = lambda source, to, message: isinstance(message, AppendEntries)  # noqa: ARG005
    lead(cluster, cluster[2])
    cluster.change_membership({2, 3, 4})
    cluster.drop = lambda source, to, message: isinstance(message, AppendEntries) and to != 4  # noqa: ARG005
    cluster.run_for(0.3)
    cluster.partition({1, 3}, {2, 4})
    cluster.crash(1)
    cluster.restart(1)
    lead(cluster, cluster[1])
    cluster.drop = lambda source, to, message: False  # noqa: ARG005
    cluster.heal()
    converge(cluster)


def _all_admitted(cluster: Cluster) -> None:
    """Have server 1 lead, and every disk admitted by every log."""
    elect(cluster, 1)
    converge(cluster)
    cluster.run_for(0.1)
    converge(cluster)


def a_disk_is_replaced(seed: int) -> None:
    """A server on a new disk helps nobody to lead who lacks what it had acknowledged, and counts again in the end."""
    cluster = make(3, seed, disk_ids=True)
    _all_admitted(cluster)
    cluster.isolate(3)
    cluster.propose()
    cluster.run_for(0.02)
    cluster.crash(2)
    cluster[2].replace_disk()
    cluster.isolate(1)
    cluster.restart(2)
    cluster.run_for(SOON_S)
    cluster.heal()
    converge(cluster)
    reported = [server.id for server in cluster.live if 2 in server.moved]
    require(reported, "another disk is reported", "nobody says that server 2 is on another disk")
    cluster.run_for(SOON_S)
    cluster.propose()
    converge(cluster)
    cluster.crash(1)
    someone_leads(cluster)


def a_disk_forgets(seed: int) -> None:
    """A server whose disk lost all that it had is given it again, by a leader that did not see it go."""
    cluster = make(3, seed)
    elect(cluster, 1)
    converge(cluster)
    for _ in range(5):
        cluster.propose()
    converge(cluster)
    cluster.crash(2)
    cluster[2].lose_data()
    cluster.restart(2)
    cluster.propose()
    converge(cluster)
    require(2 in cluster[1].denied, "lost data is reported", "nobody says that server 2 lost what it had")


def a_deposed_leader_meets_a_new_disk(seed: int) -> None:
    """A leader that does not know of its successor commits nothing with the help of a server that has forgotten it."""
    cluster = make(3, seed, disk_ids=True, pre_vote=False, check_quorum=False)
    _all_admitted(cluster)
    cluster.isolate(1)
    lead(cluster, cluster[2])
    cluster.propose()
    cluster.run_for(0.1)
    cluster.crash(3)
    cluster[3].replace_disk()
    cluster.partition({1, 3}, {2})
    cluster.restart(3)
    for _ in range(20):
        cluster[1].raft.propose([b"lost"])
        cluster.carry_out(cluster[1])
        cluster.run_for(0.1)
    cluster.heal()
    cluster.run_for(SOON_S)
    converge(cluster)


MEMBERSHIP = (
    a_disk_is_replaced,
    a_disk_forgets,
    a_deposed_leader_meets_a_new_disk,
    a_removed_server_campaigns,
    a_learner_is_left_alone,
    a_removed_server_is_told,
    a_removed_server_stays_away,
    a_learner_gets_a_vote,
    the_leader_is_removed,
    everybody_is_replaced,
    two_halves_elect,
    two_leaders_change_members,
)
"""The scenes of this module."""
