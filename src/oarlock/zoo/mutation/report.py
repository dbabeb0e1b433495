"""The score of a sample of mutants, as a page of the documentation and as data."""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec

from oarlock.zoo.mutation.judged import Judged
from oarlock.zoo.mutation.mutants import LEFT_OUT, General, interval
from oarlock.zoo.mutation.verdicts import reason_for

PAGE: Final = "docs/reference/mutation.md"
REAL_DISK: Final = "the real disk"
"""The part of the storage in whose place the simulator has its own."""

_INTRODUCTION: Final = """# Mutants by rule of grammar

Written by `oarlock zoo mutate --write`: do not edit by hand.

[The zoo](zoo.md) has bugs that people make. Here a tool changes every place of `raft/` and `storage/` in every small
way that there is, one at a time, and asks who notices:

1. **simulation alone**: directed schedules of cores (scenes), random runs of cores or of the storage on the simulated
   disk, short drills of whole servers, and the simulator's own seeds; the runs that killed most come first;
2. **the suite**: for what survives that, the tests of its room.

A mutant is killed by a run that breaks a property, raises, or does not end. Mutants whose bytecode is that of the code
itself are none. A mutant that nothing can kill, because it does nothing wrong, is called equivalent, with the reason.

## The tool

`mutmut` (3.x) judges by pytest alone, and changes nothing outside functions: it could not tell what the simulation
finds by itself, nor reach the constants. `cosmic-ray` takes any command, but writes each mutant into the source files,
which others are reading, and starts a process for it: half a second each before the first step. Ours changes the syntax
tree on import, in a fork of a process that has loaded all that is not ours; most mutants die within half a second.

`oarlock zoo mutate --rooms raft,storage --sample 360 --seed 1` judges a sample, from each module in proportion; without
`--sample` all are judged. With `--record FILE` a run can be ended and taken up again, and `--report` tells what the
record holds so far; verdicts on modules that have changed are judged anew. `--only ID` judges one again: its id is
`module:line:operator`. `--no-suite` leaves the tests out; where single tests were
run on survivors afterwards, by hand, and one failed, the record says so, and that counts as the suite's. A gap is then
what none of those noticed.

Scenes and tests were written against the survivors of seed 1. Its score therefore says that those gaps are closed, and
flatters the rest: `--seed 2` draws mutants that nobody has looked at.

## What is changed

| operator | change |
|-|-|
| `boundary` | `<` becomes `<=`, and so on |
| `negation` | a comparison becomes its opposite |
| `arithmetic` | `+` becomes `-`, `*` becomes `//`, and so on |
| `and-or` | `and` becomes `or`, and the other way |
| `not`, `sign` | `not` or `-` is left out |
| `condition-true`, `condition-false` | a condition is always or never met |
| `constant`, `constant+1`, `constant-1` | a truth value is turned, a number moved |
| `opposite` | `min` becomes `max`, `any` becomes `all`, and the other way |
| `loop-never` | a loop has nothing to go through |
| `return-none`, `return-true`, `return-false` | what is returned |
| `delete` | a statement is left out |

Not changed is what is only said: docstrings, annotations, messages of errors, `__repr__`, what is logged or traced
(tests of their own hold the rules fired to the trace), and assertions for the type checker. Left out are
{left_out}.
"""


class Row(msgspec.Struct, frozen=True):
    """A verdict with what is said of it."""

    judged: Judged
    equivalent: str | None
    """Why it is no mutant."""


class Score(msgspec.Struct, frozen=True):
    """Of a group of mutants."""

    name: str
    there_are: int
    judged: int
    equivalent: int
    """Those without any difference included."""
    by_simulation: int
    hanging: int
    by_suite: int
    survivors: int

    @property
    def mutants(self) -> int:
        """Those judged that are any."""
        return self.judged - self.equivalent


def rows_of(verdicts: Sequence[Judged]) -> list[Row]:
    """What is known of each; only who survives can be equivalent."""
    return [
        Row(judged, "the compiler sees no difference" if judged.by == "compiler" else _reason(judged))
        for judged in verdicts
    ]


def _reason(judged: Judged) -> str | None:
    return None if judged.is_killed else reason_for(judged.mutant.place)


def group_of(mutant: General) -> str:
    """The room, or the real disk."""
    is_real = mutant.module == "storage.disk" and mutant.function.startswith("Posix")
    return REAL_DISK if is_real else mutant.room


def scores(rows: Sequence[Row], mutants: Sequence[General]) -> list[Score]:
    """For each room, for what the simulator can reach, and for all."""
    groups = dict.fromkeys(group_of(mutant) for mutant in mutants)
    found = [_score(group, rows, mutants, lambda mutant, group=group: group_of(mutant) == group) for group in groups]  # type: ignore[misc]
    if REAL_DISK in groups:
        found.append(_score("simulated", rows, mutants, lambda mutant: group_of(mutant) != REAL_DISK))
    found.append(_score("all", rows, mutants, lambda mutant: True))  # noqa: ARG005
    return found


