"""Records a run of cores as `raft-trace/1`; nothing of the run depends on whether it is recorded."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final

from oarlock.raft.messages import RaftMessage
from oarlock.raft.types import ServerId
from oarlock.trace.attach import attach
from oarlock.trace.lane import World
from oarlock.trace.recorder import Recorder
from oarlock.trace.schema import Event, server_name
from oarlock.trace.stamps import MessageTable

if TYPE_CHECKING:
    from oarlock.zoo.core.cluster import Cluster
    from oarlock.zoo.core.server import Server

MAX_EVENTS: Final = 200_000
"""Of one cluster; what comes after is left out."""


class Trail:
    """The trace of one cluster, while it runs."""

    def __init__(self, cluster: "Cluster") -> None:
        self._cluster = cluster
        self.events: list[Event] = []
        self.recorders: dict[ServerId, Recorder] = {}
        self._table = MessageTable()
        self._world = World(self._keep, self._now)
        self._cut: set[tuple[ServerId, ServerId]] = set()

    def _keep(self, event: Event) -> bool:
        if len(self.events) < MAX_EVENTS:
            self.events.append(event)
        return True

    def _now(self) -> float:
        return self._cluster.now

    def began(self, server: "Server") -> None:
        """A life begins."""
        before = self.recorders.get(server.id)
        recorder = Recorder(
            server.id, server.lives, self._keep, self._now, table=self._table, repeat_fields=False, predecessor=before
        )
        attach(recorder, server.raft)
        self.recorders[server.id] = recorder

    def crashed(self, server_id: ServerId) -> None:
        """A life ended."""
        self.recorders[server_id].crashed()

    def posted(self, source: ServerId, to: ServerId, message: RaftMessage, copies: int) -> None:
        """A message leaves, as often as that."""
        self._look_at_cut()
        stamp = self.recorders[source].sent(to, message)
        message_id = stamp.message_id(source)
        if not copies:
            self._world.dropped(message_id, "lost", source=source, to=to, seen=stamp.lc)
        for _ in range(copies - 1):
            self._world.doubled(message_id, source=source, to=to, seen=stamp.lc)

    def lost(self, source: ServerId, to: ServerId, message: RaftMessage, cause: str) -> None:
        """A message does not arrive."""
        self._look_at_cut()
        stamp = self._table.find(to, message)
        if stamp is not None:
            self._world.dropped(stamp.message_id(source), cause, source=source, to=to, seen=stamp.lc)

    def _look_at_cut(self) -> None:
        """Say which links were cut, or work again, since the last look."""
        now, before = self._cluster.cut, self._cut
        if now == before:
            return
        self._cut = set(now)
        if now - before:
            self._world.cut(sorted(now - before))
        if before - now:
            self._world.healed(sorted(before - now))

    def broken(self, name: str, sentence: str) -> None:
        """A property does not hold; whoever acted last shows it."""
        lanes = {server_name(server_id): recorder for server_id, recorder in self.recorders.items()}
        named = [recorder.last_id for lane, recorder in lanes.items() if f"server {lane[1:]} " in f"{sentence} "]
        last = next((event.id for event in reversed(self.events) if not event.id.startswith("net")), "")
        self._world.violated(name, sentence, named[:1] or [last] if last else [])


_TRAILS: Final[ContextVar[list[Trail] | None]] = ContextVar("trails", default=None)


def trail_of(cluster: "Cluster") -> Trail | None:
    """A cluster is made: its trail, if runs are being recorded."""
    trails = _TRAILS.get()
    if trails is None:
        return None
    trail = Trail(cluster)
    trails.append(trail)
    return trail


@contextmanager
def recorded() -> Iterator[list[Trail]]:
    """Record every cluster that is made inside, in their order."""
    trails: list[Trail] = []
    token = _TRAILS.set(trails)
    try:
        yield trails
    finally:
        _TRAILS.reset(token)
