"""`python -m oarlock.zoo.worker`: hunts one mutant, in a process of its own.

Takes a `Request` as JSON from standard input and gives an `Answer` to standard output. The patch is in place before
anything of what it changes is imported.
"""

import sys
import time
from collections.abc import Iterator
from typing import Final

import msgspec

from oarlock.zoo.catalogue import MUTANTS
from oarlock.zoo.patching import install
from oarlock.zoo.trials import Run, Stage, attempt, run_of, scene_names

HANG_S: Final = 20.0
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
        found = attempt(run, HANG_S)
        if found is not None:
            catch = Catch(hunt.stage, where, *found)
            return Outcome(catch, runs, time.process_time() - began)
        if time.process_time() - began > seconds:
            break
    return Outcome(None, runs, time.process_time() - began)


def _runs(hunt: Hunt) -> Iterator[tuple[str, Run]]:
    """Each run with its name; scenes are played with one seed after the other."""
    for seed in range(hunt.first, hunt.first + hunt.count):
        if hunt.stage == "scenes":
            for name in scene_names():
                yield f"{name}({seed})", run_of("scenes", seed, name)
        else:
            yield str(seed), run_of(hunt.stage, seed)


def main() -> None:
    """Serve one request."""
    request = msgspec.json.decode(sys.stdin.buffer.read(), type=Request)
    answer = work(request)
    sys.stdout.buffer.write(msgspec.json.encode(answer))


if __name__ == "__main__":
    main()