def _score(name: str, rows: Sequence[Row], mutants: Sequence[General], belongs: Callable[[General], bool]) -> Score:
    held = [row for row in rows if belongs(row.judged.mutant)]
    return Score(
        name=name,
        there_are=sum(belongs(mutant) for mutant in mutants),
        judged=len(held),
        equivalent=sum(row.equivalent is not None for row in held),
        by_simulation=sum(row.judged.by_simulation for row in held),
        hanging=sum(row.judged.hangs for row in held),
        by_suite=sum(row.judged.by == "suite" for row in held),
        survivors=sum(not row.judged.is_killed and row.equivalent is None for row in held),
    )


def _by_module(rows: Sequence[Row], mutants: Sequence[General]) -> list[Score]:
    names = sorted({row.judged.mutant.module for row in rows})
    return [_score(name, rows, mutants, lambda mutant, name=name: mutant.module == name) for name in names]  # type: ignore[misc]


def share(hits: int, tries: int) -> str:
    """A share with its interval."""
    if not tries:
        return "-"
    low, high = interval(hits, tries)
    return f"{100 * hits / tries:.1f}% ({100 * low:.1f} to {100 * high:.1f})"


HEADER: Final = ["where", "mutants", "judged", "equivalent", "killed by simulation", "by the suite only", "survive"]


def cells(score: Score) -> list[str]:
    """A line of the table."""
    simulated = f"{score.by_simulation}: {share(score.by_simulation, score.mutants)}"
    both = f"{score.by_suite}: {share(score.by_simulation + score.by_suite, score.mutants)} together"
    numbers = [str(score.there_are), str(score.judged), str(score.equivalent)]
    return [score.name, *numbers, simulated, both, str(score.survivors)]


def page(rows: Sequence[Row], mutants: Sequence[General], how: str, *, drawn: int) -> str:
    """The page of the documentation.

    Args:
        rows: What was judged.
        mutants: All there are.
        how: The command that judged them.
        drawn: How many it was to judge; more than there are rows where it was ended before.
    """
    left_out = " and ".join(f"`{name}`, which {reason}" for name, reason in LEFT_OUT.items())
    parts = [_INTRODUCTION.format(left_out=left_out), "## Score\n", f"Of `{how}`; intervals are Wilson's, 95%.\n"]
    if len(rows) < drawn:
        parts.append(f"**Not finished**: {len(rows)} of the {drawn} mutants drawn were judged, in random order.\n")
    found = scores(rows, mutants)
    parts.append(_table([HEADER, *map(cells, found)]))
    parts += ["By module:\n", _table([HEADER, *map(cells, _by_module(rows, mutants))])]
    parts.append(f"Of all killed, {found[-1].hanging} did not end in time.\n")
    killers = Counter(row.judged.by for row in rows if row.judged.is_killed)
    parts.append(_table([["killed by", "mutants"], *([name, str(count)] for name, count in killers.most_common())]))
    parts += _operators(rows)
    survivors = [row for row in rows if not row.judged.is_killed and row.judged.by != "compiler"]
    parts.append("## Survivors\n")
    body = [[*_told(row.judged.mutant), row.equivalent or "**a gap**"] for row in survivors]
    parts.append(_table([["mutant", "change", "verdict"], *body]))
    parts.append("## Killed by the suite only\n")
    body = [[*_told(row.judged.mutant), f"`{_test_name(row)}`"] for row in rows if row.judged.by == "suite"]
    parts.append(_table([["mutant", "change", "test"], *body]))
    return "\n".join(parts)


def _operators(rows: Sequence[Row]) -> list[str]:
    body = []
    for operator in sorted({row.judged.mutant.operator for row in rows}):
        held = [row for row in rows if row.judged.mutant.operator == operator and row.equivalent is None]
        simulated = sum(row.judged.by_simulation for row in held)
        body.append([f"`{operator}`", str(len(held)), str(simulated), str(sum(row.judged.is_killed for row in held))])
    return ["By operator, without equivalent ones:\n", _table([["operator", "judged", "simulation", "killed"], *body])]


def _told(mutant: General) -> list[str]:
    return [f"`{mutant.id}`", f"`{_short(mutant.before)}` → `{_short(mutant.after)}`"]


def _short(text: str) -> str:
    text = text.replace("|", "\\|")
    return text if len(text) <= 80 else f"{text[:77]}..."


def _test_name(row: Row) -> str:
    return row.judged.where.rpartition("/")[2]


def _table(rows: Sequence[Sequence[str]]) -> str:
    head, *body = rows
    lines = ["| " + " | ".join(head) + " |", "|" + "-|" * len(head)]
    lines += ["| " + " | ".join(row) + " |" for row in body]
    return "\n".join(lines) + "\n"


def write(text: str, root: Path) -> Path:
    """Write the page under a checkout's root."""
    path = root / PAGE
    path.write_text(text)
    return path
