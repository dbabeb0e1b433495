"""A schedule from a seed: the size of the cluster, its settings, which faults there are, and what clients ask."""

import random
from collections.abc import Callable
from typing import Final

from oarlock.sim.schedule import ClientOperation, Fault, Schedule, Settings

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

_TAGS: Final = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10)
"""Kinds of messages that may be lost on purpose."""


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
        duration_s=rng.choice((4.0, 8.0, 15.0)) * (election_timeout_ms / 300) ** 0.5,
        election_timeout_ms=election_timeout_ms,
        heartbeat_interval_ms=election_timeout_ms // rng.choice((5, 10, 10)),
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


# -- faults ------------------------------------------------------------------------------------------------------------


class _Draw:
    """Draws what a fault needs."""

    def __init__(self, rng: random.Random, settings: Settings) -> None:
        self.rng = rng
        self.servers = settings.servers
        self.election_s = settings.election_timeout_ms / 1000
        self.duration_s = settings.duration_s

    def one(self) -> tuple[int, ...]:
        """Some server; one time in three, whoever leads."""
        return (0,) if self.rng.random() < 0.35 else (self.rng.randint(1, self.servers),)

    def some(self, most: int) -> tuple[int, ...]:
        """A few servers, in order."""
        count = self.rng.randint(1, max(1, most))
        return tuple(sorted(self.rng.sample(range(1, self.servers + 1), min(count, self.servers))))

    def link(self) -> tuple[int, ...]:
        """A directed link, all links of one server, or all links there are."""
        return self.rng.choice(((), self.one(), self.some(1) + self.some(1)))

    def time(self) -> float:
        """A length: mostly around an election timeout, sometimes many."""
        return round(self.election_s * self.rng.choice((0.2, 0.7, 1.5, 3.0, 8.0)) * (0.5 + self.rng.random()), 6)


_Make = Callable[[_Draw], tuple[tuple[int, ...], float]]
"""Servers and value of one fault."""


def _minority(draw: _Draw) -> tuple[tuple[int, ...], float]:
    return draw.some((draw.servers - 1) // 2), 0.0


def _anyone(draw: _Draw) -> tuple[tuple[int, ...], float]:
    return draw.one(), 0.0


_NETWORK: Final[dict[str, _Make]] = {
    "isolate": _anyone,
    "split": _minority,
    "split3": lambda draw: (draw.some(draw.servers - 1), 0.0),
    "one_way": _anyone,
    "deaf": _anyone,
    "bridge": _anyone,
    "ring": lambda draw: (draw.some(1), 0.0),
    "client_cut": lambda draw: (draw.some(draw.servers), 0.0),
    "clog": lambda draw: (draw.link(), 0.0),
    "slow": lambda draw: (draw.link(), draw.rng.choice((3.0, 20.0, 100.0))),
    "narrow": lambda draw: (draw.link(), draw.rng.choice((5_000.0, 50_000.0))),
    "reset": _anyone,
    "reset_midframe": _anyone,
    "half_open": _anyone,
    "frame_drop": lambda draw: (draw.link(), draw.rng.choice((0.02, 0.1, 0.5))),
    "frame_duplicate": lambda draw: (draw.link(), draw.rng.choice((0.05, 0.3))),
    "frame_replay": lambda draw: (draw.link(), draw.rng.choice((0.02, 0.2))),
    "frame_reorder": lambda draw: (draw.link(), draw.rng.choice((0.1, 0.5))),
    "frame_corrupt": lambda draw: (draw.link(), draw.rng.choice((0.002, 0.02))),
    "frame_truncate": lambda draw: (draw.link(), draw.rng.choice((0.002, 0.02))),
    "drop_kind": lambda draw: (draw.link(), float(draw.rng.choice(_TAGS))),
}

_PROCESS: Final[dict[str, _Make]] = {
    "kill": lambda draw: (draw.rng.choice((draw.one(), draw.some(draw.servers))), 0.0),
    "power": lambda draw: (draw.rng.choice((draw.one(), draw.some(draw.servers))), 0.0),
    "step_crash": lambda draw: (draw.one(), float(draw.rng.randint(0, 40))),
    "restart": _anyone,
    "crash_loop": lambda draw: (draw.one(), float(draw.rng.randint(2, 6))),
    "pause": _anyone,
    "busy": _anyone,
}

_DISK: Final[dict[str, _Make]] = {
    "eio_write": _anyone,
    "eio_sync": _anyone,
    "eio_read": _anyone,
    "full": _anyone,
    "stall": _anyone,
    "rot": lambda draw: (draw.one(), float(draw.rng.randint(0, 2))),
    "lose_forever": _anyone,
}

_CLOCK: Final[dict[str, _Make]] = {
    "drift": lambda draw: (draw.one(), draw.rng.choice((0.0, 0.5, 0.9, 1.1, 2.0))),
    "jump": lambda draw: (draw.one(), draw.rng.choice((0.1, 1.0, 30.0))),
}

MAKERS: Final = {**_NETWORK, **_PROCESS, **_DISK, **_CLOCK}

_RARE: Final = {"rot": 1, "lose_forever": 1, "ring": 2}
"""At most so many in a run."""


def _faults(rng: random.Random, settings: Settings) -> list[Fault]:
    """Swarm: each run has a few kinds of faults, and many of each or few."""
    if rng.random() < 0.03:
        return []  # nothing at all should go wrong, then
    draw = _Draw(rng, settings)
    chance = rng.choice((0.1, 0.25, 0.5))
    kinds = [kind for kind in MAKERS if rng.random() < chance]
    if settings.servers == 1:
        kinds = [kind for kind in kinds if kind not in _NETWORK or kind == "client_cut"]
    faults = []
    pace = rng.choice((0.3, 1.0, 3.0))
    for kind in kinds:
        most = max(1, int(pace * settings.duration_s / draw.election_s / 8))
        for _ in range(min(rng.randint(1, most), _RARE.get(kind, 40))):
            servers, value = MAKERS[kind](draw)
            at = round(rng.random() * settings.duration_s, 6)
            faults.append(Fault(at=at, kind=kind, servers=servers, seconds=draw.time(), value=value))
    return faults
