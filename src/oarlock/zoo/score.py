"""The score: each mutant, what catches it and how soon, as a table, as data, and as a page of the documentation."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from oarlock.zoo.catalogue import MUTANTS, WITHOUT_PITFALL, WITHOUT_RULE
from oarlock.zoo.hunting import CORE_SEEDS, NODE_SEEDS, Verdict
from oarlock.zoo.mutant import Mutant

PAGE: Final = "docs/reference/zoo.md"

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
    """Processor time of the hunts by chance."""


def row_of(mutant: Mutant, verdict: Verdict) -> Row:
    """Bring a mutant and its verdict together."""
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
    )


def rows_of(verdicts: Sequence[Verdict]) -> list[Row]:
    """A row for each verdict, in order."""
    return [row_of(MUTANTS[verdict.mutant], verdict) for verdict in verdicts]


def cells(row: Row) -> list[str]:
    """A row for people."""
    seeds = str(row.median_seeds) if row.median_seeds is not None else "-"
    return [row.id, " ".join(row.breaks), row.harm, row.property or "SURVIVES", row.scene or "-", seeds]


HEADER: Final = ["mutant", "breaks", "harm", "caught by", "scene", "seeds"]


def page(rows: Sequence[Row]) -> str:
    """The page of the documentation."""
    parts = [_INTRODUCTION]
    caught = sum(row.caught for row in rows)
    parts.append(f"{caught} of {len(rows)} mutants are caught.\n")
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


def _shortened(sentence: str) -> str:
    return sentence if len(sentence) <= 200 else f"{sentence[:197]}..."


def _markdown(rows: Sequence[Sequence[str]]) -> str:
    head, *body = rows
    lines = ["| " + " | ".join(head) + " |", "|" + "-|" * len(head)]
    lines += ["| " + " | ".join(row) + " |" for row in body]
    return "\n".join(lines) + "\n"


def write(rows: Sequence[Row], root: Path) -> Path:
    """Write the page under a checkout's root."""
    path = root / PAGE
    path.write_text(page(rows))
    return path
