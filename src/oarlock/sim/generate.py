"""A schedule from a seed: the size of the cluster, its settings, which faults there are, and what clients ask."""

import math
import random
from typing import Any, Final

from msgspec import structs

from oarlock.sim.faults import ADDING, CONNECTIONS, FORGETTING, KINDS, MEMBERSHIP, Draw, is_alone
from oarlock.sim.schedule import MODES, ClientOperation, Fault, Schedule, Settings
from oarlock.sim.versions import Version

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
    ("status", 1),
    ("members", 1),
    ("alarms", 1),
    ("hash", 1),
    ("hash_kv", 1),
    ("defragment", 1),
    ("backup", 1),
)


_HTTP2_SHARE: Final = 0.1
"""How many of the runs have clients that speak HTTP/2 over connections; those cost more."""

KNOBS: Final[dict[str, tuple[int, ...]]] = {
    "max_pending_proposals": (2, 8),
    "max_pending_bytes": (4096,),
    "max_pending_reads": (1, 8),
    "max_command_bytes": (600,),
    "max_uncommitted_bytes": (1500, 10_000),
    "flush_entries": (1, 20),
    "raft.commit_news_delay_ms": (1, 100),
    "raft.max_inflight_messages": (1, 2, 8),
    "raft.max_inflight_bytes": (500, 5000),
    "raft.max_message_bytes": (200, 2000),
    "raft.max_pending_reads": (1, 4),
    "raft.snapshot_retry_ms": (300, 1000),
    "transport.queue_messages": (2, 16),
    "transport.queue_bytes": (1000, 20_000),
    "transport.bulk_queue_messages": (1,),
    "transport.bulk_queue_bytes": (300,),
    "transport.write_buffer_bytes": (500,),
}
"""Settings whose limits production hardly ever reaches, with values that runs do."""


def generate(seed: int) -> Schedule:
    """Make a run's schedule; the same for the same seed, on every machine."""
    rng = random.Random(f"oarlock/schedule/{seed}")  # noqa: S311
    settings = _settings(rng, random.Random(f"oarlock/size/{seed}"))  # noqa: S311
    faults = _faults(rng, settings)
    may_have_more = settings.servers > 1 and not any(map(is_alone, faults))
    has_laggards = may_have_more and rng.random() < 0.4
    if has_laggards:
        settings = structs.replace(settings, snapshot_count=10, snapshot_tail=rng.choice((0, 3)))
        faults += _laggards(rng, settings)
    operations = _operations(rng, settings, is_busy=has_laggards)
    if may_have_more and rng.random() < 0.3:
        for _ in range(rng.randint(1, 3)):
            cut, asked = _deposed(rng, settings)
            faults.append(cut)
            operations += asked
    # Chance of its own, so that what else a seed draws does not depend on it.
    own = random.Random(f"oarlock/clients/{seed}")  # noqa: S311
    if own.random() < _HTTP2_SHARE and settings.mode != "contained":
        settings = structs.replace(settings, client_protocol="http2")
        faults += connection_faults(own, settings)
    return Schedule(
        seed=seed,
        settings=settings,
        faults=tuple(sorted(faults, key=lambda fault: fault.at)),
        operations=tuple(sorted(operations, key=lambda operation: operation.at)),
    )


def connection_faults(rng: random.Random, settings: Settings) -> list[Fault]:
    """What goes wrong between clients and servers, where there are connections: nothing, or some kinds of it."""
    draw = Draw(rng, settings)
    likely = rng.choice((0.0, 0.3, 0.6))
    kinds = [name for name in (*CONNECTIONS, "restart") if rng.random() < likely]
    return [_fault(draw, name) for name in kinds for _ in range(rng.randint(1, 4))]


