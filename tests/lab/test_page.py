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
    """Both clocks' figures are there for each scenario of Raft, virtual time's for all others, and each passed."""
    script = load_script("generate_lab")
    figures = msgspec.json.decode(script.FIGURES.read_bytes(), type=dict[str, Score])
    raft = [entry.id for entry in choose(["3"])]
    services = [entry.id for entry in choose(["4", "SC", "SK", "5"])]
    for clock, ids in (("virtual", raft), ("real", raft), ("services", services)):
        total = figures[clock]
        assert [outcome.scenario for outcome in total.outcomes] == ids
        assert all(outcome.passed for outcome in total.outcomes)
