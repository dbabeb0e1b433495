#!/usr/bin/env python3
"""How often the audit names the right step: for each pair of runs that `oarlock zoo gallery` made.

    python scripts/score_audit.py gallery/runs

The audit sees the broken run alone. It is right where it names the step at which that run and the repaired one part
("step"), or a rule that the bug goes against, by a step of its own ("rule"). It may say nothing ("silent"), or name no
rule, only a sign that something had gone wrong before ("sign"). It is wrong otherwise ("wrong").
"""

import argparse
import sys
from collections import Counter
from pathlib import Path

from oarlock.diagram.audit import audit
from oarlock.diagram.diff import are_one_step, first_difference
from oarlock.diagram.steps import Deviation
from oarlock.trace.loaded import Trace, load
from oarlock.zoo.catalogue import MUTANTS
from oarlock.zoo.gallery import file_name
from oarlock.zoo.mutant import Mutant


def judged(broken: Trace, repaired: Trace, mutant: Mutant) -> tuple[str, Deviation | None, str]:
    """What the audit's first finding is worth, the finding, and where the runs part."""
    found = audit(broken, 1)
    parted = first_difference(broken, repaired)
    where = "" if parted is None else parted.one or parted.other
    if not found:
        return "silent", None, where
    first = found[0]
    trace = broken if parted is not None and parted.one else repaired
    at, named = trace.find(where), broken.find(first.event_id)
    is_step = at is not None and named is not None and are_one_step(named, at)
    verdict = "step" if is_step else "sign" if not first.rule else "rule" if first.rule in mutant.breaks else "wrong"
    return verdict, first, where


def main() -> int:
    """Judge all pairs in a directory."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("runs", type=Path, nargs="+", help="the directory runs/ of a gallery")
    counts: Counter[str] = Counter()
    names = {file_name(id_): mutant for id_, mutant in MUTANTS.items()}
    paths = [path for directory in parser.parse_args().runs for path in sorted(directory.glob("*.broken.jsonl"))]
    for path in paths:
        name = path.name.removesuffix(".broken.jsonl")
        repaired = path.with_name(f"{name}.repaired.jsonl")
        if name not in names or not repaired.exists():
            continue
        verdict, first, where = judged(load(path), load(repaired), names[name])
        counts[verdict] += 1
        told = "" if first is None else f"{first.rule or '-'} {first.event_id}: {first.sentence}"
        breaks = " ".join(names[name].breaks)
        sys.stdout.write(f"{verdict:6} {name:36} {breaks:16} parts at {where:10} {told}\n")
    told = ", ".join(f"{verdict} {count}" for verdict, count in counts.most_common())
    sys.stdout.write(f"{told} of {counts.total()}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
