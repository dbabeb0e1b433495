"""Each scenario as a test of the Raft that `--raft` names."""

import pytest

from oarlock.lab.pytest_plugin import LINE, session_of
from oarlock.lab.suite.catalogue import SCENARIOS
from oarlock.lab.suite.report import failure, row
from oarlock.lab.suite.table import NoSuchScenario, choose
from oarlock.lab.threads import BadTarget


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test a scenario."""
    session_of(metafunc.config)
    try:
        wanted = choose(metafunc.config.getoption("--raft-part") or ["3"])
    except NoSuchScenario as error:
        raise pytest.UsageError(str(error)) from None
    metafunc.parametrize("scenario", [entry.id for entry in wanted])


def test_scenario(scenario: str, request: pytest.FixtureRequest) -> None:
    """The implementation does what the labs require, within their budgets."""
    session = session_of(request.config)
    entry = SCENARIOS[scenario]
    try:
        outcome = session.run(entry)
    except BadTarget as error:
        pytest.fail(str(error), pytrace=False)
    request.node.user_properties.append((LINE, "  ".join(cell for cell in row(outcome) if cell)))
    if not outcome.passed:
        pytest.fail("\n".join(failure(outcome, session.replay(entry))), pytrace=False)
