"""Attaches a recorder to a core: each event of that one instance is taken as ever, and then recorded.

The core's code is not touched, so a core without a recorder does not even test whether it has one.
"""

from collections.abc import Callable
from typing import Any, Final

from oarlock.trace.recorder import Recorder
from oarlock.trace.schema import Kind, server_name

Method = Callable[..., Any]


def _simply(
    kind: Kind, show: Callable[..., dict[str, Any]], *, quiet: bool = False
) -> Callable[[Recorder, Method], Method]:
    """Record a call with particulars that its arguments give."""

    def wrap(recorder: Recorder, method: Method) -> Method:
        def recorded(*args: Any, **named: Any) -> Any:  # noqa: ANN401 - as the core has it
            try:
                result = method(*args, **named)
            except Exception as error:
                recorder.failed(kind, error, x=show(*args))
                raise
            recorder.end(kind, quiet=quiet, x=show(*args))
            return result

        return recorded

    return wrap


def _step(recorder: Recorder, method: Method) -> Method:
    def step(message: Any, now: float) -> None:  # noqa: ANN401 - any message
        fields = recorder.received(message, recorder.identify(message))
        try:
            method(message, now)
        except Exception as error:
            recorder.failed(Kind.RECV, error, **fields)
            raise
        recorder.end(Kind.RECV, **fields)

    return step


def _propose(recorder: Recorder, method: Method) -> Method:
    def propose(commands: list[bytes], awaited_by: int | None = None) -> Any:  # noqa: ANN401 - as the core has it
        asked: dict[str, Any] = {"op": "propose", "count": len(commands)}
        reads: dict[str, str] = {}
        if awaited_by is not None:
            asked["for"] = server_name(awaited_by)
            reads = recorder.forwarded(commands)
        try:
            placed = method(commands, awaited_by)
        except Exception as error:
            recorder.failed(Kind.CLIENT, error, x=asked, reads=reads)
            raise
        if placed:
            asked |= {"index": placed[0][0], "term": placed[0][1]}
        recorder.end(Kind.CLIENT, x=asked, reads=reads)
        return placed

    return propose


def _ready(recorder: Recorder, method: Method) -> Method:
    def ready() -> Any:  # noqa: ANN401 - the core's
        taken = method()
        event_id = recorder.next_id
        shown = _effects(taken)
        recorder.end(Kind.READY, quiet=len(shown) == 1, left=taken, x=shown)
        if taken.must_persist:
            recorder.write_began(taken.number, event_id)
        for request in taken.chunk_requests:
            recorder.chunk_requested(request.to, request.request_id, event_id)
        return taken

    return ready


def _effects(ready: Any) -> dict[str, Any]:  # noqa: ANN401 - the core's
    """What a `Ready` asks for, its messages excepted."""
    shown: dict[str, Any] = {"number": ready.number}
    if ready.must_persist:
        write: dict[str, Any] = {}
        if ready.hard_state is not None:
            vote = ready.hard_state.voted_for
            write["hard_state"] = [ready.hard_state.current_term, None if vote is None else server_name(vote)]
        if ready.entries:
            write["log"] = [ready.entries[0].index, ready.entries[-1].index]
        base = ready.snapshot or ready.compact_to
        if base is not None:
            write["base"] = base.last_included_index
        shown["write"] = write
    if ready.committed_entries:
        shown["apply"] = [ready.committed_entries[0].index, ready.committed_entries[-1].index]
    if ready.snapshot is not None:
        shown["restore"] = ready.snapshot.last_included_index
    if ready.reads:
        shown["reads"] = [[str(read.context), read.read_index] for read in ready.reads]
    return shown


def _advance(recorder: Recorder, method: Method) -> Method:
    def advance(number: int) -> None:
        recorder.durable(number)
        shown, reads = {"number": number}, recorder.disk_event
        try:
            method(number)
        except Exception as error:
            recorder.failed(Kind.ADVANCE, error, x=shown, reads=reads)
            raise
        recorder.end(Kind.ADVANCE, quiet=True, x=shown, reads=reads)

    return advance


def _configuration(target: Any) -> dict[str, Any]:  # noqa: ANN401 - the core's
    voters, learners = (list(map(server_name, sorted(each))) for each in (target.voters, target.learners))
    return {"op": "change_membership", "voters": voters, "learners": learners}


def _of_snapshot(what: str) -> Callable[..., dict[str, Any]]:
    return lambda metadata: {"op": what, "index": metadata.last_included_index}


def _of_chunk(what: str) -> Callable[..., dict[str, Any]]:
    return lambda chunk, *_: {"op": what, "index": chunk.metadata.last_included_index, "offset": chunk.offset}


_RECORDED: Final[dict[str, Callable[[Recorder, Method], Method]]] = {
    "step": _step,
    "propose": _propose,
    "ready": _ready,
    "advance": _advance,
    "tick": _simply(Kind.TIMER, lambda _: {}, quiet=True),
    "applied": _simply(Kind.APPLY, lambda index: {"index": index}, quiet=True),
    "read_index": _simply(Kind.CLIENT, lambda context, _: {"op": "read", "context": str(context)}),
    "change_membership": _simply(Kind.CLIENT, _configuration),
    "transfer_leadership": _simply(Kind.CLIENT, lambda to, _: {"op": "transfer", "to": server_name(to)}),
    "peer_unreachable": _simply(Kind.LINK, lambda peer: {"peer": server_name(peer)}, quiet=True),
    "snapshot_taken": _simply(Kind.SNAPSHOT, _of_snapshot("taken"), quiet=True),
    "snapshot_unavailable": _simply(Kind.SNAPSHOT, lambda to: {"op": "unavailable", "to": server_name(to)}, quiet=True),
    "snapshot_chunk_written": _simply(Kind.SNAPSHOT, _of_chunk("chunk_written")),
    "snapshot_chunk_failed": _simply(Kind.SNAPSHOT, _of_chunk("chunk_failed")),
    "compact": _simply(Kind.SNAPSHOT, lambda index: {"op": "compact", "index": index}),
}
"""By method."""


def attach(recorder: Recorder, raft: Any) -> None:  # noqa: ANN401 - the core, which this floor does not know
    """Record what happens to a core from here on.

    Args:
        recorder: A new one.
        raft: A core to which nothing has happened yet.
    """
    recorder.begin(raft.state)
    for name, recorded in _RECORDED.items():
        setattr(raft, name, recorded(recorder, getattr(raft, name)))
