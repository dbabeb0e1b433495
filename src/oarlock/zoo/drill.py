"""Short runs of whole servers in which snapshots travel, disks fail and power is lost, all the time.

The simulator's own schedules have all faults there are; here are only those that bugs around the core need, so that
they come sooner.
"""

import random
from typing import Final

from oarlock.sim import Fault, Report, Schedule, Settings, run_schedule
from oarlock.sim.schedule import ClientOperation

_ROUNDS: Final = 6
_ROUND_S: Final = 0.9
_OPERATIONS: Final = 240


def run_drill(seed: int) -> Report:
    """Make the schedule of a seed, and run it."""
    return run_schedule(make_drill(seed))


def make_drill(seed: int) -> Schedule:
    """Each round a server falls behind by more than the log holds, and crashes while it is being brought back.

    Commands may wait for longer than the run lasts: nobody who is owed an answer gets it by running out of time.
    """
    rng = random.Random(f"zoo/drill/{seed}")  # noqa: S311
    settings = Settings(
        servers=3,
        clients=3,
        duration_s=_ROUNDS * _ROUND_S,
        election_timeout_ms=150,
        heartbeat_interval_ms=15,
        proposal_timeout_ms=rng.choice((1500, 30_000)),
        snapshot_count=5,
        snapshot_tail=0,
        snapshot_chunk_bytes=rng.choice((256, 1024, 64 << 10)),
        segment_bytes=4 << 10,
        flush_interval_ms=rng.choice((5, 50)),
        disk_mean_s=rng.choice((0.0005, 0.003)),
    )
    faults = [Fault(at=0.0, kind="frame_duplicate", seconds=settings.duration_s, value=0.2)]
    if rng.random() < 0.5:
        faults.append(Fault(at=0.0, kind="frame_replay", seconds=settings.duration_s, value=0.1))
    for number in range(_ROUNDS):
        faults += _round(rng, 0.2 + number * _ROUND_S, last=number == _ROUNDS - 1)
    operations = [
        ClientOperation(
            at=round(rng.random() * settings.duration_s, 6),
            client=rng.randint(1, 3),
            server=rng.randint(1, 3),
            kind=rng.choice(("put", "put", "put", "get", "cas", "delete")),
            key=f"k{rng.randint(1, 3)}",
            value=f"v{number}" + "x" * rng.choice((0, 200)),
        )
        for number in range(1, _OPERATIONS + 1)
    ]
    return Schedule(
        seed=seed,
        settings=settings,
        faults=tuple(sorted(faults, key=lambda fault: fault.at)),
        operations=tuple(sorted(operations, key=lambda operation: operation.at)),
    )


def _round(rng: random.Random, at: float, *, last: bool) -> list[Fault]:
    """One server falls behind and comes back; the last time it may be the leader, cut off with what it was asked."""
    laggard = 0 if last and rng.random() < 0.5 else rng.randint(1, 3)
    away_s = round(0.35 + 0.2 * rng.random(), 6)
    isolated = Fault(at=round(at, 6), kind="isolate", servers=(laggard,), seconds=away_s)
    kind = rng.choice(("power", "kill", "step_crash", "step_crash", "step_crash", "eio_sync", "eio_sync", "crash_loop"))
    if laggard == 0:
        return [isolated]
    if kind == "step_crash":
        # In the middle of receiving, installing or restoring: so soon after it is back, and so many steps later.
        return [isolated, Fault(at=at + away_s, kind=kind, servers=(laggard,), seconds=0.15, value=rng.randint(0, 60))]
    whom = laggard if rng.random() < 0.7 else 0
    back = round(at + away_s + rng.expovariate(1 / 0.03), 6)
    seconds = 0.1 if kind != "eio_sync" else 0.3
    return [isolated, Fault(at=back, kind=kind, servers=(whom,), seconds=seconds, value=3.0)]
