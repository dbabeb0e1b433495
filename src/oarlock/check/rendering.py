"""A report as text for people."""

from collections.abc import Iterator

from oarlock.check.verdict import Counterexample, LinearizablePrefix, OperationView, Report, Verdict

SHOWN_OPERATIONS = 20
"""How many operations at the end of a prefix the text names."""


def render(report: Report) -> str:
    """The report as lines of text; the whole of it is only in the data."""
    return "\n".join(_lines(report)) + "\n"


def _lines(report: Report) -> Iterator[str]:
    yield f"{report.verdict.upper()}: {report.sentence}"
    yield (
        f"{report.operations} operations ({report.unknown_outcomes} of unknown outcome) by {report.clients} clients; "
        f"{len(report.partitions)} partitions judged, {report.partitions_not_judged} not; {report.steps} steps."
    )
    for part in report.partitions:
        if part.verdict is Verdict.UNKNOWN:
            yield f'Undecided: partition "{part.partition}", {part.operations} operations, after {part.steps} steps.'
    if report.counterexample is not None:
        yield from _counterexample(report.counterexample)


def _counterexample(counterexample: Counterexample) -> Iterator[str]:
    operations = {view.number: view for view in counterexample.operations}
    for number, prefix in enumerate(counterexample.prefixes, 1):
        yield ""
        yield f"Longest order {number} of {len(counterexample.prefixes)}:"
        yield from _prefix(prefix, operations)


def _prefix(prefix: LinearizablePrefix, operations: dict[int, OperationView]) -> Iterator[str]:
    hidden = max(0, len(prefix.order) - SHOWN_OPERATIONS)
    if hidden:
        yield f"     ... {hidden} operations before"
    for number in prefix.order[hidden:]:
        yield f"     {_operation(operations[number])}"
    yield f"  => {prefix.state}"
    for stuck in prefix.stuck:
        mark = "must be next, and is not accepted" if stuck.must_be_next else "accepted now or not, leads no further"
        yield f"   ! {_operation(operations[stuck.number])}: {mark}"


def _operation(view: OperationView) -> str:
    end = "?" if view.return_ is None else view.return_
    return f"{view.number}. client {view.client} [{view.call}, {end}] {view.caption}"
