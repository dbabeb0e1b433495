"""Records one life of one core: what came in, which rules acted on what, what changed, and what went out.

A rule's reads follow from `flows`, its effects from comparing the state before with the state after.
"""

from collections import deque
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from oarlock.trace.flows import FLOWS
from oarlock.trace.lane import Clock, Lane
from oarlock.trace.outbox import Outbox
from oarlock.trace.payloads import Fields, Payloads
from oarlock.trace.reading import shown_operands, variables_read
from oarlock.trace.schema import KEYFRAME_EVERY, Delta, Event, Kind, ServerState, Sink, server_name
from oarlock.trace.stamps import MessageTable, Stamp, add_stamp, copy_id, read_stamp
from oarlock.trace.watch import CoreView, CoreWatch
from oarlock.trace.writers import LastWriters

_MOST_ARRIVALS: Final = 65_536
"""Messages that came and were not yet taken; older ones will be taken without identity."""

_MOST_FORWARDED: Final = 1024
"""Forwarded proposals that wait to be proposed; of older ones it is forgotten what brought them."""

Fired = tuple[str, tuple[object, ...], list[str]]
"""A rule, its operands, and the variables it read."""


class Arrival(NamedTuple):
    """A message that came and was not yet taken."""

    message: Any
    message_id: str
    """Empty if it is not known."""
    lc: int
    """Its sender's Lamport clock."""


