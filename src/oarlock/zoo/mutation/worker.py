"""`python -m oarlock.zoo.mutation.worker`: judges mutants, each in a fork that has imported nothing of ours yet.

Takes an `Assignment` as JSON from standard input, gives a `Judged` for each mutant as a line on standard output.
"""

import contextlib
import importlib
import os
import re
import resource
import select
import signal
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, Protocol, TypeVar

import msgspec

from oarlock.zoo.mutation.judged import Assignment, By, Judged, Trial
from oarlock.zoo.mutation.mutants import General, mutate, path_of
from oarlock.zoo.patching import install_changes
from oarlock.zoo.trials import HANGS, attempt, run_of

_SLOWER: Final = 20.0
"""A run that takes so many times as long as on the sound code, and `_AT_LEAST_S`, hangs."""
_AT_LEAST_S: Final = 4.0
_SUITE_CPU_S: Final = 150
_TEST_S: Final = 60
_WALL_S: Final = 600.0
"""For what does not even use the processor."""
_MEMORY_BYTES: Final = 3 << 30
_OF_THIS_MACHINE: Final = re.compile(r"\S*/pytest-of-[^/\s]+/pytest-\d+/")
"""Where tests keep their files."""

_T = TypeVar("_T")

Say = Callable[[Judged], None]


class Failed(Exception):
    """The judge cannot work: the sound code does not pass."""


def judge(assignment: Assignment, say: Say) -> None:
    """Judge all mutants.

    Args:
        assignment: Which, and by what.
        say: Told of each.

    Raises:
        Failed: The code as it is fails a run.
    """
    _preload(assignment)
    orders = {room: _Order(trials) for room, trials in assignment.trials.items()}
    for room, order in orders.items():
        order.measure()
        tests = assignment.suites.get(room)
        if tests and (failed := _in_fork(partial(_run_tests, tests), tuple[str, str])[0]):
            raise Failed(f"the code as it is fails {failed}")
    for mutant in assignment.mutants:
        judged = orders[mutant.room].judge(mutant)
        suite = assignment.suites.get(mutant.room)
        if judged.by == "nobody" and suite:
            judged = _by_suite(mutant, suite, judged.seconds)
        say(judged)


class _Order:
    """The runs of a room, those first that killed most, and of equals the cheapest."""

    def __init__(self, trials: Sequence[Trial]) -> None:
        self._trials = list(trials)
        self._seconds: dict[Trial, float] = {}
        self._kills: dict[Trial, int] = dict.fromkeys(trials, 0)

    def measure(self) -> None:
        """Run the code as it is; what that breaks can tell nothing of mutants, and is left out."""
        found = _in_fork(partial(_measure, self._trials), list[tuple[float, str]])
        for trial, (seconds, broken) in zip(list(self._trials), found, strict=True):
            self._seconds[trial] = seconds
            if broken:
                print(f"left out: the code as it is breaks {trial.name}: {broken}", file=sys.stderr)  # noqa: T201
                self._trials.remove(trial)
        if not self._trials:
            raise Failed("the code as it is breaks every run")

    def judge(self, mutant: General) -> Judged:
        """Try all runs until one kills."""
        trials = sorted(self._trials, key=lambda trial: (-self._kills[trial], self._seconds[trial]))
        limits = [max(_AT_LEAST_S, _SLOWER * self._seconds[trial]) for trial in trials]
        judged = _judged(mutant, partial(_simulate, mutant, trials, limits), trials[0].stage)
        for trial in trials:
            self._kills[trial] += trial.name == judged.where
        return judged


def _judged(mutant: General, how: Callable[[], Judged], by: By) -> Judged:
    """A verdict from a fork; one that dies without a word is killed, too."""
    try:
        return _in_fork(how, Judged)
    except _Dead as dead:
        return Judged(mutant=mutant, by=by, broken="no call raises", sentence=str(dead), hangs=dead.hangs)


# -- in forks ----------------------------------------------------------------------------------------------------------


def _measure(trials: Sequence[Trial]) -> list[tuple[float, str]]:
    """Time of each run, and what it breaks."""
    found = []
    for trial in trials:
        run = run_of(trial.stage, trial.seed, trial.scene)
        began = time.process_time()
        broken = attempt(run, 120.0)
        found.append((time.process_time() - began, ": ".join(broken) if broken else ""))
    return found


def _simulate(mutant: General, trials: Sequence[Trial], limits: Sequence[float]) -> Judged:
    began = time.process_time()

    def verdict(by: By, where: str = "", broken: str = "", sentence: str = "") -> Judged:
        seconds = time.process_time() - began
        return Judged(
            mutant=mutant,
            by=by,
            where=where,
            broken=broken,
            sentence=sentence[:300],
            hangs=broken == HANGS,
            seconds=round(seconds, 3),
        )

    if _change(mutant):
        return verdict("compiler")
    try:
        importlib.import_module(f"oarlock.{mutant.module}")
    except Exception as error:  # noqa: BLE001 - changed code may raise anything
        return verdict("import", "", "it is imported", f"{type(error).__name__}: {error}")
    for trial, limit_s in zip(trials, limits, strict=True):
        found = attempt(lambda trial=trial: run_of(trial.stage, trial.seed, trial.scene)(), limit_s)  # type: ignore[misc]
        if found is not None:
            return verdict(trial.stage, trial.name, *found)
    return verdict("nobody")


