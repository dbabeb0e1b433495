"""What came of scenarios, for people: a line for each, what failed and how to see it again, and a score."""

from collections.abc import Sequence

import msgspec

from oarlock.lab.network import Rpc
from oarlock.lab.suite.run import Outcome
from oarlock.lab.suite.table import SECONDS_PER_SCENARIO, SECONDS_PER_SUITE

HEADER = ("SCENARIO", "", "SECONDS", "RPCS", "BYTES", "COMMANDS", "FIGURES AND THE LABS' BUDGETS")
_LAST_RPCS = 12
"""Shown of those before a failure."""


class Score(msgspec.Struct, frozen=True, kw_only=True):
    """Of a whole run."""

    target: str
    seed: int | None
    """Of virtual time; None on real time."""
    passed: int
    total: int
    seconds: float
    real_seconds: float
    cpu_seconds: float
    rpcs: int
    bytes: int
    commands: int
    outcomes: list[Outcome]


def score(target: str, seed: int | None, outcomes: Sequence[Outcome]) -> Score:
    """Add up."""
    return Score(
        target=target,
        seed=seed,
        passed=sum(outcome.passed for outcome in outcomes),
        total=len(outcomes),
        seconds=round(sum(outcome.seconds for outcome in outcomes), 1),
        real_seconds=round(sum(outcome.real_seconds for outcome in outcomes), 1),
        cpu_seconds=round(sum(outcome.cpu_seconds for outcome in outcomes), 1),
        rpcs=sum(outcome.rpcs for outcome in outcomes),
        bytes=sum(outcome.bytes for outcome in outcomes),
        commands=sum(outcome.commands for outcome in outcomes),
        outcomes=list(outcomes),
    )


def row(outcome: Outcome) -> list[str]:
    """One scenario's line, in the columns of `HEADER`."""
    figures = [f"{measure.what}: {measure.figure:g} ({measure.budget})" for measure in outcome.measures]
    return [
        outcome.scenario,
        "passed" if outcome.passed else "FAILED",
        f"{outcome.seconds:.1f}",
        f"{outcome.rpcs:,}",
        f"{outcome.bytes:,}",
        f"{outcome.commands:,}",
        "; ".join(figures),
    ]


def failure(outcome: Outcome, replay: str) -> list[str]:
    """What failed, the last RPCs before, and the command that shows it again."""
    lines = [f"{outcome.scenario} failed: {outcome.failure}"]
    if outcome.last_rpcs:
        lines.append(f"the last RPCs to end, in seconds since the scenario began at {outcome.began:.3f}:")
        lines += [f"  {_rpc(each, outcome.began)}" for each in outcome.last_rpcs[-_LAST_RPCS:]]
    return [*lines, f"again: {replay}"]


def _rpc(rpc: Rpc, began: float) -> str:
    times = f"{rpc.began - began:8.3f} to {rpc.ended - began:8.3f}"
    return f"{times}  {rpc.end:<18}  {rpc.method}, {rpc.request} bytes: {rpc.outcome}"


def summary(total: Score) -> list[str]:
    """The last lines."""
    where = "real time" if total.seed is None else f"virtual time, seed {total.seed}"
    lines = [
        f"{total.passed} of {total.total} passed on {where}",
        (
            f"{total.seconds:g} s on that clock (the labs allow {SECONDS_PER_SCENARIO:g} a scenario, "
            f"{SECONDS_PER_SUITE:g} a suite), {total.real_seconds:g} s real, {total.cpu_seconds:g} s of processor time"
        ),
        f"{total.rpcs:,} RPCs, {total.bytes:,} bytes, {total.commands:,} commands agreed on",
    ]
    return [*lines, *(f"warning: {each.scenario}: {text}" for each in total.outcomes for text in each.warnings)]
