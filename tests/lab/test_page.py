"""The generated page on the lab is current."""

import msgspec
from tests.support.scripts import load_script

from oarlock.lab.suite.report import Score
from oarlock.lab.suite.table import choose


def test_page_is_current() -> None:
    """docs/reference/lab.md is what the table of scenarios, the figures and the buggy copies make of it."""
    script = load_script("generate_lab")
    assert script.PAGE.read_text() == script.page(), "run: python scripts/generate_lab.py"


def test_figures_are_of_every_scenario() -> None:
    """Both clocks' figures are there for each scenario of Raft, and each passed."""
    script = load_script("generate_lab")
    figures = msgspec.json.decode(script.FIGURES.read_bytes(), type=dict[str, Score])
    assert figures.keys() == {"virtual", "real"}
    for total in figures.values():
        assert [outcome.scenario for outcome in total.outcomes] == [
            entry.id for entry in choose(["3A", "3B", "3C", "3D"])
        ]
        assert all(outcome.passed for outcome in total.outcomes)