def _change(mutant: General) -> bool:
    """Have the mutant imported in place of its module; whether there is no difference."""
    path = path_of(mutant.module)
    text = path.read_text()
    if mutate(mutant.number, text, str(path)) == compile(text, str(path), "exec", dont_inherit=True):
        return True
    install_changes({f"oarlock.{mutant.module}": partial(mutate, mutant.number)})
    return False


def _by_suite(mutant: General, tests: Sequence[str], seconds: float) -> Judged:
    judged = _judged(mutant, partial(_test, mutant, tests), "suite")
    return msgspec.structs.replace(judged, seconds=round(judged.seconds + seconds, 3))


class _Report(Protocol):
    """What pytest tells of a test, or of a file of tests."""

    failed: bool
    nodeid: str
    longrepr: object


class _FirstFailure:
    """A plugin of pytest that remembers what failed."""

    def __init__(self) -> None:
        self.name = ""
        self.text = ""

    def pytest_runtest_logreport(self, report: _Report) -> None:
        """See pytest."""
        self._note(report)

    def pytest_collectreport(self, report: _Report) -> None:
        """See pytest."""
        self._note(report)

    def _note(self, report: _Report) -> None:
        if report.failed and not self.name:
            self.name = report.nodeid
            crash = getattr(report.longrepr, "reprcrash", None)
            self.text = str(crash.message if crash is not None else report.longrepr)[:300]


def _run_tests(tests: Sequence[str]) -> tuple[str, str]:
    """The first test that fails, and how; nothing where all pass."""
    resource.setrlimit(resource.RLIMIT_CPU, (_SUITE_CPU_S, _SUITE_CPU_S))
    plugin = _FirstFailure()
    # Assertions are left as they are: pytest cannot rewrite what is imported already, and says so, which is an error.
    options = ["-x", "-q", "-n", "0", "-p", "no:cacheprovider", "--assert=plain", "-o", f"timeout={_TEST_S}"]
    status = int(importlib.import_module("pytest").main([*options, *tests], plugins=[plugin]))
    return plugin.name or (f"status {status}" if status else ""), plugin.text


def _test(mutant: General, tests: Sequence[str]) -> Judged:
    began = time.process_time()
    if _change(mutant):
        return Judged(mutant=mutant, by="compiler")
    where, text = _run_tests(tests)
    return Judged(
        mutant=mutant,
        by="suite" if where else "nobody",
        where=where,
        sentence=_OF_THIS_MACHINE.sub("", text),
        hangs="Timeout" in text,
        seconds=round(time.process_time() - began, 3),
    )


# -- forking -----------------------------------------------------------------------------------------------------------


class _Dead(Exception):
    """A fork ended without an answer."""

    def __init__(self, reason: str, *, hangs: bool) -> None:
        super().__init__(reason)
        self.hangs = hangs


def _in_fork(work: Callable[[], _T], answer: type[_T]) -> _T:
    """Do something in a copy of this process, and give its answer, through JSON.

    Raises:
        _Dead: There was none.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        status = 1
        try:
            _become_worker()
            answered = msgspec.json.encode(work())
            while answered:
                answered = answered[os.write(writing, answered) :]
            status = 0
        finally:
            os._exit(status)
    os.close(writing)
    data = _read_all(reading, _WALL_S)
    if data is None:
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if data is None or os.WIFSIGNALED(status):
        raise _Dead(f"the process was ended by signal {os.WTERMSIG(status)}", hangs=True)
    if status:
        raise _Dead("the process ended itself", hangs=False)
    return msgspec.json.decode(data, type=answer)


def _become_worker() -> None:
    """Nothing of the copy reaches our own standard streams, and its memory is bounded."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nothing, descriptor)
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))


def _read_all(reading: int, wall_s: float) -> bytes | None:
    """All that comes, until the end; None if that takes too long."""
    deadline = time.monotonic() + wall_s
    data = b""
    try:
        while True:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([reading], [], [], left)[0]:
                return None
            part = os.read(reading, 1 << 16)
            if not part:
                return data
            data += part
    finally:
        os.close(reading)


def _preload(assignment: Assignment) -> None:
    """Import what is not ours, and is the same for all, once: found out by a fork that imports everything."""
    stages = {trial.stage for trials in assignment.trials.values() for trial in trials}
    for name in _in_fork(partial(_names_to_preload, sorted(stages), bool(assignment.suites)), list[str]):
        with contextlib.suppress(Exception):
            importlib.import_module(name)


def _names_to_preload(stages: Sequence[str], with_suite: bool) -> list[str]:
    rooms = {
        "scenes": "oarlock.zoo.core.scenes",
        "core": "oarlock.zoo.core.run",
        "storage": "oarlock.zoo.storage.run",
        "drill": "oarlock.zoo.drill",
        "node": "oarlock.sim",
    }
    for stage in stages:
        importlib.import_module(rooms[stage])
    if with_suite:
        for name in ("pytest", "hypothesis", "hypothesis.stateful"):
            importlib.import_module(name)
    return [name for name in sys.modules if name.partition(".")[0] not in ("oarlock", "__main__", "tests")]


def main() -> None:
    """Serve one assignment."""
    assignment = msgspec.json.decode(sys.stdin.buffer.read(), type=Assignment)

    def say(judged: Judged) -> None:
        sys.stdout.buffer.write(msgspec.json.encode(judged) + b"\n")
        sys.stdout.buffer.flush()

    try:
        judge(assignment, say)
    except Failed as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
