"""Verdicts on mutants that are kept in a file."""

from pathlib import Path

import msgspec
import pytest

from oarlock.zoo.mutation.judged import Judged
from oarlock.zoo.mutation.mutants import mutants_of, sample
from oarlock.zoo.mutation.record import Kept, RecordBroken, keep, recorded
from oarlock.zoo.mutation.report import page, rows_of

MUTANTS = sample(mutants_of(["raft"]), 4, 1)


def test_a_run_is_taken_up_where_it_was_ended(tmp_path: Path) -> None:
    """What was judged is known again, all else is not; a survivor that met no tests is judged again where there are."""
    path = tmp_path / "record.jsonl"
    add = keep(path, suite=False)
    add(Judged(mutant=MUTANTS[0], by="core", where="core 3"))
    add(Judged(mutant=MUTANTS[1], by="nobody"))
    assert set(recorded(path, MUTANTS, suite=False)) == {MUTANTS[0].id, MUTANTS[1].id}
    assert set(recorded(path, MUTANTS, suite=True)) == {MUTANTS[0].id}
    assert recorded(tmp_path / "none", MUTANTS, suite=False) == {}


def test_a_verdict_on_another_text_is_none(tmp_path: Path) -> None:
    """When a module has changed, what was found of its mutants does not count any more."""
    path = tmp_path / "record.jsonl"
    kept = Kept("of another text", Judged(mutant=MUTANTS[0], by="core"))
    path.write_bytes(msgspec.json.encode(kept) + b"\n")
    assert recorded(path, MUTANTS, suite=False) == {}


def test_a_line_that_is_no_verdict_is_named(tmp_path: Path) -> None:
    """A broken record is refused with the line."""
    path = tmp_path / "record.jsonl"
    path.write_text("{}\n")
    with pytest.raises(RecordBroken, match="line 1"):
        recorded(path, MUTANTS, suite=False)


def test_a_page_of_a_run_that_was_ended_says_so() -> None:
    """A part of a sample does not pass for the whole."""
    rows = rows_of([Judged(mutant=MUTANTS[0], by="core", where="core 3")])
    assert "**Not finished**: 1 of the 4" in page(rows, MUTANTS, "oarlock zoo mutate", drawn=4)
    assert "Not finished" not in page(rows, MUTANTS, "oarlock zoo mutate", drawn=1)
