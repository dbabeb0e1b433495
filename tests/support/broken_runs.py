"""Recorded runs in which a known bug breaks a property: each of a mutant, made by a process of its own."""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from oarlock.trace.loaded import Trace, load
from oarlock.zoo.catalogue import MUTANTS
from oarlock.zoo.specimen import Wanted, fetch

_PATIENCE_S = 100.0
_SEEDS = 10


@cache
def broken_run(mutant: str, scene: str = "") -> Trace:
    """A run of a mutant that breaks something: the scene, or the first of some seeds of cores."""
    with TemporaryDirectory() as directory:
        out = Path(directory, "run.jsonl")
        for seed in range(1, _SEEDS + 1):
            where, stage = (f"{scene}({seed})", "scenes") if scene else (str(seed), "core")
            wanted = Wanted(mutant=mutant, stage=stage, where=where, out=str(out))
            if fetch(wanted, MUTANTS[mutant], _PATIENCE_S).property is not None:
                return load(out)
    raise AssertionError(f"{mutant} breaks nothing")
