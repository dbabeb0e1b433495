"""`python -m oarlock.zoo.specimen`: a run of one mutant, made small and recorded; or the same run of the code as it is.

A process of its own for each, since a mutant must be in place before anything of what it changes is imported. Takes a
`Wanted` as JSON from standard input and gives a `Specimen` to standard output.
"""

import importlib
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any, Final

import msgspec

from oarlock.zoo.catalogue import MUTANTS
from oarlock.zoo.fresh import ask_fresh
from oarlock.zoo.mutant import Mutant
from oarlock.zoo.patching import install
from oarlock.zoo.trials import RAISES, Stage, attempt, run_of

_RUN_S: Final = 20.0
"""Processor time of one run."""
_RUN_EVENTS: Final = 200_000


class SpecimenFailed(Exception):
    """The process gave no answer, or took too long."""


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which run."""

    mutant: str | None
    """None: the code as it is."""
    stage: Stage
    where: str
    """A seed, or a scene with its seed, as `Catch.where` has it."""
    out: str
    """The file to record it to."""
    run: dict[str, Any] | None = None
    """A play or schedule, instead of what the seed would make."""
    lessen_s: float = 0.0
    """How long to make it smaller before; 0 for not at all."""
    cluster: int = -1
    """Which of the clusters that a scene makes is recorded; the last is where it ends."""


class Specimen(msgspec.Struct, frozen=True, kw_only=True):
    """What became of it."""

    property: str | None
    """The one it broke; None if all held."""
    sentence: str
    run: dict[str, Any] | None
    """The play or schedule; None for a scene, which is one by itself."""
    how: str
    """The run in words."""
    events: int
    length: int = 0
    """How many faults and requests the schedule holds; of a scene, those that its cluster saw."""
    cluster: int = 0
    """Which of a scene's clusters it was."""


def collect(wanted: Wanted) -> Specimen:
    """Make and record the run in this process, which must not have imported anything yet."""
    if wanted.mutant is not None:
        install(MUTANTS[wanted.mutant])
    match wanted.stage:
        case "core" | "scenes":
            return _of_cores(wanted)
        case "drill" | "node":
            return _of_servers(wanted)
        case _:
            raise SpecimenFailed(f"runs of {wanted.stage} cannot be recorded")


def _of_cores(wanted: Wanted) -> Specimen:
    trail_module = importlib.import_module("oarlock.zoo.core.trail")
    plain: dict[str, Any] | None = None
    if wanted.stage == "scenes":
        name, _, rest = wanted.where.partition("(")
        seed, how = int(rest.rstrip(")") or 1), f"scene {name}"
        run = run_of("scenes", seed, name)
    else:
        seed = int(wanted.where)
        run, plain, how = _play(wanted, seed)
    with trail_module.recorded() as trails:
        found = attempt(run, _RUN_S)
    number = wanted.cluster if wanted.cluster >= 0 else len(trails) - 1
    trail = trails[min(number, len(trails) - 1)]
    if found is not None:
        trail.broken(*found)
    nodes = {f"n{server_id:x}": f"server {server_id}" for server_id in trail.recorders}
    _write(wanted, f"cores-{wanted.stage}-{wanted.where}", seed, nodes, trail.events)
    broken, sentence = found or (None, "")
    length = _scene_length(trail.events) if plain is None else len(plain["acts"])
    return Specimen(
        property=broken,
        sentence=sentence,
        run=plain,
        how=how,
        events=len(trail.events),
        length=length,
        cluster=number,
    )


def _scene_length(events: list[Any]) -> int:
    """How much is done to a cluster from outside: requests, cuts, healings, crashes, and lives after the first."""
    kinds = Counter(str(event.k) for event in events)
    lives = kinds["restart"] - len({event.id.partition(".")[0] for event in events if event.k == "restart"})
    return sum(kinds[kind] for kind in ("client", "part", "heal", "crash")) + lives


