"""Records one life of one core: what came in, which rules acted on what, what changed, and what went out.

A rule's reads follow from `flows`, its effects from comparing the state before with the state after.
"""

from collections import deque
from collections.abc import Callable
from typing import Any, Final

from oarlock.trace.flows import FLOWS
from oarlock.trace.lane import Clock, Lane
from oarlock.trace.payloads import Fields, Payloads
from oarlock.trace.reading import message_reads, shown_operands, variables_read
from oarlock.trace.schema import KEYFRAME_EVERY, Delta, Event, Kind, ServerState, Sink, server_name
from oarlock.trace.stamps import MessageTable, Stamp
from oarlock.trace.watch import CoreView, CoreWatch
from oarlock.trace.writers import LastWriters

_MOST_UNSENT: Final = 8192
"""Messages composed and not yet seen to leave; of older ones it is forgotten what decided them."""

_MOST_ARRIVALS: Final = 65_536
"""Messages that came and were not yet taken; older ones will be taken without identity."""

Fired = tuple[str, tuple[object, ...], list[str]]
"""A rule, its operands, and the variables it read."""


class _Composed:
    """A message on its way out."""

    __slots__ = ("after_persist", "by", "message", "reads")

    def __init__(self, message: Any, by: str, reads: dict[str, str], *, after_persist: bool) -> None:  # noqa: ANN401
        self.message = message
        self.by = by
        self.reads = reads
        self.after_persist = after_persist


