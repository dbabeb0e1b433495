"""Traces of anyone's servers as they show from outside: messages and their losses, lives, cuts, what is applied.

What a server thinks, its role and its log, is not seen, and not guessed. Recording only looks: it takes no lock of the
runtime's and draws no chance, so on virtual time a run with it is the run without it.
"""

import re
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from oarlock.lab.interface import ApplyChannel, ApplyMsg, Make
from oarlock.lab.tracing import RunTracing
from oarlock.lab.wire import decode
from oarlock.trace.lane import Lane
from oarlock.trace.schema import Delta, Event, Kind, server_name

MOST_EVENTS: Final = 500_000
"""Beyond which the trace has a gap."""
MOST_TEXT: Final = 40
"""Characters of a text that is shown."""
_END: Final = re.compile(r"(?P<group>.+)-(?P<server>\d+)\.\d+->(?P<to>\d+)")
_CAUSES: Final = {
    "absent": "dst_down",
    "cut off": "partition",
    "request lost": "lost",
    "reply lost": "lost",
    "server died": "src_down",
}


class _Life(Lane):
    """One life of one server."""

    def __init__(self, server_id: int, epoch: int, sink: Callable[[Event], bool], clock: Callable[[], float]) -> None:
        super().__init__(server_name(server_id), epoch, sink, clock)
        self.server_id = server_id
        self.applied = 0


class _Call(msgspec.Struct):
    """One RPC under way, between servers."""

    source: _Life
    to: int
    """The receiver's id."""
    type: str
    request: Event
    handler: _Life | None = None
    reply: Event | None = None


