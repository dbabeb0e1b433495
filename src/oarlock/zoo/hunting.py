"""Hunts: a mutant against scenes and seeds, in worker processes; a catch counts where the production code passes."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import msgspec

from oarlock.zoo.fresh import ask_fresh
from oarlock.zoo.mutant import Mutant
from oarlock.zoo.worker import Answer, Catch, Hunt, Outcome, Request

REPEATS: Final = 3
"""Hunts of each mutant by chance, from seeds far apart: the median of what they needed is its score."""
SEEDS_APART: Final = 1_000_000
CORE_SEEDS: Final = 300
NODE_SEEDS: Final = 100
CORE_SECONDS: Final = 20.0
NODE_SECONDS: Final = 60.0
_GRACE_S: Final = 1800.0
_UNPLAYED: Final = Outcome(None, 0, 0.0)


class WorkerFailed(Exception):
    """A worker ended without an answer: the zoo is broken, not the mutant."""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a mutant."""

    mutant: str
    scene: Catch | None
    """The directed schedule that catches it, where one was needed."""
    scene_seconds: float = 0.0
    """Processor time of playing scenes."""
    chance: list[Outcome]
    """Hunts by seeds of cores, or of whole servers; none where a scene was enough."""

    @property
    def caught(self) -> Catch | None:
        """The first catch, chance's if there is one."""
        by_chance = [outcome.caught for outcome in self.chance if outcome.caught is not None]
        return by_chance[0] if by_chance else self.scene

    @property
    def median_seeds(self) -> int | None:
        """How many seeds it took; None if fewer than half the hunts caught it."""
        needed = sorted(outcome.runs for outcome in self.chance if outcome.caught is not None)
        middle = (len(self.chance) - 1) // 2
        return needed[middle] if 0 <= middle < len(needed) else None

    @property
    def seconds(self) -> float:
        """Processor time of all hunts."""
        return self.scene_seconds + sum(outcome.seconds for outcome in self.chance)


def ask(request: Request) -> Answer:
    """Have a worker carry out a request.

    Raises:
        WorkerFailed: It gave no answer.
    """
    done = ask_fresh("oarlock.zoo.worker", msgspec.json.encode(request), _GRACE_S)
    if done.returncode:
        raise WorkerFailed(f"{request.mutant}: {done.stderr.decode(errors='replace').strip()[-2000:]}")
    return msgspec.json.decode(done.stdout, type=Answer)


def hunt(mutant: Mutant, *, repeats: int = REPEATS, seeds: int | None = None, seconds: float | None = None) -> Verdict:
    """Hunt a mutant: what breaks safety by chance, and by scenes where chance fails; anything else the other way.

    A bug outside the core is hunted in drills of whole servers, and where they fail by the simulator's own seeds.

    Args:
        mutant: Which.
        repeats: Hunts by chance, from seeds far apart.
        seeds: At most so many for each; None for the usual number.
        seconds: Processor time for each; None for the usual limit.

    Raises:
        WorkerFailed: A worker gave no answer.
    """
    is_core = mutant.stage == "core"
    count = seeds or (CORE_SEEDS if is_core else NODE_SEEDS)
    limit = seconds or (CORE_SECONDS if is_core else NODE_SECONDS)
    starts = [1 + repeat * SEEDS_APART for repeat in range(repeats)]
    played = _by_scene(mutant) if is_core and mutant.harm != "safety" else _UNPLAYED
    chance: list[Outcome] = []
    if played.caught is None:
        chance = _by_chance(mutant, [Hunt("core" if is_core else "drill", first, count) for first in starts], limit)
        if not is_core and all(outcome.caught is None for outcome in chance):
            chance = _by_chance(mutant, [Hunt("node", first, count) for first in starts], limit)
        if is_core and mutant.harm == "safety" and any(outcome.caught is None for outcome in chance):
            played = _by_scene(mutant)
    return Verdict(mutant=mutant.id, scene=played.caught, scene_seconds=played.seconds, chance=chance)


def _by_chance(mutant: Mutant, hunts: list[Hunt], seconds: float) -> list[Outcome]:
    answer = ask(Request(mutant.id, hunts, seconds))
    return [_confirmed(mutant, *each, seconds) for each in zip(hunts, answer.outcomes, strict=True)]


def _by_scene(mutant: Mutant) -> Outcome:
    return ask(Request(mutant.id, [Hunt("scenes", 1, 1)])).outcomes[0]


def _confirmed(mutant: Mutant, hunt_: Hunt, outcome: Outcome, seconds: float) -> Outcome:
    """A catch that the production code shares is none: go on behind it."""
    runs, spent = outcome.runs, outcome.seconds
    while outcome.caught is not None:
        seed = int(outcome.caught.where)
        if ask(Request(None, [Hunt(hunt_.stage, seed, 1)])).outcomes[0].caught is None:
            return Outcome(outcome.caught, runs, spent)
        left = hunt_.first + hunt_.count - seed - 1
        if left <= 0 or spent > seconds:
            return Outcome(None, runs, spent)
        outcome = ask(Request(mutant.id, [Hunt(hunt_.stage, seed + 1, left)], seconds)).outcomes[0]
        runs, spent = runs + outcome.runs, spent + outcome.seconds
    return Outcome(outcome.caught, runs, spent)


def hunt_all(
    mutants: Sequence[Mutant],
    *,
    jobs: int = 2,
    on_verdict: Callable[[Verdict], None] = lambda verdict: None,  # noqa: ARG005
    repeats: int = REPEATS,
    seeds: int | None = None,
    seconds: float | None = None,
) -> list[Verdict]:
    """Hunt many mutants, each in a process of its own, some at a time.

    Args:
        mutants: Which, in this order.
        jobs: How many processes at a time.
        on_verdict: Told of each as it comes.
        repeats: As for `hunt`.
        seeds: As for `hunt`.
        seconds: As for `hunt`.

    Raises:
        WorkerFailed: A worker gave no answer.
    """

    def one(mutant: Mutant) -> Verdict:
        verdict = hunt(mutant, repeats=repeats, seeds=seeds, seconds=seconds)
        on_verdict(verdict)
        return verdict

    with ThreadPoolExecutor(jobs) as pool:
        return list(pool.map(one, mutants))
