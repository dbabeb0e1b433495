"""A schedule from a seed: the size of the cluster, its settings, which faults there are, and what clients ask."""

import random
from typing import Final

from oarlock.sim.faults import ADDING, KINDS, Draw
from oarlock.sim.schedule import ClientOperation, Fault, Mode, Schedule, Settings

_MODES: Final[tuple[Mode, ...]] = ("available", "safe", "contained")
_MIX: Final = (
    ("put", 30),
    ("get", 25),
    ("serializable", 8),
    ("range", 6),
    ("delete", 8),
    ("delete_range", 1),
    ("cas", 12),
    ("txn", 8),
    ("compact", 2),
)


def generate(seed: int) -> Schedule:
    """Make a run's schedule; the same for the same seed, on every machine."""
    rng = random.Random(f"oarlock/schedule/{seed}")  # noqa: S311
    settings = _settings(rng)
    return Schedule(
        seed=seed,
        settings=settings,
        faults=tuple(sorted(_faults(rng, settings), key=lambda fault: fault.at)),
        operations=tuple(_operations(rng, settings)),
    )


def _settings(rng: random.Random) -> Settings:
    servers = rng.choices((1, 3, 5, 7), (5, 60, 30, 5))[0]
    election_timeout_ms = rng.choice((150, 300, 300, 1000))
    delay_s = rng.choice((0.0002, 0.0005, 0.002, election_timeout_ms / 60_000))
    return Settings(
        servers=servers,
        clients=rng.randint(1, 8),
        duration_s=rng.choices((2.0, 4.0, 8.0, 15.0), (35, 40, 20, 5))[0] * (election_timeout_ms / 300) ** 0.5,
        election_timeout_ms=election_timeout_ms,
        heartbeat_interval_ms=election_timeout_ms // rng.choice((5, 10, 10)),
        max_learners=rng.choice((1, 1, 2)),
        pre_vote=rng.random() < 0.8,
        check_quorum=rng.random() < 0.85,
        proposal_timeout_ms=rng.choice((1000, 3000)) + 4 * election_timeout_ms,
        snapshot_count=rng.choice((10, 30, 100, 1000)),
        snapshot_tail=rng.choice((0, 3, 20)),
        snapshot_chunk_bytes=rng.choice((256, 1024, 65_536)),
        segment_bytes=rng.choice((4 << 10, 8 << 10, 16 << 10, 64 << 10)),
        flush_interval_ms=rng.choice((5, 50, 200)),
        link_delay_s=delay_s,
        link_jitter_s=delay_s * rng.choice((0.1, 1.0, 3.0)),
        link_tail=rng.choice((0.0, 0.01, 0.05)),
        disk_mean_s=rng.choice((0.0002, 0.001, 0.01)),
        heal=rng.choices(("all", "majority"), (70, 30))[0],
        mode=rng.choices(_MODES, (80, 10, 10 if servers > 1 else 0))[0],
    )


def _operations(rng: random.Random, settings: Settings) -> list[ClientOperation]:
    kinds = [kind for kind, _ in _MIX]
    # Swarm: some runs are all writes, others all of one key.
    weights = [weight * rng.choice((0, 1, 1, 2)) for _, weight in _MIX]
    if not sum(weights[:2]):
        weights[0] = 1
    keys = rng.choice((1, 3, 10))
    rate = rng.choice((5, 20, 60)) * min(1.0, 20 / settings.duration_s)
    count = min(600, int(rate * settings.duration_s))
    moments = sorted(rng.random() * settings.duration_s for _ in range(count))
    return [
        ClientOperation(
            at=round(at, 6),
            client=rng.randint(1, settings.clients),
            server=rng.randint(1, settings.servers),
            kind=rng.choices(kinds, weights)[0],
            key=f"k{rng.randint(1, keys)}",
            value=f"v{number}" + "x" * rng.choice((0, 0, 0, 0, 400)),
        )
        for number, at in enumerate(moments, 1)
    ]


def _faults(rng: random.Random, settings: Settings) -> list[Fault]:
    """Swarm: each run has a few kinds of faults, and many of each or few."""
    if rng.random() < 0.03:
        return []  # nothing at all should go wrong, then
    draw = Draw(rng, settings)
    chance = rng.choice((0.1, 0.25, 0.5))
    kinds = [name for name, kind in KINDS.items() if kind.is_drawn and rng.random() < chance]
    if settings.servers == 1:
        kinds = [name for name in kinds if not KINDS[name].needs_several]
    if ADDING & set(kinds):
        draw.added = 2
    faults = []
    pace = rng.choice((0.3, 1.0, 3.0))
    for name in kinds:
        kind = KINDS[name]
        most = max(1, int(pace * settings.duration_s / draw.election_s / 8))
        for _ in range(min(rng.randint(1, most), kind.most)):
            servers, value = kind.draw(draw)
            at = round(rng.random() * settings.duration_s, 6)
            faults.append(Fault(at=at, kind=name, servers=servers, seconds=draw.time(), value=value))
    return faults
