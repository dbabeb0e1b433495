"""A run of cores from a seed: settings, faults and clients drawn from it, then healing, and what is owed after that."""

import contextlib
import random
from collections import deque
from collections.abc import Callable
from typing import Any

from oarlock.raft.types import Configuration
from oarlock.zoo.core.broken import require
from oarlock.zoo.core.cluster import Cluster
from oarlock.zoo.core.play import Act, Play, perform
from oarlock.zoo.core.server import Server

_CONFIGURATIONS = (
    Configuration(voters=frozenset({1, 2, 3})),
    Configuration(voters=frozenset({1, 2, 3}), learners=frozenset({4})),
    Configuration(voters=frozenset({1, 2, 3, 4, 5})),
    Configuration(voters=frozenset({1, 2, 3}), voters_outgoing=frozenset({3, 4, 5})),
)
_ELECTION_TIMEOUT_S = 0.3
_STEPS = 200
_STEP_S = 0.05
_LEADER_S = 10 * _ELECTION_TIMEOUT_S
_CATCH_UP_S = 20 * _ELECTION_TIMEOUT_S
_PROMPT_S = 0.02
"""On a whole network with delays of a millisecond and disks that take no time."""
_NEXT_HEARTBEAT_S = 0.06 + _PROMPT_S
"""News of commitment that nobody awaits travels with it at the latest."""


def run_seed(seed: int) -> Cluster:
    """One run.

    Raises:
        Broken: Something does not hold.
    """
    return _run(seed, lambda act: None)  # noqa: ARG005 - nobody looks


def play_of(seed: int) -> Play:
    """The run of a seed as a list of what is done to it, up to where it breaks."""
    acts: list[Act] = []
    with contextlib.suppress(Exception):  # changed code may raise anything; what was done until then counts
        _run(seed, acts.append)
    return Play(seed=seed, members=_configuration_of(seed), settings=_settings_of(seed), acts=acts)


def run_play(play: Play) -> Cluster:
    """Do what a play says, and hold the cluster to what it then owes.

    Raises:
        Broken: Something does not hold.
    """
    cluster = Cluster(_CONFIGURATIONS[play.members], play.seed, faults=play.faults, **play.settings)
    acts = deque(play.acts)
    for step in range(play.acts[-1].step + 1 if play.acts else 0):
        cluster.run_for(_STEP_S)
        while acts and acts[0].step == step:
            perform(cluster, acts.popleft())
    cluster.run_for(_STEP_S)
    cluster.end_faults()
    settle(cluster, random.Random(f"zoo/play/{play.seed}"))  # noqa: S311
    return cluster


def _run(seed: int, note: Callable[[Act], None]) -> Cluster:
    rng = _rng(seed)
    settings = _draw_settings(rng)
    cluster = Cluster(_CONFIGURATIONS[settings.pop("members")], seed, faults=True, **settings)
    for step in range(_STEPS):
        cluster.run_for(_STEP_S)
        act = _draw(cluster, rng, step)
        if act is not None:
            note(act)
            perform(cluster, act)
    cluster.end_faults()
    settle(cluster, rng)
    return cluster


def _rng(seed: int) -> random.Random:
    return random.Random(f"zoo/run/{seed}")  # noqa: S311


def _configuration_of(seed: int) -> int:
    return int(_draw_settings(_rng(seed))["members"])


def _settings_of(seed: int) -> dict[str, Any]:
    settings = _draw_settings(_rng(seed))
    del settings["members"]
    return settings


def _draw_settings(rng: random.Random) -> dict[str, Any]:
    lease = rng.random() < 0.3
    return {
        "members": rng.choice(range(len(_CONFIGURATIONS))),
        "election_timeout_ms": round(_ELECTION_TIMEOUT_S * 1000),
        "heartbeat_interval_ms": 60,
        "pre_vote": rng.random() < 0.7,
        "check_quorum": lease or rng.random() < 0.7,
        "lease_reads": lease,
        "max_message_bytes": rng.choice((8, 64, 1 << 20)),
        "max_inflight_messages": rng.choice((1, 3, 256)),
        "max_uncommitted_bytes": rng.choice((10, 1 << 20)),
        "max_pending_reads": rng.choice((2, 4096)),
        "snapshot_retry_ms": 200,
    }


