"""What holds for every test: no test is skipped unnoticed in continuous integration.

asyncio's debug mode, the dump of all stacks before a timeout, and warnings as errors are set in pyproject.toml.
"""

import asyncio
import asyncio.constants
import os
import secrets
from collections.abc import Generator
from pathlib import Path

import pytest

SEED_BASE = "OARLOCK_SEED_BASE"
"""Where the session's fresh seeds begin, as `tests.support.seeds` gives it."""

CONTINUOUS_INTEGRATION = os.environ.get("CI") == "true"

if "PYTHONASYNCIODEBUG" not in os.environ:
    # Debug mode checks all that it checks, but it does not note where each future and handle was made: those stacks,
    # fifty frames each, took a third of the processor time of asynchronous tests. PYTHONASYNCIODEBUG=1 has them noted.
    asyncio.BaseEventLoop.get_debug = lambda _loop: False
    asyncio.constants.DEBUG_STACK_DEPTH = 1


def pytest_configure() -> None:
    """Drawn here, the session's seeds are the same in all its processes, which inherit them."""
    os.environ.setdefault(SEED_BASE, str(secrets.randbelow(1 << 32)))


def pytest_report_header() -> str:
    """Says how to have the same session again."""
    return f"fresh seeds: {SEED_BASE}={os.environ[SEED_BASE]} repeats them"


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Where cluster tests alone are asked for, modules that have none are not imported: that took half a minute."""
    asked = config.option.markexpr == "cluster" and collection_path.match("test_*.py")
    return True if asked and "mark.cluster" not in collection_path.read_text() else None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test that skips itself fails under CI=true."""
    report = yield
    _refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """So does a whole module that skips itself while it is collected."""
    report = yield
    _refuse_skip(report)
    return report


def _refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Turns a skip into a failure that gives the skip's reason; an expected failure stays what it is."""
    if CONTINUOUS_INTEGRATION and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        report.outcome = "failed"
        report.longrepr = f"CI=true allows no skipped test. {reason}"
