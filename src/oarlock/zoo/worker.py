"""`python -m oarlock.zoo.worker`: hunts one mutant, in a process of its own.

Takes a `Request` as JSON from standard input and gives an `Answer` to standard output. The patch is in place before
anything of what it changes is imported.
"""

import importlib
import itertools
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import FrameType
from typing import Any, Literal

import msgspec

from oarlock.zoo.catalogue import MUTANTS
from oarlock.zoo.patching import install

Stage = Literal["scenes", "core", "drill", "node"]
Found = tuple[str, str]
"""The property broken, and the sentence."""

HANG_S = 20.0
"""Processor time after which a run is taken to hang; a sound one needs a tenth of it."""


class Hunt(msgspec.Struct, frozen=True):
    """Runs to be made, until one is caught."""

    stage: Stage
    first: int = 1
    count: int = 100


class Request(msgspec.Struct, frozen=True):
    """What a worker is asked."""

    mutant: str | None
    """None: the code as it is."""
    hunts: list[Hunt]
    seconds: float = 120.0
    """Processor time for each hunt."""


class Catch(msgspec.Struct, frozen=True):
    """What a run showed."""

    stage: Stage
    where: str
    """A seed, or a scene's name."""
    property: str
    sentence: str


class Outcome(msgspec.Struct, frozen=True):
    """What a hunt came to."""

    caught: Catch | None
    runs: int
    """How many were made; the last one is the one caught."""
    seconds: float
    """Processor time."""


class Answer(msgspec.Struct, frozen=True):
    """One outcome for each hunt asked for."""

    outcomes: list[Outcome]


class _Hangs(BaseException):
    """A run takes too long; no handler of the code under test stops this."""


def work(request: Request) -> Answer:
    """Carry out a request in this process, for which it must be the first."""
    if request.mutant is not None:
        install(MUTANTS[request.mutant])
    return Answer([_hunt(hunt, request.seconds) for hunt in request.hunts])


def _hunt(hunt: Hunt, seconds: float) -> Outcome:
    began = time.process_time()
    runs = 0
    for where, run in _runs(hunt):
        runs += 1
        found = _try(run)
        if found is not None:
            catch = Catch(hunt.stage, where, *found)
            return Outcome(catch, runs, time.process_time() - began)
        if time.process_time() - began > seconds:
            break
    return Outcome(None, runs, time.process_time() - began)


def _runs(hunt: Hunt) -> Iterator[tuple[str, Callable[[], Found | None]]]:
    """Each run with its name; scenes are played with one seed after the other."""
    seeds = range(hunt.first, hunt.first + hunt.count)
    if hunt.stage == "scenes":
        scenes: dict[str, Callable[[int], None]] = importlib.import_module("oarlock.zoo.core.scenes").SCENES
        for seed, (name, scene) in itertools.product(seeds, scenes.items()):
            yield f"{name}({seed})", partial(_run_core, scene, seed)
    elif hunt.stage == "core":
        run_core: Callable[[int], object] = importlib.import_module("oarlock.zoo.core.run").run_seed
        for seed in seeds:
            yield str(seed), partial(_run_core, run_core, seed)
    else:
        drill: Callable[[int], object] = importlib.import_module("oarlock.zoo.drill").run_drill
        own: Callable[[int], object] = importlib.import_module("oarlock.sim").run_seed
        for seed in seeds:
            yield str(seed), partial(_run_node, drill if hunt.stage == "drill" else own, seed)


def _run_core(run: Callable[[int], object], seed: int) -> None:
    """Cores that come to the run's end were in order; else it raises."""
    run(seed)


def _run_node(run: Callable[[int], Any], seed: int) -> Found | None:
    violations = run(seed).violations
    return (violations[0].name, violations[0].sentence) if violations else None


def _try(run: Callable[[], Found | None]) -> Found | None:
    """Make a run; whatever it raises is a catch."""
    try:
        with _limited(HANG_S):
            return run()
    except _Hangs:
        return "no busy loop", f"a run does not end within {HANG_S:g} s of processor time"
    except Exception as error:  # noqa: BLE001 - a mutant may raise anything
        name = getattr(error, "name", None)
        if type(error).__name__ == "Broken" and isinstance(name, str):
            return name, str(getattr(error, "sentence", error))
        return "no call raises", f"{type(error).__name__}: {error}"


@contextmanager
def _limited(seconds: float) -> Iterator[None]:
    def stop(_number: int, _frame: FrameType | None) -> None:
        raise _Hangs

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def main() -> None:
    """Serve one request."""
    request = msgspec.json.decode(sys.stdin.buffer.read(), type=Request)
    answer = work(request)
    sys.stdout.buffer.write(msgspec.json.encode(answer))


if __name__ == "__main__":
    main()