def _settings(rng: random.Random, own: random.Random) -> Settings:
    servers = rng.choices((1, 3, 5, 7), (5, 60, 30, 5))[0]
    if servers == 1 and own.random() > 0.5:  # one server alone has little to go wrong, and little to see
        servers = 3
    election_timeout_ms = rng.choice((150, 300, 300, 1000))
    delay_s = rng.choice((0.0002, 0.0005, 0.002, election_timeout_ms / 60_000))
    settings = Settings(
        servers=servers,
        clients=rng.randint(2, 8),
        duration_s=_duration_s(rng, servers, election_timeout_ms),
        election_timeout_ms=election_timeout_ms,
        heartbeat_interval_ms=election_timeout_ms // rng.choice((5, 10, 10)),
        max_learners=rng.choice((1, 1, 2)),
        pre_vote=rng.random() < 0.8,
        check_quorum=rng.random() < 0.85,
        proposal_timeout_ms=rng.choice((1000, 3000)) + 4 * election_timeout_ms,
        snapshot_count=rng.choice((10, 10, 30, 30, 100, 1000)),
        snapshot_tail=rng.choice((0, 0, 3, 20)),
        snapshot_chunk_bytes=rng.choice((256, 1024, 65_536)),
        segment_bytes=rng.choice((4 << 10, 8 << 10, 16 << 10, 64 << 10)),
        flush_interval_ms=rng.choice((5, 50, 200)),
        link_delay_s=delay_s,
        link_jitter_s=delay_s * rng.choice((0.1, 1.0, 3.0)),
        link_tail=rng.choice((0.0, 0.01, 0.05)),
        disk_mean_s=rng.choice((0.0002, 0.001, 0.01)),
        heal=rng.choices(("all", "majority"), (70, 30))[0],
        mode=rng.choices(MODES, (80, 10, 10 if servers > 1 else 0))[0],
        **_knobs(rng, servers, election_timeout_ms),
    )
    if settings.lease_reads:
        settings = structs.replace(settings, check_quorum=True)
    return structs.replace(settings, versions={}) if settings.mode == "contained" else settings


def _knobs(rng: random.Random, servers: int, election_timeout_ms: int) -> dict[str, Any]:
    """Settings that are mostly left alone: leases, limits, and what differs from server to server."""
    turned = rng.choice((0.0, 0.0, 0.1, 0.4))
    knobs = {name: rng.choice(values) for name, values in KNOBS.items() if rng.random() < turned}
    lease_reads = rng.random() < 0.2
    server_knobs: dict[int, dict[str, int]] = {}
    if rng.random() < 0.25:
        for number in range(1, servers + 3):
            own = {name: rng.choice(values) for name, values in KNOBS.items() if rng.random() < 0.05}
            own["pre_vote"] = rng.random() < 0.7
            own["snapshot_count"] = rng.choice((10, 30, 1000))
            if not lease_reads:
                # A lease stands on everybody's refusing votes for the same time.
                own["check_quorum"] = rng.random() < 0.8
                own["election_timeout_ms"] = election_timeout_ms * rng.choice((4, 4, 5, 6)) // 4
            server_knobs[number] = own
    versions: dict[int, int] = {}
    if rng.random() < 0.15:
        old = rng.choice((Version.BEFORE, Version.BEFORE, Version.STAMPING, Version.NEXT))
        share = rng.choice((0.5, 1.0))
        versions = {number: int(old) for number in range(1, servers + 1) if rng.random() < share}
    return {
        "lease_reads": lease_reads,
        "client_failover": rng.random() < 0.5,
        "knobs": knobs,
        "server_knobs": server_knobs,
        "versions": versions,
    }


def _duration_s(rng: random.Random, servers: int, election_timeout_ms: int) -> float:
    """Mostly a few election timeouts: a run that costs less lets more runs be made, and those differ more.

    What a second of a run costs rises with the servers and falls with their timeouts.
    """
    weight = math.sqrt(election_timeout_ms / 300 * 3 / max(3, servers))
    return round(rng.choices((1.2, 2.5, 5.0, 10.0), (30, 40, 25, 5))[0] * weight, 3)