def _play(wanted: Wanted, seed: int) -> tuple[Any, dict[str, Any] | None, str]:
    """A run of cores by its play, smaller if asked; by its seed where the play does not show the same."""
    runs, plays, lessening, trails = (
        importlib.import_module(f"oarlock.zoo.core.{name}") for name in ("run", "play", "lessen", "trail")
    )
    play = runs.play_of(seed) if wanted.run is None else msgspec.convert(wanted.run, plays.Play)

    def breaks(tried: Any) -> str | None:  # noqa: ANN401 - a play, whose class is imported late
        found = attempt(lambda: runs.run_play(tried) and None, _RUN_S)
        if found is None or found[0] != RAISES:
            return None if found is None else found[0]
        with trails.recorded() as made:  # settings that no cluster takes raise, too: that is another matter
            attempt(lambda: runs.run_play(tried) and None, _RUN_S)
        return RAISES if made else None

    if wanted.run is None and breaks(play) is None:
        return run_of("core", seed), None, f"cores, seed {seed}"
    if wanted.lessen_s:
        play = lessening.lessen(play, breaks, wanted.lessen_s)
    acts = f"{len(play.acts)} act{'' if len(play.acts) == 1 else 's'}"
    how = f"{acts} upon cores, {'faults by chance' if play.faults else 'no faults by chance'}"
    return lambda: runs.run_play(play) and None, msgspec.to_builtins(play), how


def _of_servers(wanted: Wanted) -> Specimen:
    sim, recording, shrinking = (
        importlib.import_module(f"oarlock.sim{name}") for name in ("", ".recording", ".shrink")
    )  # fmt: skip
    seed = int(wanted.where)
    if wanted.run is not None:
        schedule = msgspec.convert(wanted.run, sim.Schedule)
    else:
        schedule = (
            importlib.import_module("oarlock.zoo.drill").make_drill(seed)
            if wanted.stage == "drill"
            else sim.generate(seed)
        )
    if wanted.lessen_s:
        schedule = shrinking.shrink(schedule, max_s=wanted.lessen_s).schedule
    events: list[Any] = []

    def keep(event: Any) -> bool:  # noqa: ANN401 - an event of the trace
        if len(events) < _RUN_EVENTS:
            events.append(event)
        return True

    def run() -> tuple[str, str] | None:
        violations = sim.run_schedule(schedule, sink=keep).violations
        return (violations[0].name, violations[0].sentence) if violations else None

    found = attempt(run, 2 * _RUN_S)
    header = recording.header_of(schedule)
    _write(wanted, header.run, seed, header.nodes, events, header.schedule)
    broken, sentence = found or (None, "")
    counts = ((len(schedule.faults), "fault"), (len(schedule.operations), "operation"))
    told = " and ".join(f"{count} {name}{'' if count == 1 else 's'}" for count, name in counts)
    how = f"{told} in a simulated cluster"
    return Specimen(
        property=broken,
        sentence=sentence,
        run=msgspec.to_builtins(schedule),
        how=how,
        events=len(events),
        length=len(schedule.faults) + len(schedule.operations),
    )


def _write(
    wanted: Wanted,
    run: str,
    seed: int,
    nodes: dict[str, str],
    events: list[Any],
    schedule: Any = None,  # noqa: ANN401
) -> None:
    schema = importlib.import_module("oarlock.trace.schema")
    header = schema.Header(v=schema.VERSION, run=run, kind="sim", seed=seed, nodes=nodes, schedule=schedule)
    Path(wanted.out).write_bytes(b"".join([schema.encode(header), *map(schema.encode, events)]))


def fetch(wanted: Wanted, mutant: Mutant | None, limit_s: float) -> Specimen:
    """Have a process of its own collect it.

    Args:
        wanted: Which.
        mutant: Whose; None for the code as it is.
        limit_s: Real time after which it is stopped.

    Raises:
        SpecimenFailed: It ended without an answer, or was too slow.
    """
    asked = msgspec.structs.replace(wanted, mutant=None if mutant is None else mutant.id)
    try:
        done = ask_fresh("oarlock.zoo.specimen", msgspec.json.encode(asked), limit_s)
    except subprocess.TimeoutExpired:
        raise SpecimenFailed(f"{wanted.where}: not within {limit_s:g} s") from None
    if done.returncode:
        raise SpecimenFailed(f"{wanted.where}: {done.stderr.decode(errors='replace').strip()[-1000:]}")
    return msgspec.json.decode(done.stdout, type=Specimen)


def main() -> None:
    """Serve one request."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    specimen = collect(msgspec.json.decode(sys.stdin.buffer.read(), type=Wanted))
    sys.stdout.buffer.write(msgspec.json.encode(specimen))


if __name__ == "__main__":
    main()
