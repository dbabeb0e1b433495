"""Elections, pre-vote and check-quorum."""

from oarlock.raft.messages import AppendEntries, InstallSnapshotReply, RequestVoteReply
from oarlock.raft.types import HardState
from oarlock.zoo.core.broken import require
from oarlock.zoo.core.scenes.stage import (
    AT_ONCE_S,
    HEARTBEAT_S,
    SOON_S,
    TIMEOUT_S,
    campaign_up_to,
    converge,
    elect,
    in_agreement,
    lead,
    make,
    propose,
    someone_leads,
)

_UNDISTURBED = "a leader is not deposed without need"


def all_start_together(seed: int) -> None:
    """Servers that start at one moment on a network with one delay elect a leader, be they three or five."""
    for size in (3, 5):
        for pre_vote in (False, True):
            someone_leads(make(size, seed, pre_vote=pre_vote))


def votes_get_lost(seed: int) -> None:
    """Elections in which every vote was lost are held again."""
    cluster = make(3, seed, pre_vote=False)
    cluster.drop = lambda source, to, message: isinstance(message, RequestVoteReply)  # noqa: ARG005
    cluster.run_for(1.5)
    cluster.drop = lambda source, to, message: False  # noqa: ARG005
    someone_leads(cluster)


def a_stale_log_campaigns(seed: int) -> None:
    """A server that cannot win, and campaigns often, does not keep the one that can from doing so."""
    hasty: dict[str, object] = {"election_timeout_ms": 100, "heartbeat_interval_ms": 20}
    cluster = make(3, seed, pre_vote=False, check_quorum=False, own={3: hasty})
    elect(cluster, 1)
    cluster.isolate(3)
    propose(cluster, 3)
    cluster.run_for(0.2)
    cluster.crash(1)
    cluster.heal()
    someone_leads(cluster)


def a_long_log_of_an_old_term(seed: int) -> None:
    """A log with many entries of an old term is no match for one that ends in a newer."""
    cluster = in_agreement(seed)
    cluster.isolate(1)
    propose(cluster, 5)
    cluster.run_for(0.01)
    elect(cluster, 2)
    cluster.run_for(0.1)
    cluster.crash(2)
    cluster.crash(1)
    cluster.restart(1)
    cluster.heal()
    for _ in range(4):
        cluster.time_out(1)
        cluster.run_for(0.01)
    someone_leads(cluster)


def a_candidate_of_an_old_term(seed: int) -> None:
    """Servers that have moved on elect nobody in a term in which they have elected another."""
    cluster = make(5, seed, pre_vote=False, check_quorum=False)
    cluster.isolate(4)
    elect(cluster, 1)
    cluster.run_for(0.1)
    cluster.drop = lambda source, to, message: isinstance(message, AppendEntries)  # noqa: ARG005
    cluster.partition({1, 2, 5})
    term = lead(cluster, cluster[5]).state.current_term
    cluster.partition({1, 2, 4})
    campaign_up_to(cluster, 4, term + 1)
    cluster.partition({1, 2, 3})
    campaign_up_to(cluster, 3, term)
    cluster.drop = lambda source, to, message: False  # noqa: ARG005
    cluster.heal()
    someone_leads(cluster)


def two_campaign_in_one_term(seed: int) -> None:
    """Of two candidates of a term, the one that loses follows the one that wins."""
    cluster = make(3, seed, pre_vote=False, check_quorum=False)
    cluster.isolate(2)
    leader = elect(cluster, 1)
    campaign_up_to(cluster, 2, leader.state.current_term)
    cluster.heal()
    term = leader.state.current_term
    cluster.run_for(SOON_S)
    stays = leader.state.leader is not None and leader.state.current_term == term
    require(stays, _UNDISTURBED, cluster.describe())
    converge(cluster)


def a_hopeless_server_asks(seed: int) -> None:
    """A server whose log lacks too much learns by asking that it would lose, and raises no term."""
    cluster = make(3, seed, own={2: {"election_timeout_ms": 60_000}})
    elect(cluster, 1)
    cluster.isolate(3)
    propose(cluster, 3)
    cluster.run_for(0.05)
    cluster.crash(1)
    cluster.heal()
    term = cluster[2].state.current_term
    cluster[2].state.last_leader_contact = float("-inf")
    cluster.run_for(2)
    terms = [server.state.current_term for server in cluster.live]
    require(terms == [term, term], "who cannot win raises no term", cluster.describe())


