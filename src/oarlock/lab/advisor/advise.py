"""Advice on a user's Raft: a few short runs under watch, and what they show."""

import contextlib
from collections.abc import Sequence
from importlib import import_module
from types import ModuleType
from typing import Final, NamedTuple

from oarlock.lab.advisor.check import Check
from oarlock.lab.advisor.checks.half_changed import CheckThenAct, HalfChanged
from oarlock.lab.advisor.checks.shared_data import SharedData
from oarlock.lab.advisor.checks.stale_decisions import LaterArguments, UncheckedReply
from oarlock.lab.advisor.checks.structure import ApplierWoken, CombinedTimers, SerialRpcs, SingleApplier, TimerObjects
from oarlock.lab.advisor.checks.waiting import LockOrder, WaitsWithLock
from oarlock.lab.advisor.instrument import classes_of, watched
from oarlock.lab.advisor.record import Finding
from oarlock.lab.advisor.scenario import Scenario
from oarlock.lab.advisor.timeline import Timeline
from oarlock.lab.advisor.watch import Watch
from oarlock.lab.threads import BadTarget, Limits, RunError, VirtualRuntime

CHECKS: Final[tuple[type[Check], ...]] = (
    SharedData,
    HalfChanged,
    CheckThenAct,
    WaitsWithLock,
    LockOrder,
    LaterArguments,
    UncheckedReply,
    SerialRpcs,
    CombinedTimers,
    TimerObjects,
    SingleApplier,
    ApplierWoken,
)
SEEDS: Final = (1, 2)
LIMITS: Final = Limits(steps=200_000, time_s=120.0, threads=2_000)
PREEMPTION: Final = 0.1


class Advice(NamedTuple):
    """What was found, and how."""

    target: str
    findings: list[Finding]
    errors: list[str]
    """What went wrong in the runs that is no matter of advice: exceptions, deadlocks."""
    seeds: tuple[int, ...]
    accesses: int
    """Accesses to attributes that were looked at."""
    timeline: Timeline
    """Of the first run."""


def advise(target: str, *, seeds: Sequence[int] = SEEDS, also: Sequence[str] = ()) -> Advice:
    """Watch an implementation.

    Args:
        target: `package.module:make`.
        seeds: One run each.
        also: Names of modules that it uses and that are to be watched too. They are shared with everyone; their classes
            are as before when this returns.

    Raises:
        BadTarget: There is no such function, it makes no Raft, or a module cannot be imported.
    """
    found: dict[tuple[str, str], Finding] = {}
    errors: list[str] = []
    accesses = 0
    timelines = []
    for seed in seeds:
        checks = [check() for check in CHECKS]
        timeline = Timeline()
        run_errors, count = _run(target, seed, [*checks, timeline], also)
        accesses += count
        timelines.append(timeline)
        errors += [error for error in run_errors if error not in errors]
        for check in checks:
            for finding in check.findings():
                found.setdefault((finding.check, finding.subject), finding)
    return Advice(target, list(found.values()), errors, tuple(seeds), accesses, timelines[0])


def _shared(name: str) -> ModuleType:
    try:
        return import_module(name)
    except ImportError as error:
        raise BadTarget(f"{name}, which is to be watched as well, cannot be imported: {error}") from error


def _run(target: str, seed: int, checks: Sequence[Check], also: Sequence[str]) -> tuple[list[str], int]:
    """One run; what went wrong in it, and how many accesses were seen."""
    runtime = VirtualRuntime(seed, preemption=PREEMPTION, limits=LIMITS)
    watch = Watch(runtime.scheduler, checks, seed)
    make = runtime.load(target)
    modules: list[ModuleType] = [*runtime.modules(), *map(_shared, also)]
    runtime.observe(watch.on_event)
    scenario: list[Scenario] = []

    def main() -> None:
        scenario.append(Scenario(runtime, watch, make))
        scenario[0].run()

    errors = []
    with contextlib.ExitStack() as stack:
        stack.enter_context(watched(classes_of(modules), watch))
        try:
            runtime.run(main)
        except RunError as error:
            errors.append(str(error))
    errors += [str(failure) for failure in runtime.failures]
    return [*errors, *(scenario[0].errors if scenario else [])], watch.accesses