def _operations(rng: random.Random, settings: Settings, *, is_busy: bool) -> list[ClientOperation]:
    kinds = [kind for kind, _ in _MIX]
    # Swarm: some runs are all writes, others all of one key.
    weights = [weight * rng.choice((0, 1, 1, 2)) for _, weight in _MIX]
    if not sum(weights[:2]):
        weights[0] = 1
    keys = rng.choice((1, 3, 10))
    rate = rng.choice((40, 100) if is_busy else (10, 30, 100)) * min(1.0, 20 / settings.duration_s)
    count = min(600, int(rate * settings.duration_s))
    retries = rng.choice((0, 0, 1, 2))
    moments = sorted(rng.random() * settings.duration_s for _ in range(count))
    return [
        ClientOperation(
            at=round(at, 6),
            client=rng.randint(1, settings.clients),
            server=rng.randint(1, settings.servers),
            kind=rng.choices(kinds, weights)[0],
            key=f"k{rng.randint(1, keys)}",
            value=f"v{number}" + "x" * rng.choice((0, 0, 0, 0, 400)),
            retries=retries,
        )
        for number, at in enumerate(moments, 1)
    ]


def _faults(rng: random.Random, settings: Settings) -> list[Fault]:
    """Swarm: each run has a few kinds of faults, and many of each or few."""
    draw = Draw(rng, settings)
    faults = []
    left_out = FORGETTING
    if settings.mode == "contained":
        faults.append(_fault(draw, rng.choice(FORGETTING)))
        if is_alone(faults[0]):
            return faults
        left_out = FORGETTING + MEMBERSHIP
    if rng.random() < 0.03:
        return faults  # nothing else should go wrong, then
    chance = rng.choice((0.1, 0.25, 0.5))
    kinds = [
        name
        for name, kind in KINDS.items()
        if settings.mode in kind.modes and name not in left_out and rng.random() < chance * kind.likelihood
    ]
    if settings.servers == 1:
        kinds = [name for name in kinds if not KINDS[name].needs_several]
    if settings.lease_reads:
        kinds = [name for name in kinds if not KINDS[name].bends_time]
    if ADDING & set(kinds):
        draw.added = 2
    pace = rng.choice((0.3, 1.0, 3.0))
    for name in kinds:
        most = max(1, int(pace * settings.duration_s / draw.election_s / 8))
        faults += [_fault(draw, name) for _ in range(min(rng.randint(1, most), KINDS[name].most))]
    return faults


def _laggards(rng: random.Random, settings: Settings) -> list[Fault]:
    """Servers away for so long that they have to be sent a snapshot, as those are taken often."""
    return [
        Fault(
            at=round(rng.random() * settings.duration_s * 0.4, 6),
            kind=rng.choice(("isolate", "kill", "power")),
            servers=(rng.randint(1, settings.servers),),
            seconds=round(settings.duration_s * (0.3 + 0.3 * rng.random()), 6),
        )
        for _ in range(rng.randint(1, 3))
    ]


def _deposed(rng: random.Random, settings: Settings) -> tuple[Fault, list[ClientOperation]]:
    """A leader cut off, and asked to write meanwhile: its log then differs from that of its successor."""
    election_s = settings.election_timeout_ms / 1000
    at = rng.random() * settings.duration_s * 0.8
    seconds = election_s * rng.choice((2.0, 3.0, 6.0))
    asked = [
        ClientOperation(
            at=round(at + election_s * rng.random(), 6),
            client=settings.clients + 1 + number,
            server=0,
            kind="put",
            key=f"k{rng.randint(1, 3)}",
            value=f"deposed{number}",
        )
        for number in range(rng.randint(1, 6))
    ]
    return Fault(at=round(at, 6), kind="isolate", servers=(0,), seconds=round(seconds, 6)), asked


def _fault(draw: Draw, name: str) -> Fault:
    servers, value = KINDS[name].draw(draw)
    at = round(draw.rng.random() * draw.duration_s, 6)
    return Fault(at=at, kind=name, servers=servers, seconds=draw.time(), value=value)