def the_deposed_leader_hears_nobody(seed: int) -> None:
    """The heartbeats of a leader of an older term keep nobody from campaigning."""
    cluster = make(5, seed, pre_vote=False, check_quorum=False)
    elect(cluster, 1)
    cluster.isolate(1)
    elect(cluster, 2)
    cluster.crash(2)
    cluster.cut = {(other, 1) for other in cluster.servers}
    someone_leads(cluster, without=1)


def the_deposed_leader_sends_a_snapshot(seed: int) -> None:
    """The chunks of a leader of an older term keep nobody from campaigning, and from voting."""
    cluster = make(5, seed, snapshot_retry_ms=100, own={1: {"check_quorum": False}})
    leader = elect(cluster, 1)
    cluster.isolate(3)
    propose(cluster, 10)
    cluster.run_for(0.1)
    leader.compact()
    cluster.carry_out(leader)
    cluster.drop = lambda source, to, message: isinstance(message, InstallSnapshotReply)  # noqa: ARG005
    cluster.heal()
    cluster.run_for(0.2)
    cluster.drop = lambda source, to, message: False  # noqa: ARG005
    cluster.isolate(1)
    someone_leads(cluster, without=1)
    converge_others = [server for server in cluster.servers.values() if server.id != 1]
    last = converge_others[0].state.log.last_index
    cluster.run_until(lambda: all(len(each.machine) >= last for each in converge_others), SOON_S, "laggards catch up")
    second = someone_leads(cluster, without=1)
    if second.id == 3:
        second = elect(cluster, 2)
    cluster.crash(second.id)
    cluster.cut = {(other, 1) for other in cluster.servers}
    someone_leads(cluster, without=1)


def peace(seed: int) -> None:
    """With everything in order a leader stays, and requests wait for no timer."""
    for settings in ({}, {"pre_vote": False, "check_quorum": False}):
        cluster = make(3, seed, **settings)
        leader = someone_leads(cluster)
        term = leader.state.current_term
        cluster.run_for(3)
        stays = leader.state.leader is not None and leader.state.current_term == term
        require(stays, "leadership settles", cluster.describe())
        cluster.propose()
        index = leader.state.log.last_index
        cluster.run_until(lambda: len(leader.machine) >= index, AT_ONCE_S, "writes are answered promptly")  # noqa: B023
        converge(cluster, HEARTBEAT_S + AT_ONCE_S, "followers apply promptly")
        for server_id in cluster.servers:
            answered = cluster.watch.reads_answered
            cluster.read(server_id)
            cluster.run_until(
                lambda: cluster.watch.reads_answered > answered,  # noqa: B023
                AT_ONCE_S,
                "reads are answered promptly",
            )


def a_follower_awaits_its_command(seed: int) -> None:
    """A follower that forwarded a command applies it without waiting for a timer."""
    cluster = make(3, seed, commit_news_delay_ms=50)
    leader = elect(cluster, 1)
    cluster.run_for(0.425)
    leader.raft.propose([b"forwarded"], awaited_by=2)
    cluster.carry_out(leader)
    index = leader.state.log.last_index
    cluster.run_until(lambda: len(cluster[2].machine) >= index, AT_ONCE_S, "who asked is told promptly")


def a_server_flaps(seed: int) -> None:
    """With pre-vote, a server whose link comes and goes keeps its term, and the leader its office."""
    for check_quorum in (True, False):
        cluster = make(3, seed, check_quorum=check_quorum)
        leader = someone_leads(cluster)
        term = leader.state.current_term
        flapping = cluster.others(leader)[0]
        for _ in range(4):
            cluster.isolate(flapping.id)
            cluster.run_for(0.8)
            cluster.heal()
            cluster.run_for(0.2)
        terms = {server.state.current_term for server in cluster.live}
        require(terms == {term} and cluster.leader is leader, _UNDISTURBED, cluster.describe())


def a_flapping_server_times_out(seed: int) -> None:
    """A server that reaches the others, but does not hear the leader, deposes nobody."""
    cluster = make(3, seed, check_quorum=False)
    leader = someone_leads(cluster)
    term = leader.state.current_term
    deaf = cluster.others(leader)[0]
    cluster.cut = {(leader.id, deaf.id)}
    cluster.run_for(2)
    stays = cluster.leader is leader and leader.state.current_term == term
    require(stays, _UNDISTURBED, cluster.describe())


