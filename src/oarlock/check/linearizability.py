"""Judge a history: is there one order of its operations, true to real time, that a sequential object would answer so?

Linearizability is local: a history is linearizable exactly if each of its independent parts is. Parts are searched one
by one, the smallest first, and the first that is not linearizable ends the check.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from oarlock.check.history import History, HistoryError, clients_of, read_history
from oarlock.check.model import Action, BadOperation, Interval, Model, Part
from oarlock.check.registry import model_named
from oarlock.check.search import Found, Search
from oarlock.check.verdict import (
    Counterexample,
    LinearizablePrefix,
    OperationView,
    PartitionReport,
    Report,
    Stuck,
    Verdict,
)

MAX_STEPS: Final = 5_000_000
"""The default budget of a check: some seconds, and at most about a gigabyte of memory."""


def run_check(path: Path | str, model_name: str | None = None, *, max_steps: int = MAX_STEPS) -> Report:
    """Judge a history in a file.

    Args:
        path: A file in the format `oarlock-history/1`.
        model_name: The model to compare with; None for the one that the file names.
        max_steps: As for `check_history`.

    Raises:
        HistoryError: The file is no such history, or no model of that name is known.
        OSError: The file cannot be opened.
    """
    history = read_history(path)
    name = model_name or history.model
    if name is None:
        raise HistoryError(f"{history.source}:1: model: the file names none, so it must be given")
    return check_history(history, name, max_steps=max_steps)


def check_history(history: History, model: Model[Any] | str, *, max_steps: int = MAX_STEPS) -> Report:
    """Judge a history.

    Args:
        history: What clients saw.
        model: The sequential object, or its name.
        max_steps: How many questions to the model may be asked, over all parts. When they are used up the verdict is
            `unknown`, which is no pass. The count, unlike a time limit, is the same in every run.

    Raises:
        HistoryError: An operation is not one of the model's; says where. Or no model of that name is known.
    """
    if isinstance(model, str):
        model = model_named(model)
    actions = parse_actions(history, model)
    # A read without an answer says nothing.
    told = [
        position
        for position, operation in enumerate(history.operations)
        if operation.return_ is not None or not actions[position].read_only
    ]
    parts = model.partition([actions[position] for position in told])
    parts.sort(key=lambda part: (len(part.members), part.name))
    judged: list[PartitionReport] = []
    counterexample = None
    left = max_steps
    for part in parts:
        members = [told[member] for member in part.members]
        found = _search(history, actions, members, model, part, left)
        left -= found.steps
        verdict = {True: Verdict.OK, False: Verdict.VIOLATED, None: Verdict.UNKNOWN}[found.linearizable]
        judged.append(PartitionReport(part.name, len(members), verdict, found.steps))
        if verdict is Verdict.VIOLATED:
            counterexample = _counterexample(history, actions, members, model, part, found)
            break
        left = max(left, 0)
    return _report(history, model, judged, len(parts), counterexample, max_steps)


def parse_actions(history: History, model: Model[Any]) -> list[Action]:
    """Every operation as the model sees it.

    Raises:
        HistoryError: An operation is not one of the model's; says where.
    """
    actions = []
    for position, operation in enumerate(history.operations):
        try:
            actions.append(model.parse(operation))
        except BadOperation as error:
            raise HistoryError(f"{history.place(position)}: {error}") from None
    return actions


def _search(
    history: History,
    actions: Sequence[Action],
    members: Sequence[int],
    model: Model[Any],
    part: Part[Any],
    max_steps: int,
) -> Found:
    intervals = [
        Interval(actions[position], history.operations[position].call, history.operations[position].return_)
        for position in members
    ]
    return Search(model, part.initial, intervals, max_steps).run()


def _counterexample(
    history: History,
    actions: Sequence[Action],
    members: Sequence[int],
    model: Model[Any],
    part: Part[Any],
    found: Found,
) -> Counterexample:
    views = []
    for position in sorted(members, key=lambda position: history.operations[position].call):
        operation = history.operations[position]
        caption = model.describe(actions[position])
        views.append(OperationView(position + 1, operation.client, caption, operation.call, operation.return_))
    prefixes = [
        LinearizablePrefix(
            [members[member] + 1 for member in prefix.order],
            model.describe_state(prefix.state),
            [Stuck(members[member] + 1, place == len(prefix.stuck)) for place, member in enumerate(prefix.stuck, 1)],
        )
        for prefix in found.prefixes
    ]
    return Counterexample(part.name, views, prefixes)


def _report(
    history: History,
    model: Model[Any],
    judged: list[PartitionReport],
    parts: int,
    counterexample: Counterexample | None,
    max_steps: int,
) -> Report:
    verdicts = {report.verdict for report in judged}
    steps = sum(report.steps for report in judged)
    count = len(history.operations)
    if counterexample is not None:
        verdict = Verdict.VIOLATED
        sentence = _explain(counterexample, model.name)
    elif Verdict.UNKNOWN in verdicts:
        verdict = Verdict.UNKNOWN
        undecided = [report.partition for report in judged if report.verdict is Verdict.UNKNOWN]
        named = f' (the first: "{undecided[0]}")' if undecided[0] else ""
        sentence = (
            f"Not decided: {max_steps} steps were not enough for {len(undecided)} of {parts} partitions{named}. "
            "Nothing is shown either way; allow more steps, or record fewer operations per key."
        )
    else:
        verdict = Verdict.OK
        sentence = f'The {count} operations are linearizable as a "{model.name}".'
    return Report(
        verdict=verdict,
        sentence=sentence,
        model=model.name,
        operations=count,
        unknown_outcomes=sum(operation.return_ is None for operation in history.operations),
        clients=len(clients_of(history.operations)),
        steps=steps,
        max_steps=max_steps,
        partitions=judged,
        partitions_not_judged=parts - len(judged),
        counterexample=counterexample,
    )


def _explain(counterexample: Counterexample, model: str) -> str:
    captions = {view.number: view for view in counterexample.operations}
    prefix = counterexample.prefixes[0]
    where = f' of partition "{counterexample.partition}"' if counterexample.partition else ""
    blocker = captions[next(stuck.number for stuck in prefix.stuck if stuck.must_be_next)]
    return (
        f'Not linearizable as a "{model}": at most {len(prefix.order)} of the {len(captions)} operations{where} can be '
        f"put in order. Then the state is {prefix.state}, and operation {blocker.number}, {blocker.caption} by client "
        f"{blocker.client}, which must come before all that was called after {blocker.return_}, does not fit."
    )
