"""Strict serialisability where the order is known: replay the log, and hold every answer and every moment against it.

A search has to find an order; a replicated log is one. So each run, however long, can be judged in O(n log n): each
answer must be the one that the object gives at that place of the log, and some moment between each call and return
must suit the order. No acknowledged write may be missing, and none may act twice.
"""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from oarlock.check.history import History, Operation, Time, make_history
from oarlock.check.linearizability import parse_actions
from oarlock.check.model import Action, Model
from oarlock.check.registry import model_named
from oarlock.check.verdict import Verdict, Violation
from oarlock.raft.types import Index

CommandId = int | str
"""Tells a command from all others; a command that is proposed again keeps it."""

MAX_VIOLATIONS: Final = 100
"""How many a report lists; the replay of answers ends at the first anyway."""


class Placed(msgspec.Struct, frozen=True):
    """An operation, and where in the log it belongs."""

    operation: Operation
    command: CommandId | None = None
    """The command proposed for it; None for a read that is not in the log."""
    index: Index | None = None
    """Where the server says it acted: of a command its entry, of a read the last entry applied before it."""
    read_index: Index | None = None
    """Of a read: the index that was confirmed for it."""


class ReplayReport(msgspec.Struct, frozen=True):
    """The verdict on a run."""

    verdict: Verdict
    sentence: str
    model: str
    operations: int
    entries: int
    violations: list[Violation]

    @property
    def ok(self) -> bool:
        """Whether the run passed."""
        return self.verdict is Verdict.OK


class _Act(NamedTuple):
    """An operation at its place in the one order."""

    at: Index
    is_read: bool
    """A read acts after the entry there, whose command acts itself."""
    call: Time
    number: int


def replay_log(
    log: Mapping[Index, CommandId | None],
    placed: Sequence[Placed],
    model: Model[Any] | str,
    *,
    committed_at: Mapping[Index, Time] | None = None,
    is_deduplicated: bool = True,
) -> ReplayReport:
    """Judge a run by its log.

    Args:
        log: The committed log from its first index: whose command each entry is, None for entries of the algorithm's.
        placed: Every operation of every client, those of unknown outcome included.
        model: The sequential object that the state machine is, or its name.
        committed_at: When each entry was first committed, on the clock of the operations. With it, no command may be
            answered before it is committed, or be committed before it is called.
        is_deduplicated: Whether a command that is in the log more than once acts at the first place alone. If not,
            a second place is a violation.

    Raises:
        HistoryError: An operation is not one of the model's; says its number.
    """
    if isinstance(model, str):
        model = model_named(model)
    history = make_history(each.operation for each in placed)
    actions = parse_actions(history, model)
    first_index: dict[CommandId, Index] = {}
    violations = list(_repeated(log, first_index, is_deduplicated=is_deduplicated))
    violations += _strangers(placed, first_index)
    acts: list[_Act] = []
    for number, each in enumerate(placed, 1):
        index = first_index.get(each.command) if each.command is not None else each.index
        violations += _misplaced(each, number, index, committed_at)
        if index is not None and (each.command is not None or each.operation.return_ is not None):
            acts.append(_Act(index, each.command is None, each.operation.call, number))
    acts.sort()
    violations += _out_of_time(acts, history)
    violations += _stale_read_indices(placed, first_index)
    violations += _wrong_answers(acts, history, actions, model)
    return _report(violations, model.name, len(placed), len(log))


def _repeated(
    log: Mapping[Index, CommandId | None], first_index: dict[CommandId, Index], *, is_deduplicated: bool
) -> Iterator[Violation]:
    """Fill in where each command acts; exactly once."""
    for index in sorted(log):
        command = log[index]
        if command is None:
            continue
        first = first_index.setdefault(command, index)
        if first != index and not is_deduplicated:
            yield _violation("exactly once", f"command {command} acts at index {first} and again at {index}", index)


def _strangers(placed: Sequence[Placed], first_index: Mapping[CommandId, Index]) -> Iterator[Violation]:
    known: dict[CommandId, int] = {}
    for number, each in enumerate(placed, 1):
        if each.command is None:
            continue
        other = known.setdefault(each.command, number)
        if other != number:
            yield _violation("exactly once", f"operations {other} and {number} are both said to be {each.command}")
    for command, index in first_index.items():
        if command not in known:
            yield _violation(
                "no phantom",
                f"the command {command} at index {index} is of no client, or of one that was told it had failed",
                index,
            )


