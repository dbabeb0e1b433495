"""The catalogue is whole: every patch fits today's source, every rule and pitfall is broken or excused."""

import re

import pytest
from tests.support.source_tree import ROOT

from oarlock.raft.rules import RULES
from oarlock.zoo.catalogue import ALL, MUTANTS, WITHOUT_PITFALL, WITHOUT_RULE
from oarlock.zoo.catalogue.bugs import REAL_BUGS
from oarlock.zoo.mutant import Edit, Mutant, StalePatch, edits_by_module, patch
from oarlock.zoo.score import page as page_of
from oarlock.zoo.score import recorded

CLIENT_RULES = {"CL-4", "CL-6"}
"""Of the dissertation's figure 6.1: carried out above the core, and not in the core's catalogue."""
FIFTEEN, SPARES = 15, 6
PITFALLS = (
    {f"G{n}" for n in range(1, 33)}
    | {f"K{n}" for n in range(1, 8)}
    | {f"T{n}" for n in range(1, 5)}
    | {f"B{n}" for n in range(1, 11)}
)


@pytest.mark.parametrize("mutant", MUTANTS.values(), ids=lambda mutant: mutant.id)
def test_patch_fits_the_source(mutant: Mutant) -> None:
    """Each edit fits in exactly one place of today's source, changes it, and leaves Python."""
    for name, edits in edits_by_module(mutant).items():
        before = edits[0].path.read_text()
        after = patch(before, edits)
        assert after != before
        compile(after, name, "exec")


def test_ids_are_unique() -> None:
    """No two mutants share a name, and names read as names."""
    assert len(ALL) == len(MUTANTS)
    assert all(re.fullmatch(r"[a-z0-9'-]+", mutant.id) for mutant in ALL)
    assert len({mutant.bug for mutant in ALL}) == len(ALL)


def test_every_rule_is_broken_or_excused() -> None:
    """Each rule of the catalogue is broken by a mutant, or listed with a reason; nothing is both, or neither."""
    broken = {id_ for mutant in MUTANTS.values() for id_ in mutant.breaks}
    assert sorted(RULES.keys() - broken - WITHOUT_RULE.keys()) == []
    assert sorted(WITHOUT_RULE.keys() & broken) == []
    assert sorted(WITHOUT_RULE.keys() - RULES.keys()) == []
    assert sorted(PITFALLS - broken - WITHOUT_PITFALL.keys()) == []
    assert sorted(WITHOUT_PITFALL.keys() & broken) == []
    assert sorted(broken - RULES.keys() - PITFALLS - CLIENT_RULES) == []


def test_every_bug_of_others_is_made_again() -> None:
    """The fifteen real bugs and the six spares each have a mutant that says where it was made, and no other says so."""
    assert len(REAL_BUGS) == FIFTEEN + SPARES
    named = [id_ for bug in REAL_BUGS for id_ in bug.mutants]
    assert sorted(set(named) - MUTANTS.keys()) == []
    assert len(named) == len(set(named))
    for bug in REAL_BUGS:
        project = bug.reported.split()[0].rstrip(",")
        assert bug.mutants
        assert all(project in MUTANTS[id_].source for id_ in bug.mutants), bug.cause


def test_a_patch_that_no_longer_fits_is_refused() -> None:
    """Where the source has moved on the patch names its module and text, and is not applied in part."""
    edit = Edit("raft.log", "no such text", "other")
    with pytest.raises(StalePatch, match=r"raft\.log: 0 places, not one, say 'no such text'"):
        patch("source", (edit,))
    with pytest.raises(StalePatch, match="2 places"):
        patch("twice no such text, no such text", (edit,))


def test_the_page_names_every_mutant() -> None:
    """The generated page has a section for each mutant there is, and for no other."""
    page = (ROOT / "docs" / "reference" / "zoo.md").read_text()
    assert re.findall(r"^### (.+)$", page, re.MULTILINE) == list(MUTANTS), "run: oarlock zoo score --write"


def test_the_page_says_what_was_recorded() -> None:
    """The table has each mutant's rules, harm, catch, seeds, time and length as the record beside it has them."""
    rows = recorded(ROOT)
    assert (ROOT / "docs" / "reference" / "zoo.md").read_text() == page_of(rows)
    for row in rows:
        assert (row.breaks, row.harm, row.bug) == (MUTANTS[row.id].breaks, MUTANTS[row.id].harm, MUTANTS[row.id].bug)
        assert row.caught, row.id
