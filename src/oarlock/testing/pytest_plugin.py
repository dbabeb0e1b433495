"""The pytest plugin: the fixture `oarlock_runs`, and what a failing test that used it prints.

Registered as an entry point; it imports nothing of the package until a test asks for the fixture.
"""

from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from oarlock.testing.runs import RecordedRuns

_KEY: Final = pytest.StashKey["RecordedRuns"]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ours; it does nothing to tests that record no run."""
    group = parser.getgroup("oarlock", "runs of Raft that tests record")
    group.addoption(
        "--oarlock-what-if",
        metavar="EDIT",
        action="append",
        default=[],
        help='make simulated clusters\' runs again with a message\'s fate changed: "drop ID", "deliver ID", '
        '"duplicate ID", or "delay ID MS"; for the tests of one seed',
    )
    group.addoption(
        "--oarlock-shrink",
        action="store_true",
        help="of a failing simulated cluster tell the fewest faults that it takes",
    )
    group.addoption(
        "--oarlock-pages",
        metavar="DIRECTORY",
        type=Path,
        help="where the pages of failing tests' runs go (default: beside their temporary directories)",
    )


@pytest.fixture
def oarlock_runs(request: pytest.FixtureRequest) -> "RecordedRuns":
    """Records runs of Raft; if the test fails, each is explained, and drawn as a page."""
    from oarlock.testing.runs import RecordedRuns  # noqa: PLC0415 - pytest loads this plugin in every run

    what_if, shrinks = request.config.getoption("--oarlock-what-if"), request.config.getoption("--oarlock-shrink")
    if what_if and shrinks:
        raise pytest.UsageError("--oarlock-what-if names messages of the whole run: not with --oarlock-shrink")
    runs = RecordedRuns(what_if, shrinks=shrinks)
    request.node.stash[_KEY] = runs
    return runs


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add to the report of a failing test what its runs show."""
    report = yield
    runs = item.stash.get(_KEY, None)
    if runs is not None and call.when == "call" and report.failed:
        try:
            report.sections += runs.show(item.nodeid, _directory(item.config))
        except OSError as error:
            report.sections.append(("Oarlock", f"the pages cannot be written: {error}"))
    return report


def _directory(config: pytest.Config) -> Path:
    chosen: Path | None = config.getoption("--oarlock-pages")
    if chosen is not None:
        return chosen.resolve()
    factory: pytest.TempPathFactory = config._tmp_path_factory  # type: ignore[attr-defined]  # noqa: SLF001 - hooks have no other way
    return factory.getbasetemp() / "oarlock"