def _misplaced(
    each: Placed, number: int, index: Index | None, committed_at: Mapping[Index, Time] | None
) -> Iterator[Violation]:
    operation = each.operation
    if index is None:
        if operation.return_ is not None:
            lost = f"its command {each.command} is not in the log" if each.command is not None else "it has no index"
            yield _violation(
                "no acknowledged write lost" if each.command is not None else "reads are placed",
                f"operation {number}, {operation.kind} by client {operation.client}, was answered, but {lost}",
            )
        return
    if each.command is not None and each.index is not None and each.index != index:
        yield _violation(
            "exactly once",
            f"operation {number} was answered from index {each.index}, but its command {each.command} acts at {index}",
            index,
        )
    if each.read_index is not None and each.command is None and each.read_index > index:
        yield _violation(
            "reads are placed",
            f"read {number} has read index {each.read_index}, but was answered when only {index} was applied",
            index,
        )
    if committed_at is None or each.command is None:
        return
    moment = committed_at.get(index)
    if moment is not None and moment < operation.call:
        yield _violation(
            "real time", f"the command of operation {number} was committed at {moment}, before its call", index
        )
    if operation.return_ is not None and (moment is None or moment > operation.return_):
        when = "never" if moment is None else f"only at {moment}"
        yield _violation(
            "no early answer",
            f"operation {number} was answered at {operation.return_}, but its entry was committed {when}",
            index,
        )


def _out_of_time(acts: Sequence[_Act], history: History) -> Iterator[Violation]:
    """Moments must rise along the log: none may return before one at an earlier place is called."""
    latest: _Act | None = None
    for act in acts:
        returned = history.operations[act.number - 1].return_
        if latest is not None and returned is not None and returned < latest.call:
            place = "after" if act.is_read else "at"
            yield _violation(
                "real time",
                f"operation {act.number} acts {place} index {act.at} and returned at {returned}, but operation "
                f"{latest.number}, before it at index {latest.at}, was only called at {latest.call}",
                act.at,
            )
        if latest is None or act.call > latest.call:
            latest = act


def _stale_read_indices(placed: Sequence[Placed], first_index: Mapping[CommandId, Index]) -> Iterator[Violation]:
    """A read index is no lower than any entry that was acknowledged before the read was called."""
    returns: list[tuple[Time, Index, int]] = []
    reads: list[tuple[Time, Index, int]] = []
    for number, each in enumerate(placed, 1):
        operation = each.operation
        if each.command is not None and operation.return_ is not None and each.command in first_index:
            returns.append((operation.return_, first_index[each.command], number))
        elif each.command is None and each.read_index is not None:
            reads.append((operation.call, each.read_index, number))
    returns.sort(reverse=True)
    highest, writer = 0, 0
    for call, read_index, number in sorted(reads):
        while returns and returns[-1][0] < call:
            _, index, at = returns.pop()
            if index > highest:
                highest, writer = index, at
        if read_index < highest:
            yield _violation(
                "read index",
                f"read {number}, called at {call}, has read index {read_index}, but operation {writer} was "
                f"acknowledged before that at index {highest}",
                highest,
            )


def _wrong_answers(
    acts: Sequence[_Act], history: History, actions: Sequence[Action], model: Model[Any]
) -> Iterator[Violation]:
    """Replay; ends at the first wrong answer, after which every other may follow from it."""
    everyone = [actions[act.number - 1] for act in acts]
    for part in model.partition(everyone):
        state: Hashable = part.initial
        for member in part.members:
            act, action = acts[member], everyone[member]
            accepted, after = model.step(state, action.input, action.output)
            if not accepted:
                client = history.operations[act.number - 1].client
                yield _violation(
                    "right answers",
                    f"operation {act.number}, {model.describe(action)} by client {client}, acts "
                    f"{'after' if act.is_read else 'at'} index {act.at}, where the state is "
                    f"{model.describe_state(state)}",
                    act.at,
                )
                return
            state = after


def _violation(name: str, sentence: str, index: Index | None = None) -> Violation:
    return Violation(name=name, sentence=sentence, index=index)


def _report(violations: list[Violation], model: str, operations: int, entries: int) -> ReplayReport:
    if violations:
        first = violations[0]
        more = f" ({len(violations)} violations in all.)" if len(violations) > 1 else ""
        sentence = f"{first.name}: {first.sentence}.{more}"
    else:
        sentence = f'The {operations} operations are strictly serialisable in the order of the log, as a "{model}".'
    verdict = Verdict.VIOLATED if violations else Verdict.OK
    return ReplayReport(verdict, sentence, model, operations, entries, violations[:MAX_VIOLATIONS])