def the_leader_restarts_at_once(seed: int) -> None:
    """A leader that restarts in a blink, and is the first to time out, need not wait until it is forgotten."""
    cluster = make(3, seed)
    leader = elect(cluster, 1)
    cluster.run_for(0.1)
    cluster.crash(1)
    cluster.restart(1)
    cluster.time_out(1)
    cluster.run_until(lambda: leader.is_leading, AT_ONCE_S, "who was the leader may lead again")


def long_log_old_term(seed: int) -> None:
    """Of two servers, one with the longer log and one with the higher term, the first comes to lead."""
    cluster = make(3, seed)
    elect(cluster, 1)
    converge(cluster)
    cluster.isolate(1)
    propose(cluster, 3)
    cluster.run_for(0.01)
    for server_id in cluster.servers:
        cluster.crash(server_id)
    cluster[2].disk.hard_state = HardState(9, None)
    cluster.heal()
    cluster.restart(1)
    cluster.restart(2)
    someone_leads(cluster)


def a_higher_term_comes_back(seed: int) -> None:
    """Without pre-vote, a server whose term rose while it was away is taken in again."""
    cluster = make(3, seed, pre_vote=False)
    leader = someone_leads(cluster)
    away = cluster.others(leader)[0]
    cluster.isolate(away.id)
    cluster.run_for(2)
    propose(cluster, 2)
    cluster.heal()
    cluster.run_for(1)
    converge(cluster)
    answered = cluster.watch.reads_answered
    someone_leads(cluster)
    cluster.read(away.id)
    cluster.run_until(lambda: cluster.watch.reads_answered > answered, AT_ONCE_S, "reads are answered promptly")


def the_leader_hears_nobody(seed: int) -> None:
    """A leader that is heard, and hears nobody, makes room for another."""
    cluster = make(3, seed)
    leader = someone_leads(cluster)
    cluster.cut = {(other, leader.id) for other in cluster.servers}
    cluster.run_until(lambda: leader.state.leader is None, 2 * TIMEOUT_S + HEARTBEAT_S, "who has no quorum steps down")
    someone_leads(cluster, without=leader.id)


def the_leaders_disk_stalls(seed: int) -> None:
    """A leader whose disk does not answer makes room for another."""
    cluster = make(3, seed)
    leader = elect(cluster, 1)
    cluster.stalled = {1}
    cluster.propose()
    require(leader.writing, "a write is under way", cluster.describe())
    cluster.run_until(lambda: leader.state.leader is None, TIMEOUT_S + AT_ONCE_S, "whose disk stalls steps down")
    someone_leads(cluster, without=1)


def an_election_is_lost(seed: int) -> None:
    """Who is refused by a majority campaigns no more, and waits as all others do."""
    cluster = in_agreement(seed)
    cluster.isolate(3)
    propose(cluster, 2)
    cluster.run_for(AT_ONCE_S)
    cluster.heal()
    loser = cluster[3]
    cluster.crash(1)
    cluster.restart(1)
    cluster.drop = lambda source, to, message: isinstance(message, AppendEntries)  # noqa: ARG005
    cluster.time_out(3)
    cluster.run_until(lambda: loser.state.candidate is not None, AT_ONCE_S, "who times out campaigns")
    cluster.run_for(0.005)
    require(loser.state.candidate is None, "an election that is lost ends", cluster.describe())
    cluster.drop = lambda source, to, message: False  # noqa: ARG005
    someone_leads(cluster, without=3)
    converge(cluster)


ELECTIONS = (
    all_start_together,
    votes_get_lost,
    a_stale_log_campaigns,
    a_long_log_of_an_old_term,
    a_candidate_of_an_old_term,
    two_campaign_in_one_term,
    a_hopeless_server_asks,
    the_deposed_leader_hears_nobody,
    the_deposed_leader_sends_a_snapshot,
    peace,
    a_follower_awaits_its_command,
    a_server_flaps,
    a_flapping_server_times_out,
    the_leader_restarts_at_once,
    long_log_old_term,
    a_higher_term_comes_back,
    the_leader_hears_nobody,
    the_leaders_disk_stalls,
    an_election_is_lost,
)
"""The scenes of this module."""
