"""A core as a value: its state taken apart into nested tuples, which compare and hash, and put together again.

Before it is taken apart a core is brought to rest: times become one and the same, since any time may pass between two
steps, and ids of requests become the lowest that compare alike. What is always alike at rest is left out. All other
fields are taken as they are found, so a core that grows a field is still explored whole.
"""

import copy
import math
import random
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from oarlock.explore.bounds import Bounds
from oarlock.explore.identifiers import ANCHOR, settle_ids
from oarlock.raft import invariants
from oarlock.raft.config import RaftConfig
from oarlock.raft.log import Log
from oarlock.raft.progress import Inflight, Progress
from oarlock.raft.raft import Raft
from oarlock.raft.state import CandidateState, DiskWrite, LeaderState, RaftState, Tracer
from oarlock.raft.types import Entry, HardState, Index, ServerId, SnapshotMetadata

Frozen = tuple[Any, ...]
"""What kind of thing was taken apart, and its parts."""

LATE: Final = 1000.0
"""A time at which everything that waits has waited long enough."""
_DISKS: Final = 1e9
"""When disks last did something: none stalls."""

AT_REST: Final[dict[type, dict[str, Callable[[], Any]]]] = {
    RaftState: {
        "now": float,
        "last_contact": float,
        "last_leader_contact": float,
        "promised_until": lambda: float("-inf"),
        "last_persisted": lambda: _DISKS,
        "messages": list,
        "messages_after_persist": list,
        "reads": list,
        "reads_before_apply": list,
        "forwarded_reads": dict,
        "chunk_requests": list,
        "chunks": list,
        "snapshot_to_install": lambda: None,
        "discard_log": bool,
        "snapshot_wanted": bool,
        "compact_to": lambda: None,
        "lost_leadership": bool,
        "lost_data": list,
    },
    CandidateState: {"request_id": lambda: ANCHOR},
    LeaderState: {
        "first_request_id": lambda: ANCHOR,
        "heartbeat_due": bool,
        "last_heartbeat": float,
        "news_due": bool,
        "last_quorum_check": float,
        "reads": deque,
        "reads_before_commit": list,
        "transfer_to": lambda: None,
        "transfer_deadline": float,
        "lease_rounds": deque,
        "lease_until": lambda: float("-inf"),
    },
    Progress: {
        "acknowledged_request_id": int,
        "probe_sent_at": float,
        "last_heard": float,
        "chunk_sent_at": float,
    },
    Inflight: {},
    Log: {},
    DiskWrite: {"since": lambda: _DISKS},
}
"""The classes that a core is made of, and what some of their fields always are at rest."""

_TIMES = ("probe_sent_at", "last_heard", "chunk_sent_at", "disk_since")
"""Of a leader's view of a follower."""
_SEQUENCES: Final = (list, tuple, deque)
_SEQUENCES_BY_NAME: Final[dict[str, Callable[[Iterable[Any]], Any]]] = {kind.__name__: kind for kind in _SEQUENCES}
_CLASSES: Final = {kind.__name__: kind for kind in AT_REST}
_SERVERS: Final = {"voted_for", "leader_id", "transfer_to"}
"""Fields that name a server."""
_GIVEN: Final = ("config", "rng", "tracer")
"""Fields of the state that are not its own."""


class NoChance(random.Random):
    """Chance that always falls out alike: when things happen is for the exploration to choose."""

    def random(self) -> float:
        """The shortest wait."""
        return 0.0

    def getrandbits(self, k: int, /) -> int:
        """Ids of a life begin above those that answer nothing."""
        del k
        return 0


def bring_to_rest(raft: Raft, bounds: Bounds) -> None:
    """Make alike what may differ and does not count."""
    state = raft.state
    settle_ids(state)
    raft._ready_number = len(state.disk_writes)  # noqa: SLF001 - the numbers of writes rise without end, too
    for number, write in enumerate(state.disk_writes, 1):
        write.number = number
    if not bounds.looks_at_leaders:
        state.leader_id = None  # nothing else looks at it
    set_clock_back(raft, bounds)


def set_clock_back(raft: Raft, bounds: Bounds) -> None:
    """Have all times begin anew, since any time may pass."""
    state = raft.state
    state.now = state.last_contact = state.last_leader_contact = 0.0
    state.election_wait = state.config.election_timeout
    state.last_persisted = _DISKS
    for write in state.disk_writes:
        write.since = _DISKS
    leader = state.leader
    if leader is not None:
        leader.last_heartbeat = leader.last_quorum_check = 0.0
        leader.news_deadline = 0.0 if math.isfinite(leader.news_deadline) and bounds.heartbeats else math.inf
        for progress in leader.peers.values():
            _bring_progress_to_rest(progress, bounds)