class Recorder(Lane):
    """One server's recorder, for one life.

    Hand `rule_acted` to the core as its tracer when it is made, then `attach` them to each other. Whoever sends a
    message calls `sent` as it leaves. A received one is told by `arrived`, or found in `table`.
    """

    def __init__(
        self,
        server_id: int,
        epoch: int,
        sink: Sink,
        clock: Clock,
        *,
        clock_offset_us: int = 0,
        table: MessageTable | None = None,
        payloads: Payloads | None = None,
        repeat_fields: bool = True,
        keyframe_every: int = KEYFRAME_EVERY,
        predecessor: "Recorder | None" = None,
    ) -> None:
        """Prepare.

        Args:
            server_id: Whose.
            epoch: Its boot epoch: with each life another, greater one.
            sink: Takes the events.
            clock: As the core is told it.
            clock_offset_us: Added to the clock for the times of the trace, to make them comparable between servers.
            table: Shared by all recorders of one process, so that receivers know messages without a stamp.
            payloads: Shows clients' bytes; hashed by default.
            repeat_fields: Whether a `recv` repeats its message's fields; needless with the `send` in the same file.
            keyframe_every: Events after which the whole state is written.
            predecessor: The recorder of the life before, in a simulation: so what survived keeps who wrote it.
        """
        super().__init__(server_name(server_id), epoch, sink, clock, clock_offset_us)
        self._server_id = server_id
        self._table = table
        self._payloads = payloads or Payloads()
        self._fields = Fields(self._payloads)
        self._repeat_fields = repeat_fields
        self._keyframe_every = keyframe_every
        self._predecessor = predecessor
        self._last_key = 0
        self._fired: list[Fired] = []
        self._writers = LastWriters()
        self._core: CoreView | None = None
        self._watch: CoreWatch | None = None
        self._arrivals: deque[tuple[Any, Stamp]] = deque(maxlen=_MOST_ARRIVALS)
        self._composed: dict[tuple[int, str, int], list[_Composed]] = {}
        self._noted = 0
        self._noted_after_persist = 0
        self._writes: deque[tuple[int, str]] = deque()
        self._durable_number = 0
        self._seen = 0
        self._next_tracer: Callable[[str, tuple[object, ...]], None] | None = None
        if predecessor is not None:
            self.lamport = predecessor.lamport

    # -- the core ------------------------------------------------------------------------------------------------

    def rule_acted(self, rule: str, operands: tuple[object, ...]) -> None:
        """The core's tracer."""
        watch = self._watch
        self._fired.append((rule, operands, variables_read(rule, operands, watch) if watch is not None else []))
        if self._next_tracer is not None:
            self._next_tracer(rule, operands)

    def begin(self, core: CoreView) -> None:
        """The core was made: its state now is where this life begins."""
        self._core = core
        if core.tracer != self.rule_acted:
            self._next_tracer, core.tracer = core.tracer, self.rule_acted
        self._watch = CoreWatch(core, self._payloads, self._clock_offset_us)
        log = self._watch.log
        event_id = self.next_id
        before = self._predecessor
        reads = {name: before.last_writer(name) for name in ("term", "vote", "last")} if before is not None else {}
        self._writers.begin(event_id, log.base[0] + 1, log.runs[-1][1] if log.runs else 0)
        rules, guards, _ = self._take_fired(None)
        self._last_key = self.number + 1
        self.emit(
            Kind.RESTART,
            r=rules,
            g=guards,
            rd={name: writer for name, writer in reads.items() if writer is not None},
            s=self._watch.whole(),
        )

    def last_writer(self, variable: str) -> str | None:
        """The event that last wrote a variable, as far as known."""
        return self._writers.get(variable)

    def state(self) -> ServerState:
        """The core's state as last observed.

        Raises:
            ValueError: No core is attached.
        """
        if self._watch is None:
            raise ValueError(f"the recorder of {self.name} watches no core yet")
        return self._watch.whole()

    def end(
        self,
        kind: Kind,
        *,
        quiet: bool = False,
        reads: dict[str, str] | None = None,
        left: Any = None,  # noqa: ANN401 - the core's `Ready`
        **fields: Any,  # noqa: ANN401 - fields of `Event`
    ) -> Event | None:
        """The core has taken an event: record it.

        Args:
            kind: What it was.
            quiet: Leave it out if nothing came of it.
            reads: Beside those of rules.
            left: What `Raft.ready` took out.
            fields: The others of `Event`.
        """
        watch = self._watch
        assert watch is not None  # noqa: S101 - only wrapped events come here
        event_id = self.next_id
        delta = watch.look()
        rules, guards, rule_reads = self._take_fired(delta)
        if delta is not None:
            self._writers.wrote(event_id, watch.changed, delta.log)
        composed = self._note_composed(event_id, left)
        if quiet and delta is None and not rules and not composed:
            return None
        if reads:
            rule_reads.update(reads)
        event = self.emit(kind, seen=self._seen, r=rules, g=guards, rd=rule_reads, w=delta, **fields)
        self._seen = 0
        if self.number - self._last_key >= self._keyframe_every:
            self.keyframe()
        return event

    def _take_fired(self, delta: Delta | None) -> tuple[tuple[str, ...], tuple[tuple[Any, ...], ...], dict[str, str]]:
        """The rules that acted, their operands, and what they read of earlier events.

        What an earlier rule of the same event wrote is no read: within an event, rules are causes in their order.
        """
        fired, self._fired = self._fired, []
        if not fired:
            return (), (), {}
        reads: dict[str, str] = {}
        written: set[str] = set()
        changed = self._watch.changed if self._watch is not None else []
        for rule, _, variables in fired:
            for variable in variables:
                if variable in reads:
                    continue
                if (
                    delta is not None
                    and variable.partition(".")[0] in written
                    and (variable in changed or _is_appended(variable, delta))
                ):
                    continue
                writer = self._writers.get(variable)
                if writer is not None:
                    reads[variable] = writer
            flow = FLOWS.get(rule)
            if flow is not None:
                written.update(flow.writes)
        rules = tuple([rule for rule, _, _ in fired])
        guards = tuple([shown_operands(rule, operands, self._fields) for rule, operands, _ in fired])
        return rules, guards, reads

    def keyframe(self) -> None:
        """Write the whole state."""
        self._last_key = self.number + 1
        self.emit(Kind.KEY, s=self.state())

    def after_gap(self) -> None:
        """What was lost may have changed the state."""
        if self._watch is not None:
            self.keyframe()

    # -- messages ------------------------------------------------------------------------------------------------

    def _note_composed(self, by: str, ready: Any = None) -> bool:  # noqa: ANN401 - the core's `Ready`
        """Remember what decided each new message, and what it was composed of; whether there was any."""
        core = self._core
        assert core is not None  # noqa: S101 - as in `end`
        early = core.messages if ready is None else ready.messages
        late = core.messages_after_persist if ready is None else ready.messages_after_persist
        found = len(early) > self._noted or len(late) > self._noted_after_persist
        if found:
            for to, message in early[self._noted :]:
                self._compose(to, message, by, after_persist=False)
            for to, message in late[self._noted_after_persist :]:
                self._compose(to, message, by, after_persist=True)
        self._noted, self._noted_after_persist = (len(early), len(late)) if ready is None else (0, 0)
        return found

    def _compose(self, to: int, message: Any, by: str, *, after_persist: bool) -> None:  # noqa: ANN401
        key = (to, type(message).__name__, message.request_id)
        reads = dict(message_reads(message, self._writers))
        if after_persist:
            reads.pop("durable", None)  # what it claims will be durable only when it leaves
        self._composed.setdefault(key, []).append(_Composed(message, by, reads, after_persist=after_persist))
        if len(self._composed) > _MOST_UNSENT:
            del self._composed[next(iter(self._composed))]

    def _take_composed(self, to: int, message: Any) -> _Composed | None:  # noqa: ANN401 - any message
        key = (to, type(message).__name__, message.request_id)
        waiting = self._composed.get(key, ())
        for position, composed in enumerate(waiting):
            if composed.message is message or composed.message is None:
                if len(waiting) == 1:
                    del self._composed[key]
                else:
                    del self._composed[key][position]
                return composed
        return None

    def chunk_requested(self, to: int, request_id: int, by: str) -> None:
        """The core wants a chunk of a snapshot sent: the message will be made by the runtime."""
        composed = _Composed(None, by, {}, after_persist=False)
        self._composed.setdefault((to, "InstallSnapshot", request_id), []).append(composed)

    def sent(self, to: int, message: Any) -> Stamp:  # noqa: ANN401 - any message
        """A message leaves now.

        Returns:
            Its identity, for its receiver.
        """
        composed = self._take_composed(to, message)
        by, reads = "", {}
        if composed is not None:
            by, reads = composed.by, composed.reads
            if composed.after_persist and (disk := self._writers.get("disk")) is not None:
                reads["disk"] = disk
        event = self.emit(
            Kind.SEND,
            src=self.name,
            to=server_name(to),
            m=self.next_id,
            by=by,
            x=self._fields.of(message),
            rd=reads,
        )
        stamp = Stamp(self.epoch, self.number, event.lc)
        if self._table is not None:
            self._table.remember(to, message, stamp)
        return stamp

    def dropped(self, to: int, stamp: Stamp, cause: str) -> None:
        """A message was lost before it left this server."""
        self.emit(Kind.DROP, m=stamp.message_id(self._server_id), cause=cause, src=self.name, to=server_name(to))

    def arrived(self, message: Any, stamp: Stamp) -> None:  # noqa: ANN401 - any message
        """A message came with a stamp; the core is going to take it, in the order of arrival."""
        self._arrivals.append((message, stamp))

    def identify(self, message: Any) -> str:  # noqa: ANN401 - any message
        """The id of a message that is taken now; empty if it is not known."""
        while self._arrivals:
            waiting, stamp = self._arrivals.popleft()
            if waiting is message:
                self._seen = stamp.lc
                return stamp.message_id(message.source)
        found = self._table.recall(self._server_id, message) if self._table is not None else None
        if found is None:
            return ""
        stamp, copies = found
        self._seen = stamp.lc
        message_id = stamp.message_id(message.source)
        return message_id if copies == 1 else f"{message_id}#{copies}"

    def received(self, message: Any) -> dict[str, Any]:  # noqa: ANN401 - any message
        """The fields of the `recv` of a message."""
        message_id = self.identify(message)
        fields = {"src": server_name(message.source), "to": self.name, "m": message_id}
        if self._repeat_fields or not message_id:
            return {**fields, "x": self._fields.of(message)}
        return fields

    def taken(self, message: Any) -> None:  # noqa: ANN401 - any message
        """A message was taken that is not the core's, such as a forwarded proposal."""
        self.emit(Kind.RECV, seen=self._seen, **self.received(message))
        self._seen = 0

    # -- disk, clients, the end ----------------------------------------------------------------------------------

    def write_began(self, number: int, event_id: str) -> None:
        """The disk part of `Ready` `number` was handed out by an event."""
        self._writes.append((number, event_id))

    def durable(self, number: int) -> None:
        """The disk part of every `Ready` up to `number` is durable. To be called before messages leave that waited."""
        if number <= self._durable_number:
            return
        self._durable_number = number
        by = ""
        while self._writes and self._writes[0][0] <= number:
            by = self._writes.popleft()[1]
        if by:
            event = self.emit(Kind.FSYNC, x={"number": number}, rd={"write": by})
            self._writers.set("disk", event.id)

    @property
    def disk_event(self) -> dict[str, str]:
        """The newest `fsync`, as a read."""
        disk = self._writers.get("disk")
        return {"disk": disk} if disk is not None else {}

    def client(self, operation: str, **particulars: Any) -> Event:  # noqa: ANN401 - anything JSON can hold
        """A client called, or was answered: for whoever serves clients."""
        return self.emit(Kind.CLIENT, x={"op": operation, **self._plain(particulars)})

    def _plain(self, particulars: dict[str, Any]) -> dict[str, Any]:
        return {name: self._fields.plain(value) for name, value in particulars.items()}

    def crashed(self) -> None:
        """This life is over. What was not durable is lost."""
        self._watch = None
        self.emit(Kind.CRASH, x={"durable_number": self._durable_number})

    def violated(self, property_name: str, sentence: str, witnesses: list[str]) -> Event:
        """A property does not hold."""
        return self.emit(Kind.VIOL, x={"property": property_name, "sentence": sentence, "witnesses": witnesses})

    def failed(self, kind: Kind, error: Exception, **fields: Any) -> None:  # noqa: ANN401 - fields of `Event`
        """The core refused an event, or found itself broken."""
        particulars = {**fields.pop("x", {}), "error": f"{type(error).__name__}: {error}"}
        event = self.end(kind, x=particulars, **fields)
        if isinstance(error, AssertionError) and event is not None:
            self.violated("invariant", str(error), [event.id])


def _is_appended(variable: str, delta: Delta) -> bool:
    """Whether a read is of an entry that the same event appended."""
    head, _, index = variable.partition(".")
    return (
        head in ("log", "prefix")
        and delta.log is not None
        and bool(delta.log.app)
        and int(index) >= delta.log.app[0][0]
    )
