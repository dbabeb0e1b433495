"""Who held which lock when, and who waited for it."""

from typing import Final, NamedTuple

from oarlock.lab.advisor.check import Check
from oarlock.lab.advisor.record import Activity, Rpc
from oarlock.lab.threads import Event, Kind
from oarlock.lab.threads.locks import Lock

MOST: Final = 50_000
"""Spans kept."""


class Span(NamedTuple):
    """Something that took time; nanoseconds from the runtime's beginning."""

    kind: str
    """`holds`, `wants` (a lock), or `calls` (a peer)."""
    server: int | None
    thread: str
    subject: str
    """The lock, or the RPC."""
    began_ns: int
    ended_ns: int


class Timeline(Check):
    """Notes spans; finds nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.spans: list[Span] = []
        self.is_cut = False
        """Whether there were more spans than are kept."""
        self._holds: dict[Lock, tuple[Activity, int]] = {}
        self._wants: dict[Activity, int] = {}

    def on_event(self, event: Event, activity: Activity) -> None:
        """Locks are wanted, taken and given back."""
        lock = event.subject
        if not isinstance(lock, Lock) or self.watch.is_ours(lock):
            return
        if event.kind is Kind.LOCK_WAIT:
            self._wants[activity] = event.at_ns
        elif event.kind is Kind.LOCK_ACQUIRED:
            since = self._wants.pop(activity, None)
            if since is not None:
                self._add("wants", activity, self.watch.lock_name(lock), since, event.at_ns)
            self._holds[lock] = (activity, event.at_ns)
        elif event.kind is Kind.LOCK_RELEASED and lock in self._holds:
            holder, began = self._holds.pop(lock)
            self._add("holds", holder, self.watch.lock_name(lock), began, event.at_ns)

    def on_rpc_end(self, rpc: Rpc) -> None:
        """A call is over."""
        self._add("calls", rpc.activity, f"{rpc.method} of {rpc.peer}", rpc.began_ns, rpc.ended_ns)

    def _add(self, kind: str, activity: Activity, subject: str, began_ns: int, ended_ns: int) -> None:
        if len(self.spans) >= MOST:
            self.is_cut = True
            return
        self.spans.append(Span(kind, activity.server, activity.name, subject, began_ns, ended_ns))
