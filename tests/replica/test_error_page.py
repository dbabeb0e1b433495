"""The page of errors tells of all that there are, and the truth."""

import re

from tests.support.source_tree import ROOT

import oarlock

_ROW = re.compile(r"^\| `(\w+)` \|[^|]*\| (yes|no)", re.MULTILINE)


def test_the_page_has_each_exported_error_and_its_outcome() -> None:
    """Each error that the package exports has a row, which says as the class does whether its outcome is unknown."""
    page = (ROOT / "docs" / "reference" / "errors.md").read_text()
    told = {name: outcome == "yes" for name, outcome in _ROW.findall(page)}
    errors = {name: getattr(oarlock, name) for name in oarlock.__all__ if name != "OarlockError"}
    kinds = {
        name: kind.outcome_unknown
        for name, kind in errors.items()
        if isinstance(kind, type) and issubclass(kind, oarlock.OarlockError)
    }
    assert told == kinds
