"""One run of the code, as it is or changed, in any of the simulations: what it breaks, if anything.

What runs is imported only when it is asked for, so that a change can be in place before.
"""

import importlib
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import FrameType
from typing import Any, Literal

Stage = Literal["scenes", "core", "storage", "drill", "node"]
"""Directed schedules of cores; cores alone; storage alone; short drills of whole servers; the simulator's own seeds."""
Found = tuple[str, str]
"""The property broken, and the sentence."""
Run = Callable[[], Found | None]


class _Hangs(BaseException):
    """A run takes too long; no handler of the code under test stops this."""


def scene_names() -> list[str]:
    """Of all scenes, in order."""
    scenes: dict[str, Callable[[int], None]] = importlib.import_module("oarlock.zoo.core.scenes").SCENES
    return list(scenes)


def run_of(stage: Stage, seed: int, scene: str = "") -> Run:
    """Make a run ready; it gives what it breaks, or raises that.

    Args:
        stage: Which simulation.
        seed: Of its chance.
        scene: The name, where it is one.
    """
    match stage:
        case "scenes":
            scenes: dict[str, Callable[[int], object]] = importlib.import_module("oarlock.zoo.core.scenes").SCENES
            return partial(_raising, scenes[scene], seed)
        case "core":
            return partial(_raising, importlib.import_module("oarlock.zoo.core.run").run_seed, seed)
        case "storage":
            return partial(_raising, importlib.import_module("oarlock.zoo.storage.run").run_seed, seed)
        case "drill":
            return partial(_reporting, importlib.import_module("oarlock.zoo.drill").run_drill, seed)
        case "node":
            return partial(_reporting, importlib.import_module("oarlock.sim").run_seed, seed)


def _raising(run: Callable[[int], object], seed: int) -> None:
    """What comes to the run's end was in order; else it raises."""
    run(seed)


def _reporting(run: Callable[[int], Any], seed: int) -> Found | None:
    violations = run(seed).violations
    return (violations[0].name, violations[0].sentence) if violations else None


def attempt(run: Run, limit_s: float) -> Found | None:
    """Make a run; whatever it raises, and that it does not end, is a catch.

    Args:
        run: As `run_of` gives it.
        limit_s: Processor time after which it is taken to hang.
    """
    try:
        with _limited(limit_s):
            return run()
    except _Hangs:
        return HANGS, f"a run does not end within {limit_s:g} s of processor time"
    except Exception as error:  # noqa: BLE001 - changed code may raise anything
        name = getattr(error, "name", None)
        if type(error).__name__ == "Broken" and isinstance(name, str):
            return name, str(getattr(error, "sentence", error))
        return RAISES, f"{type(error).__name__}: {error}"


RAISES = "no call raises"
"""The property that an exception breaks which is no finding."""
HANGS = "no busy loop"
"""The property that a run without end breaks."""


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
