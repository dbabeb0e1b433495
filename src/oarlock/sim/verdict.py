"""The judgement at the end of a run, from what clients saw and what was applied."""

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from oarlock.check.history import Operation, make_history
from oarlock.check.linearizability import check_history
from oarlock.check.log_replay import Placed, replay_log
from oarlock.check.verdict import Verdict, Violation
from oarlock.etcd.requests import Kind
from oarlock.machine.exactly_once import HEADER_BYTES, read_envelope
from oarlock.raft.types import Index, ServerId
from oarlock.sim.clients import FAILED, OK, Request
from oarlock.sim.machine import command_id
from oarlock.sim.operations import READS, UPKEEP, model_input, model_output

WGL_STEPS: Final = 100_000
"""What the search may cost; where that is not enough, the replay of the log alone decides."""

_IN_MODEL: Final = (Kind.PUT, Kind.DELETE_RANGE, Kind.TXN)


class Judgement:
    """What was found, and how much was looked at."""

    def __init__(self) -> None:
        self.violations: list[Violation] = []
        self.operations = 0
        self.stale_reads = 0
        self.wgl_verdict = Verdict.OK
        self.wgl_steps = 0


def judge(
    requests: Sequence[Request],
    applied: Mapping[Index, bytes | None],
    committed_at: Mapping[Index, float],
    refused: Collection[Index] = (),
) -> Judgement:
    """Judge a run.

    Args:
        requests: Of all clients.
        applied: What was applied at each index.
        committed_at: When each index was first committed.
        refused: Where the state machine refused what it was given.
    """
    judgement = Judgement()
    log = _executed(applied)
    without_effect = {log.get(index) for index in refused}  # wherever a copy of them stands
    log = {index: None if command in without_effect else command for index, command in log.items()}
    placed: list[Placed] = []
    stale: list[Placed] = []
    for request in requests:
        operation = request.operation
        if operation.kind == "compact" or operation.kind in UPKEEP:
            continue
        is_read = operation.kind in READS
        if request.outcome == FAILED or (is_read and request.outcome != OK):
            continue
        each = Placed(
            _operation(request),
            None if is_read else request.command or -request.number,
            request.index if is_read else None,
        )
        (stale if operation.kind == "serializable" else placed).append(each)
    judgement.operations = len(placed)
    judgement.stale_reads = len(stale)
    report = replay_log(log, placed, "kv", committed_at=committed_at)
    judgement.violations += report.violations
    if stale and report.ok:
        judgement.violations += _judge_stale(log, placed, stale)
    _search(placed, judgement)
    return judgement


def _executed(applied: Mapping[Index, bytes | None]) -> dict[Index, int | None]:
    """Whose command each entry is, as far as the model knows such commands; None for what has no effect.

    Late copies have none: of a boot before its server's present one, or of a sequence that was given up.
    """
    log: dict[Index, int | None] = {}
    newest: dict[ServerId, tuple[int, int]] = {}
    """By origin: its boot's epoch, and the sequence below which all is given up."""
    for index in sorted(applied):
        data = applied[index]
        log[index] = None
        if data is None:
            continue
        envelope = read_envelope(data)
        epoch, floor = newest.get(envelope.origin, (-1, 0))
        if envelope.epoch == epoch and envelope.sequence < floor:
            continue
        if envelope.epoch >= epoch:
            floor = max(floor, envelope.floor) if envelope.epoch == epoch else envelope.floor
            newest[envelope.origin] = envelope.epoch, floor
            if data[HEADER_BYTES] in _IN_MODEL:
                log[index] = command_id(envelope.origin, envelope.epoch, envelope.sequence)
    return log


def _operation(request: Request) -> Operation:
    kind, asked = model_input(request.operation)
    is_answered = request.outcome == OK
    return Operation(
        client=request.operation.client,
        kind=kind,
        input=asked,
        output=model_output(request.operation, request.answer) if is_answered else None,
        call=request.called,
        return_=request.returned if is_answered else None,
    )


def _judge_stale(log: Mapping[Index, int | None], placed: Sequence[Placed], stale: Sequence[Placed]) -> list[Violation]:
    """Reads of a server's own state may be late, but must show some state of the log: moments do not count."""
    commands = set(log.values())
    timeless = [
        Placed(_timeless(each.operation), each.command, each.index)
        for each in (*placed, *stale)
        if each.command is None or each.command in commands
    ]
    return replay_log(log, timeless, "kv").violations


def _timeless(operation: Operation) -> Operation:
    return Operation(
        client=operation.client,
        kind=operation.kind,
        input=operation.input,
        output=operation.output,
        call=0.0,
        return_=None if operation.return_ is None else 1.0,
    )


def _search(placed: Sequence[Placed], judgement: Judgement) -> None:
    """An oracle that knows nothing of the log: keys apart, values alone."""
    plain = [_plain(each.operation) for each in placed if "range_end" not in each.operation.input]
    if len(plain) != len(placed) and any(
        each.operation.kind == "delete" and "range_end" in each.operation.input for each in placed
    ):
        return  # deletions of ranges join all keys; the search would be too long
    report = check_history(make_history(plain), "kv", max_steps=WGL_STEPS)
    judgement.wgl_verdict = report.verdict
    judgement.wgl_steps = report.steps
    if report.verdict is Verdict.VIOLATED:
        judgement.violations.append(Violation("linearizability", report.sentence))


def _plain(operation: Operation) -> Operation:
    """Without revisions and versions, as far as they are only answered."""
    return Operation(
        client=operation.client,
        kind=operation.kind,
        input=operation.input,
        output=_strip(operation.output),
        call=operation.call,
        return_=operation.return_,
    )


def _strip(answer: object) -> object:
    if isinstance(answer, dict):
        dropped = ("revision", "create_revision", "mod_revision", "version", "count")
        return {name: _strip(value) for name, value in answer.items() if name not in dropped}
    if isinstance(answer, list):
        return [_strip(value) for value in answer]
    return answer