def _bring_progress_to_rest(progress: Progress, bounds: Bounds) -> None:
    for name in _TIMES:
        setattr(progress, name, 0.0)
    if progress.leaving_since is not None:
        progress.leaving_since = 0.0
    if not bounds.late:
        progress.inflight.clear()  # but for what is late it only limits, and nothing here comes near its limits
    sent = progress.inflight._sent  # noqa: SLF001
    for _ in range(len(sent)):
        last_index, size, _at = sent.popleft()
        sent.append((last_index, size, 0.0))


_kept: dict[type, list[str]] = {}


def kept_fields(value: object) -> list[str]:
    """The names of those fields of an object that are kept."""
    kind = type(value)
    names = _kept.get(kind)
    if names is None:
        every = value.__struct_fields__ if isinstance(value, DiskWrite) else getattr(kind, "__slots__", None)
        names = _kept[kind] = sorted({*(every or vars(value))} - {*AT_REST[kind], *_GIVEN})
    return names


def server_places(name: str) -> tuple[int, ...]:
    """Where among the parts of a thing of that kind ids of servers stand, once one has been taken apart."""
    names = _kept[_CLASSES[name]] if name in _CLASSES else ()
    return tuple(place for place, name in enumerate(names, 1) if name in _SERVERS)


class Freezer:
    """Takes the cores of one server apart, and puts them together.

    Args:
        config: The server's settings.
    """

    def __init__(self, config: RaftConfig) -> None:
        self.server_id: ServerId = config.server_id
        self._config = config
        self._rng = NoChance()
        self._template = self.start(HardState(), SnapshotMetadata(), (), 0)

    def start(
        self,
        hard_state: HardState,
        base: SnapshotMetadata,
        entries: Sequence[Entry],
        applied: Index,
        tracer: Tracer | None = None,
        rng: random.Random | None = None,
    ) -> Raft:
        """A core that begins a life from what a disk holds."""
        return Raft(
            self._config,
            rng=rng or self._rng,
            now=0.0,
            hard_state=hard_state,
            log=Log(base, entries),
            applied_index=applied,
            tracer=tracer,
            check_invariants=True,
        )

    # -- apart -----------------------------------------------------------------------------------------------------

    def freeze(self, raft: Raft) -> Frozen:
        """Take a core apart that was brought to rest. It must not be used any more."""
        state = raft.state
        if state.leader is not None:
            followed = state.leader.followed_configuration is state.configuration
            setattr(state.leader, "followed_configuration", followed)  # noqa: B010 - it is this very object, or none
        return self._freeze_object(state)

    def _freeze(self, value: Any) -> Any:  # noqa: ANN401 - of any kind
        kind = type(value)
        if kind in AT_REST:
            return self._freeze_object(value)
        if kind is dict:
            return ("dict", *[(key, self._freeze(value[key])) for key in sorted(value)])
        if kind in _SEQUENCES:
            return (kind.__name__, *map(self._freeze, value))
        return value

    def _freeze_object(self, value: Any) -> Frozen:  # noqa: ANN401
        kind = type(value)
        for name, made in AT_REST[kind].items():
            if getattr(value, name) != made():
                raise AssertionError(f"{kind.__name__}.{name} is {getattr(value, name)!r} between two events")
        return (kind.__name__, *[self._freeze(getattr(value, name)) for name in kept_fields(value)])

    # -- together --------------------------------------------------------------------------------------------------

    def thaw(self, frozen: Frozen, tracer: Tracer | None = None) -> Raft:
        """The core that was taken apart."""
        raft = copy.copy(self._template)
        state = raft.state = self._thaw(frozen)
        state.config, state.rng, state.tracer = self._config, self._rng, tracer
        raft._ready_number = len(state.disk_writes)  # noqa: SLF001
        raft._has_news = False  # noqa: SLF001
        raft._before = invariants.moment(state)  # noqa: SLF001
        if state.leader is not None:
            state.leader.followed_configuration = state.configuration if state.leader.followed_configuration else None
        return raft

    def _thaw(self, frozen: Any) -> Any:  # noqa: ANN401
        if type(frozen) is not tuple:
            return frozen
        name, *parts = frozen
        if name == "dict":
            return {key: self._thaw(part) for key, part in parts}
        sequence = _SEQUENCES_BY_NAME.get(name)
        if sequence is not None:
            return sequence(map(self._thaw, parts))
        kind = _CLASSES[name]
        if kind is DiskWrite:
            fields = {field: made() for field, made in AT_REST[kind].items()}
            return DiskWrite(**fields, **dict(zip(_kept[kind], parts, strict=True)))
        thawed: Any = object.__new__(kind)
        for field, made in AT_REST[kind].items():
            setattr(thawed, field, made())
        for field, part in zip(_kept[kind], parts, strict=True):
            setattr(thawed, field, self._thaw(part))
        return thawed
