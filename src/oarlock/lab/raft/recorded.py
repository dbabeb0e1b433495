"""Traces of our own servers in the lab, as `oarlock draw` and `oarlock trace` read them."""

import threading
import time
from typing import Final

from oarlock.raft.raft import Raft
from oarlock.trace.attach import attach
from oarlock.trace.lane import World
from oarlock.trace.payloads import Payloads
from oarlock.trace.recorder import Recorder
from oarlock.trace.schema import Event
from oarlock.trace.stamps import Addressed, MessageTable, Stamp

MOST_EVENTS: Final = 2_000_000
"""Beyond which the trace has a gap."""


class Tracing:
    """Records all servers of a run, each life in turn."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.world = World(self._keep, time.monotonic)
        """What happens to no server."""
        self._table = _SharedTable()
        self._recorders: dict[int, Recorder] = {}
        """The newest of each server."""

    def begin(self, me: int, core: Raft) -> Recorder:
        """A life of a server begins."""
        server_id = me + 1
        before = self._recorders.get(server_id)
        recorder = Recorder(
            server_id,
            1 if before is None else before.epoch + 1,
            self._keep,
            time.monotonic,
            table=self._table,
            payloads=Payloads("hashed"),
            repeat_fields=False,
            predecessor=before,
        )
        attach(recorder, core)
        self._recorders[server_id] = recorder
        return recorder

    def _keep(self, event: Event) -> bool:
        if len(self.events) >= MOST_EVENTS:
            return False
        self.events.append(event)
        return True


class _SharedTable(MessageTable):
    """A table that servers' threads use at the same time."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()

    def remember(self, to: int, message: Addressed, stamp: Stamp) -> None:
        """See `MessageTable.remember`."""
        with self._lock:
            super().remember(to, message, stamp)

    def recall(self, to: int, message: Addressed) -> tuple[Stamp, int] | None:
        """See `MessageTable.recall`."""
        with self._lock:
            return super().recall(to, message)