def _draw(cluster: Cluster, rng: random.Random, step: int) -> Act | None:
    """One of the things that happen to a cluster."""
    ids = sorted(cluster.servers)
    leader = cluster.leader
    one = leader.id if leader is not None and rng.random() < 0.25 else rng.choice(ids)
    is_up = one not in cluster.down
    action = rng.random()
    if action < 0.3:
        return Act(step, "propose", times=rng.choice((1, 1, 5)))
    if action < 0.45:
        return Act(step, "read", one, times=rng.choice((1, 3))) if is_up else None
    if action < 0.49:
        side = {one, *rng.sample(ids, rng.randint(0, len(ids) - 2))}
        return Act(step, "partition", servers=sorted(side))
    if action < 0.54:
        return Act(step, "heal")
    if action < 0.6:
        return Act(step, "crash", one) if is_up else None
    if action < 0.69 and cluster.down:
        return Act(step, "restart", rng.choice(sorted(cluster.down)))
    if action < 0.77:
        return Act(step, "compact", one, times=rng.choice((0, 3)), snapshot=rng.random() < 0.5) if is_up else None
    if action < 0.79:
        return Act(step, "chunk_fails", one)
    if action < 0.81 and leader is not None:
        return Act(step, "unreachable", one)
    if action < 0.85:
        voters = sorted(rng.sample(ids, rng.randint(1, len(ids))))
        return Act(step, "change", servers=voters, learners=[e for e in ids if e not in voters and rng.random() < 0.5])
    if action < 0.89:
        return Act(step, "transfer", one)
    return None


# -- what is owed once everything works -----------------------------------------------------------------------------


def settle(cluster: Cluster, rng: random.Random) -> None:
    """The cluster is healed: hold it to what it then owes.

    Raises:
        Broken: No leader in time, a request without a prompt answer, a server that stays behind, or no peace.
    """
    cluster.run_until(lambda: any(server.is_leading for server in cluster.live), _LEADER_S, "leader after healing")
    cluster.run_until(lambda: _has_converged(cluster), _CATCH_UP_S, "laggards catch up")
    _check_peace(cluster)
    for _ in range(3):
        _check_write(cluster)
        _check_read(cluster, rng)
    cluster.run_until(lambda: _has_converged(cluster), _NEXT_HEARTBEAT_S, "followers apply promptly")


def _members(cluster: Cluster, leader: Server) -> list[Server]:
    members = leader.state.configuration.members
    return [server for server in cluster.live if server.id in members]


def _has_converged(cluster: Cluster) -> bool:
    leader = cluster.leader
    if leader is None or leader.state.configuration.is_joint:
        return False
    last = leader.state.log.last_index
    return all(len(server.machine) == last for server in _members(cluster, leader))


def _check_peace(cluster: Cluster) -> None:
    """With everything in order nothing should happen but heartbeats.

    Without pre-vote and check-quorum a server that was removed while it was away may depose leaders as it likes.
    """
    config = cluster[1].config
    if not (config.pre_vote or config.check_quorum):
        return
    cluster.run_for(4 * _ELECTION_TIMEOUT_S)  # removed servers may try, and be told, in this time
    leader, messages = cluster.leader, cluster.messages
    term = leader.state.current_term if leader is not None else 0
    seconds = 4 * _ELECTION_TIMEOUT_S
    cluster.run_for(seconds)
    after = cluster.leader
    is_same = leader is not None and leader is after and leader.state.current_term == term
    require(is_same, "leadership settles", f"the leader of term {term} does not stay: {cluster.describe()}")
    limit = 3 * len(cluster.servers) * (seconds / 0.06 + 2)
    count = cluster.messages - messages
    require(count <= limit, "quiet when idle", f"{count} messages in {seconds:g} s without requests")


def _check_write(cluster: Cluster) -> None:
    leader = cluster.leader
    require(leader is not None and cluster.propose(), "takes commands after healing", cluster.describe())
    assert leader is not None  # noqa: S101
    index = leader.state.log.last_index
    cluster.run_until(lambda: len(leader.machine) >= index, _PROMPT_S, "writes are answered promptly")


def _check_read(cluster: Cluster, rng: random.Random) -> None:
    leader = cluster.leader
    if leader is None:
        return
    reader = rng.choice(_members(cluster, leader))
    answered = cluster.watch.reads_answered
    cluster.read(reader.id)
    cluster.run_until(lambda: cluster.watch.reads_answered > answered, _PROMPT_S, "reads are answered promptly")
