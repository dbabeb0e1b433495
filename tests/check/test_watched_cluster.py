"""The monitor on real cores under faults: silent while they are right, and loud once they are broken."""

import random
from collections.abc import Callable

import pytest
from tests.check.watched_cluster import WatchedCluster
from tests.support.raft_server import Disk

from oarlock.check import PROPERTIES
from oarlock.raft import quorum
from oarlock.raft.log import Log
from oarlock.raft.state import InvariantViolation, RaftState
from oarlock.raft.types import HardState

ROUNDS = 150


def run(seed: int) -> WatchedCluster:
    """Three servers under loss, delay, partitions, crashes and compaction."""
    rng = random.Random(seed)
    cluster = WatchedCluster(3, seed, faults=True, election_timeout_ms=300, heartbeat_interval_ms=60)
    for _ in range(ROUNDS):
        cluster.run_for(0.05)
        one = rng.choice(sorted(cluster.servers))
        action = rng.random()
        if action < 0.4:
            cluster.propose()
        elif action < 0.5 and one not in cluster.down:
            cluster.crash(one)
        elif action < 0.7 and cluster.down:
            cluster.restart(min(cluster.down))
        elif action < 0.8:
            cluster.isolate(one)
        elif action < 0.9:
            cluster.heal()
        elif one not in cluster.down:
            cluster.servers[one].compact()
    return cluster


def test_right_cores_break_nothing() -> None:
    """Thousands of events under faults, with snapshots and restarts, and no violation."""
    events = committed = 0
    for seed in range(6):
        cluster = run(seed)
        events += cluster.monitor.events
        committed += cluster.monitor.committed_index
    assert events > 10_000
    assert committed > 60


def _majority_too_small(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(quorum, "majority", lambda voters: voters // 2)


def _any_log_is_up_to_date(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Log, "is_up_to_date", lambda self, last_index, last_term: True)


def _nothing_waits_for_the_disk(patch: pytest.MonkeyPatch) -> None:
    def send(self: RaftState, to: int, message: object, claimed_index: int = 0) -> None:
        self.messages.append((to, message))

    patch.setattr(RaftState, "send_when_true", send)


def _disk_keeps_no_vote(patch: pytest.MonkeyPatch) -> None:
    write = Disk.write

    def forgetful(self: Disk, ready: object) -> None:
        before = self.hard_state
        write(self, ready)
        if self.hard_state.current_term == before.current_term:
            self.hard_state = before
        else:
            self.hard_state = HardState(self.hard_state.current_term, None)

    patch.setattr(Disk, "write", forgetful)


def _disk_loses_its_last_entry(patch: pytest.MonkeyPatch) -> None:
    recover = Disk.recover

    def lossy(self: Disk) -> None:
        recover(self)
        if self.entries and self.entries[-1].index > len(self.machine):
            self.entries.pop()

    patch.setattr(Disk, "recover", lossy)


@pytest.mark.parametrize(
    ("mutate", "properties"),
    [
        (_majority_too_small, {"election safety", "committed on a durable quorum"}),
        (_any_log_is_up_to_date, {"leader completeness", "committed entries never change"}),
        (_nothing_waits_for_the_disk, {"nothing promised before it is durable"}),
        (_disk_keeps_no_vote, {"one vote a term", "nothing promised before it is durable"}),
        (_disk_loses_its_last_entry, {"durability"}),
    ],
)
def test_broken_cores_are_found_out(
    mutate: Callable[[pytest.MonkeyPatch], None], properties: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mutant of the core, or of its disk, breaks one of the properties that it endangers, within a few seeds."""
    mutate(monkeypatch)
    found = set()
    for seed in range(25):
        try:
            run(seed)
        except (AssertionError, InvariantViolation) as error:
            found |= {name for name in PROPERTIES if str(error).startswith(f"{name}: ")}
        if found & properties:
            return
    pytest.fail(f"found only {sorted(found)}")
