"""The score: each mutant, what catches it and how soon, as a table, as data, and as a page of the documentation."""

from collections.abc import Sequence
from pathlib import Path
from statistics import median_low
from typing import Final

import msgspec

from oarlock.zoo.catalogue import MUTANTS, WITHOUT_PITFALL, WITHOUT_RULE
from oarlock.zoo.hunting import CORE_SEEDS, NODE_SEEDS, Verdict
from oarlock.zoo.mutant import Mutant

PAGE: Final = "docs/reference/zoo.md"
RECORD: Final = "docs/reference/zoo.json"
"""The rows that the page is made from."""

_SHORT: Final = 20
"""What is asked of the smallest runs: this many faults and operations, or fewer."""

_INTRODUCTION: Final = f"""# The zoo

Written by `oarlock zoo score --write`: do not edit by hand.

Every mutant is one named bug: a few lines of the production source replaced when a process of its own imports them. It
breaks the rules and pitfalls named (see [the rules](rules.md); G, K, T and B are the Students' Guide, the Locking
Advice, the Structure Advice, and the labs and the paper). It is caught when a run of it breaks a property, and the same
run of the production code does not.

- **Scenes** are directed schedules of a few cores, for bugs that need just the right moment: tried first where
  liveness or a limit is at stake, and last where safety is.
- **Seeds** are random runs: of cores alone (at most {CORE_SEEDS}), or, where the bug is outside the core, of whole
  servers in the simulator (at most {NODE_SEEDS}; short drills of crashes and snapshots first, then what it draws of
  itself), within a limit of time. The number is how many it took, in the median where there are several hunts.
- **Time** is processor time of the hunts, until they caught it.
- **Length** is how many faults, requests and other acts are in the smallest run that `oarlock zoo gallery` found to
  break the same property; of a scene, how many of its own its cluster saw. 0: an undisturbed cluster is enough.

`oarlock zoo run ID` hunts one, `oarlock zoo list` names all.
"""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A mutant and what became of it."""

    id: str
    breaks: tuple[str, ...]
    harm: str
    bug: str
    source: str
    stage: str
    caught: bool
    property: str | None
    sentence: str | None
    scene: str | None
    median_seeds: int | None
    """None where chance caught it in fewer than half the hunts."""
    seeds: list[int | None]
    """For each hunt by chance, the seeds it took; None where it found nothing."""
    seconds: float
    """Processor time of the hunts."""
    length: int | None = None
    """How much is in the schedule of the smallest run; None if it was never made small."""


def row_of(mutant: Mutant, verdict: Verdict, length: int | None = None) -> Row:
    """Bring a mutant, its verdict and the length of its smallest run together."""
    caught = verdict.caught
    return Row(
        id=mutant.id,
        breaks=mutant.breaks,
        harm=mutant.harm,
        bug=mutant.bug,
        source=mutant.source,
        stage=mutant.stage,
        caught=caught is not None,
        property=caught.property if caught else None,
        sentence=caught.sentence if caught else None,
        scene=verdict.scene.where.partition("(")[0] if verdict.scene else None,
        median_seeds=verdict.median_seeds,
        seeds=[outcome.runs if outcome.caught else None for outcome in verdict.chance],
        seconds=round(verdict.seconds, 2),
        length=length,
    )


def rows_of(verdicts: Sequence[Verdict]) -> list[Row]:
    """A row for each verdict, in order."""
    return [row_of(MUTANTS[verdict.mutant], verdict) for verdict in verdicts]


def cells(row: Row) -> list[str]:
    """A row for people."""
    seeds, length = ("-" if number is None else str(number) for number in (row.median_seeds, row.length))
    time = f"{row.seconds:.1f} s" if row.seconds else "-"
    return [row.id, " ".join(row.breaks), row.harm, row.property or "SURVIVES", row.scene or "-", seeds, time, length]


HEADER: Final = ["mutant", "breaks", "harm", "caught by", "scene", "seeds", "time", "length"]


def page(rows: Sequence[Row]) -> str:
    """The page of the documentation."""
    parts = [_INTRODUCTION]
    caught = sum(row.caught for row in rows)
    parts.append(f"{caught} of {len(rows)} mutants are caught.{_medians(rows)}\n")
    parts.append("## Score\n")
    parts.append(_markdown([HEADER, *map(cells, rows)]))
    parts.append("## The mutants\n")
    for row in rows:
        source = f" Made for real: {row.source}." if row.source else ""
        parts.append(f"### {row.id}\n\n{row.bug}{source}\n")
        if row.sentence:
            parts.append(f"Breaks *{row.property}*: {_shortened(row.sentence)}\n")
    parts.append("## Without a mutant\n")
    for id_, reason in {**WITHOUT_RULE, **WITHOUT_PITFALL}.items():
        parts.append(f"- **{id_}**: {reason}.")
    return "\n".join(parts) + "\n"


def _medians(rows: Sequence[Row]) -> str:
    """What it takes as a rule, in a sentence for each number that is known."""
    seeds = [row.median_seeds for row in rows if row.median_seeds is not None]
    lengths = [row.length for row in rows if row.length is not None]
    told = f" Where seeds find them, the median is {median_low(seeds)} and the most {max(seeds)}." if seeds else ""
    if lengths:
        short = sum(length <= _SHORT for length in lengths)
        told += f" The smallest runs have a median length of {median_low(lengths)}; {short} of {len(lengths)} have "
        told += f"{_SHORT} at most."
    return told


def _shortened(sentence: str) -> str:
    return sentence if len(sentence) <= 200 else f"{sentence[:197]}..."


def _markdown(rows: Sequence[Sequence[str]]) -> str:
    head, *body = rows
    lines = ["| " + " | ".join(head) + " |", "|" + "-|" * len(head)]
    lines += ["| " + " | ".join(row) + " |" for row in body]
    return "\n".join(lines) + "\n"


def recorded(root: Path) -> list[Row]:
    """The rows that were written under a checkout's root; none if there are none.

    Raises:
        msgspec.DecodeError: The file is no record of rows.
    """
    path = root / RECORD
    return msgspec.json.decode(path.read_bytes(), type=list[Row]) if path.exists() else []


def write(rows: Sequence[Row], root: Path) -> Path:
    """Write rows over those that there are, and the page, under a checkout's root; a length that was known stays."""
    known = {row.id: row for row in recorded(root)}
    for row in rows:
        before = known.get(row.id)
        is_same = row.length is None and before is not None and before.property == row.property
        known[row.id] = msgspec.structs.replace(row, length=before.length) if before is not None and is_same else row
    merged = [known[id_] for id_ in MUTANTS if id_ in known]
    (root / RECORD).write_bytes(msgspec.json.format(msgspec.json.encode(merged), indent=1) + b"\n")
    path = root / PAGE
    path.write_text(page(merged))
    return path
