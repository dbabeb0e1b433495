"""The scenarios as pytest tests: `pytest --pyargs oarlock.lab --raft yourpackage:make`.

Registered as an entry point, since pytest must know the options before it looks at any test.
"""

from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from oarlock.lab.suite.session import Session

LINE: Final = "oarlock lab"
"""The property of a test's report that holds its line for the summary."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ours; they do nothing to other tests."""
    group = parser.getgroup("oarlock lab", "the MIT labs' scenarios on a Raft (pytest --pyargs oarlock.lab)")
    group.addoption(
        "--raft", metavar="PACKAGE:MAKE", help="where the `make` to be tested is; or path/to/module.py:make"
    )
    group.addoption("--raft-part", metavar="PART", action="append", default=[], help="a part or scenario (default: 3)")
    group.addoption("--raft-real", action="store_true", help="on real threads and real time, not on virtual time")
    group.addoption("--raft-seed", metavar="N", type=int, default=1, help="of virtual time (default: 1)")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show the figures beside the labs' budgets."""
    lines = [
        str(value)
        for outcome in ("passed", "failed")
        for report in terminalreporter.getreports(outcome)
        for name, value in report.user_properties
        if name == LINE
    ]
    if lines:
        terminalreporter.section("figures beside the labs' budgets")
        for line in lines:
            terminalreporter.write_line(line)


def session_of(config: pytest.Config) -> "Session":
    """What the options say.

    Raises:
        pytest.UsageError: `--raft` is missing.
    """
    from oarlock.lab.suite.session import Session  # noqa: PLC0415 - pytest loads this plugin in every run

    target = config.getoption("--raft")
    if not target:
        raise pytest.UsageError("--raft PACKAGE:MAKE must say whose Raft is to be tested")
    return Session(target, None if config.getoption("--raft-real") else config.getoption("--raft-seed"))