class Recorder(Lane):
    """One server's recorder, for one life.

    Hand `rule_acted` to the core as its tracer when it is made, then `attach` them to each other. Whoever sends a
    message as bytes calls `sealed` as it leaves, and whoever reads one `opened`, or `taken` if it is not the core's.
    Where messages travel as they are, it is `sent` and `arrived`; or the receiver's recorder finds them in `table`.
    """

    def __init__(
        self,
        server_id: int,
        epoch: int,
        sink: Sink,
        clock: Clock,
        *,
        clock_offset_us: int = 0,
        core_offset_us: int | None = None,
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
            clock: The present, mostly as the core is told it.
            clock_offset_us: Added to the clock for the times of the trace, to make them comparable between servers.
            core_offset_us: The same for the core's own times, where it is told another clock than `clock`.
            table: Shared by all recorders of one process, so that receivers know messages without a stamp.
            payloads: Shows clients' bytes; hashed by default.
            repeat_fields: Whether a `recv` repeats its message's fields; needless with the `send` in the same file.
            keyframe_every: Events after which the whole state is written.
            predecessor: The recorder of the life before, in a simulation: so what survived keeps who wrote it.
        """
        super().__init__(server_name(server_id), epoch, sink, clock, clock_offset_us)
        self._server_id = server_id
        self._core_offset_us = clock_offset_us if core_offset_us is None else core_offset_us
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
        self._arrivals: deque[Arrival] = deque(maxlen=_MOST_ARRIVALS)
        self._forwarded: deque[tuple[list[bytes], str]] = deque(maxlen=_MOST_FORWARDED)
        self._outbox = Outbox(self._writers)
        self._writes: deque[tuple[int, str]] = deque()
        self._durable_number = 0
        self._seen = 0
        self.next_tracer: Callable[[str, tuple[object, ...]], None] | None = None
        """Is told of each rule too."""
        if predecessor is not None:
            self.lamport = predecessor.lamport

    # -- the core ------------------------------------------------------------------------------------------------

    def rule_acted(self, rule: str, operands: tuple[object, ...]) -> None:
        """The core's tracer."""
        watch = self._watch
        self._fired.append((rule, operands, variables_read(rule, operands, watch) if watch is not None else []))
        if self.next_tracer is not None:
            self.next_tracer(rule, operands)

    def begin(self, core: CoreView) -> None:
        """The core was made: its state now is where this life begins."""
        self._core = core
        if core.tracer != self.rule_acted:
            self.next_tracer, core.tracer = core.tracer, self.rule_acted
        self._watch = CoreWatch(core, self._payloads, self._core_offset_us)
        log = self._watch.log
        event_id = self.next_id
        before = self._predecessor
        reads = {name: before.last_writer(name) for name in ("term", "vote", "last")} if before is not None else {}
        self._writers.begin(event_id, log.base[0] + 1, log.runs[-1][1] if log.runs else 0)
        self._predecessor = None
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
        watch, core = self._watch, self._core
        assert watch is not None  # noqa: S101 - only wrapped events come here
        assert core is not None  # noqa: S101
        event_id = self.next_id
        delta = watch.look()
        rules, guards, rule_reads = self._take_fired(delta)
        if delta is not None:
            self._writers.wrote(event_id, watch.changed, watch.gone, delta.log)
        composed = self._outbox.note(event_id, core, left)
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

    def chunk_requested(self, to: int, request_id: int, by: str) -> None:
        """The core wants a chunk of a snapshot sent: the message will be made by the runtime."""
        self._outbox.chunk_requested(to, request_id, by)

    def sent(self, to: int, message: Any) -> Stamp:  # noqa: ANN401 - any message
        """A message leaves now.

        Returns:
            Its identity, for its receiver.
        """
        composed = self._outbox.take(to, message)
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

    def sealed(self, to: int, message: Any, payload: bytes) -> tuple[bytes, Stamp]:  # noqa: ANN401 - any message
        """A message leaves now, as bytes, to another process.

        Returns:
            The bytes with its identity, and that.
        """
        stamp = self.sent(to, message)
        return add_stamp(payload, stamp), stamp

    def dropped(self, to: int, stamp: Stamp, cause: str) -> None:
        """A message was lost before it left this server."""
        self.emit(Kind.DROP, m=stamp.message_id(self._server_id), cause=cause, src=self.name, to=server_name(to))

    def arrived(self, message: Any, stamp: Stamp) -> None:  # noqa: ANN401 - any message
        """A message came with a stamp; the core is going to take it, in the order of arrival."""
        self._arrivals.append(Arrival(message, stamp.message_id(message.source), stamp.lc))

    def opened(self, message: Any, payload: bytes) -> None:  # noqa: ANN401 - any message
        """A message came as bytes; the core is going to take it, in the order of arrival."""
        self._arrivals.append(self.arrival(message, payload))

    def arrival(self, message: Any, payload: bytes) -> Arrival:  # noqa: ANN401 - any message
        """What is known of a message that came as bytes."""
        stamp = read_stamp(payload, len(message.__struct_fields__) + 1)
        return (
            Arrival(message, "", 0) if stamp is None else Arrival(message, stamp.message_id(message.source), stamp.lc)
        )

    def identify(self, message: Any) -> str:  # noqa: ANN401 - any message
        """The id of a message that is taken now; empty if it is not known."""
        for position, arrival in enumerate(self._arrivals):
            if arrival.message is message:
                for _ in range(position + 1):
                    self._arrivals.popleft()
                self._seen = arrival.lc
                return arrival.message_id
        found = self._table.recall(self._server_id, message) if self._table is not None else None
        if found is None:
            return ""
        stamp, copies = found
        self._seen = stamp.lc
        return copy_id(stamp.message_id(message.source), copies)

    def received(self, message: Any, message_id: str) -> dict[str, Any]:  # noqa: ANN401 - any message
        """The fields of the `recv` of a message."""
        fields = {"src": server_name(message.source), "to": self.name, "m": message_id}
        if self._repeat_fields or not message_id:
            return {**fields, "x": self._fields.of(message)}
        return fields

    def taken(self, message: Any, payload: bytes) -> None:  # noqa: ANN401 - any message
        """A message came as bytes that is not for the core, such as a forwarded proposal."""
        arrival = self.arrival(message, payload)
        event = self.emit(Kind.RECV, seen=arrival.lc, **self.received(message, arrival.message_id))
        commands = getattr(message, "commands", None)
        if commands is not None:
            self._forwarded.append((commands, event.id))

    def forwarded(self, commands: list[bytes]) -> dict[str, str]:
        """As a read: the message that brought these very commands, if one did."""
        for position, (brought, event_id) in enumerate(self._forwarded):
            if brought is commands:
                del self._forwarded[position]
                return {"forward": event_id}
        return {}

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

    def crashed(self, **particulars: Any) -> None:  # noqa: ANN401 - anything JSON can hold
        """This life is over. What was not durable is lost, and so is what had come and was not yet taken."""
        self._watch = None
        self.emit(Kind.CRASH, x={"durable_number": self._durable_number, **self._plain(particulars)})
        for arrival in self._arrivals:
            if arrival.message_id:
                source = server_name(arrival.message.source)
                self.emit(Kind.DROP, seen=arrival.lc, m=arrival.message_id, cause="dst_down", src=source, to=self.name)
        self._arrivals.clear()

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