class OutsideTracing(RunTracing):
    """Records the servers of one run.

    Args:
        now: The present in seconds; asking must change nothing.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        super().__init__(now, MOST_EVENTS)
        self._now = now
        self._lock = threading.Lock()
        self._firsts: dict[str, int] = {}
        """The id of each group's first server."""
        self._names: dict[int, str] = {}
        self._lives: dict[int, _Life] = {}
        """The newest of each server."""
        self._calls: dict[int, _Call] = {}

    def wrap(self, make: Make) -> Make:
        """A `make` whose servers are recorded from when they are made."""

        def watched(peers: Sequence[Any], me: int, persister: Any, apply_ch: ApplyChannel) -> Any:  # noqa: ANN401
            found = _END.fullmatch(peers[me].name)
            group = found["group"] if found is not None else "server"
            peers[me].network.watcher = self
            with self._lock:
                life = self._begin(group, len(peers), me)
            return make(peers, me, persister, _WatchedChannel(self, life, apply_ch))

        return watched

    def links_changed(self, links: list[tuple[int, int]], *, opened: bool) -> None:
        """See `RunTracing.links_changed`: between servers of the first group."""
        with self._lock:
            super().links_changed(links, opened=opened)

    def failed(self, sentence: str) -> None:
        """See `RunTracing.end`."""
        with self._lock:
            self.end("what the scenario requires", sentence)

    def names(self) -> dict[str, str]:
        """See `RunTracing.names`."""
        return {server_name(each): self._names[each] for each in sorted(self._names)}

    # -- as the network's watcher --------------------------------------------------------------------------------

    def sent(self, call: int, end: str, method: str, payload: bytes) -> None:
        """See `network.Watcher.sent`; calls of clients are left out."""
        found = _END.fullmatch(end)
        if found is None or found["group"] not in self._firsts:
            return
        first = self._firsts[found["group"]]
        to = first + int(found["to"])
        kind = method.rpartition(".")[2]  # as the user has it: to take it for an RPC of the paper would be to guess
        with self._lock:
            life = self._lives[first + int(found["server"])]
            fields = {"type": kind, **_shown(payload)}
            request = life.emit(Kind.SEND, src=life.name, to=server_name(to), x=fields)
            self._calls[call] = _Call(life, to, kind, request)

    def arrived(self, call: int) -> None:
        """See `network.Watcher.arrived`."""
        with self._lock:
            known = self._calls.get(call)
            if known is not None:
                known.handler = life = self._lives[known.to]
                self._received(life, known.request, known.source.name)

    def replied(self, call: int, payload: bytes) -> None:
        """See `network.Watcher.replied`."""
        with self._lock:
            known = self._calls.get(call)
            if known is not None and known.handler is not None:
                fields = {"type": f"{known.type} reply", **_shown(payload)}
                life = known.handler
                known.reply = life.emit(Kind.SEND, src=life.name, to=known.source.name, x=fields)

    def ended(self, call: int, outcome: str) -> None:
        """See `network.Watcher.ended`."""
        with self._lock:
            known = self._calls.pop(call, None)
            if known is None:
                return
            if outcome == "ok" and known.reply is not None:
                self._received(known.source, known.reply, server_name(known.to))
            elif outcome in _CAUSES:
                lost = known.reply if known.handler is not None else known.request
                if lost is not None:
                    is_reply = lost is known.reply
                    source, to = known.source.server_id, known.to
                    ways = {"source": to, "to": source} if is_reply else {"source": source, "to": to}
                    self.world.dropped(lost.id, _CAUSES[outcome], **ways, seen=lost.lc)

    # -- lanes ---------------------------------------------------------------------------------------------------

    def applied(self, life: _Life, message: ApplyMsg) -> None:
        """A server put something on its apply channel."""
        index = message.command_index if message.command_valid else message.snapshot_index
        with self._lock:
            before, life.applied = life.applied, index
            life.emit(Kind.APPLY, w=Delta(applied=(before, index)))

    def _begin(self, group: str, size: int, me: int) -> _Life:
        if group not in self._firsts:
            self._firsts[group] = len(self._names) + 1
            for server in range(size):
                self._names[self._firsts[group] + server] = f"{group} {server}"
        server_id = self._firsts[group] + me
        before = self._lives.get(server_id)
        if before is not None:
            before.emit(Kind.CRASH, x={"server": before.name})
        life = _Life(server_id, 1 if before is None else before.epoch + 1, self.keep, self._now)
        self._lives[server_id] = life
        life.emit(Kind.RESTART)
        return life

    def _received(self, life: _Life, sent: Event, source: str) -> None:
        life.emit(Kind.RECV, seen=sent.lc, m=sent.id, src=source, to=life.name, x=sent.x)


class _WatchedChannel:
    """An apply channel that tells of what is put into it."""

    def __init__(self, tracing: OutsideTracing, life: _Life, channel: ApplyChannel) -> None:
        self._tracing = tracing
        self._life = life
        self._channel = channel

    def put(self, item: ApplyMsg | None, *rest: Any, **named: Any) -> None:  # noqa: ANN401 - as the queue has them
        if item is not None:
            self._tracing.applied(self._life, item)
        self._channel.put(item, *rest, **named)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - of the queue
        return getattr(self._channel, name)


def now_of(runtime: Any) -> Callable[[], float]:  # noqa: ANN401 - either runtime
    """A look at a runtime's clock that changes nothing."""
    return (lambda: float(runtime.now_s)) if hasattr(runtime, "now_s") else time.time


def _shown(payload: bytes) -> dict[str, Any]:
    """A message's fields as far as they are short; of lists and bytes, how long they are."""
    fields = decode(payload, None, "a message")
    if not isinstance(fields, dict):
        return {}
    shown: dict[str, Any] = {}
    for name, value in fields.items():
        if not isinstance(name, str) or name == "type":
            continue
        if (
            value is None
            or isinstance(value, bool | int | float)
            or (isinstance(value, str) and len(value) <= MOST_TEXT)
        ):
            shown[name] = value
        elif isinstance(value, list | bytes):
            shown[name] = f"{len(value)} {'items' if isinstance(value, list) else 'bytes'}"
    return shown
