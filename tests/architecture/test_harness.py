"""The test run itself: skips that count under CI=true, asyncio's checks, and programs of the system."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.source_tree import ROOT
from tests.support.system_programs import Absent, find_or_install, require

SUITE = """
import pytest

def test_that_skips():
    pytest.skip("no such program")

@pytest.mark.xfail(reason="known", strict=True)
def test_that_is_expected_to_fail():
    raise ValueError

def test_that_passes():
    pass
"""


def _run_suite(directory: Path, suite: str, continuous_integration: str, *options: str) -> str:
    """Runs pytest on `suite` under this project's conftest and gives its output."""
    (directory / "conftest.py").write_text((ROOT / "tests" / "conftest.py").read_text())
    (directory / "test_suite.py").write_text(suite)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", ".", *options, "."],
        cwd=directory,
        env={**os.environ, "CI": continuous_integration, "PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout


def test_skip_fails_in_continuous_integration(tmp_path: Path) -> None:
    """With CI=true a skipped test fails and gives its reason; an expected failure is left alone."""
    output = _run_suite(tmp_path, SUITE, "true")
    assert "1 failed, 1 passed, 1 xfailed" in output
    assert "CI=true allows no skipped test. Skipped: no such program" in output


def test_skipped_module_fails_in_continuous_integration(tmp_path: Path) -> None:
    """With CI=true a module that skips itself whole is an error."""
    output = _run_suite(tmp_path, 'import pytest\npytest.importorskip("no_such_module")\n', "true")
    assert "1 error" in output


def test_skip_stays_a_skip_elsewhere(tmp_path: Path) -> None:
    """On a developer's machine a missing program costs only its tests."""
    assert "1 passed, 1 skipped, 1 xfailed" in _run_suite(tmp_path, SUITE, "")


def test_modules_without_cluster_tests_are_not_imported_for_them(tmp_path: Path) -> None:
    """With `-m cluster` a module that has none is not imported, and one that has some is; else both are."""
    (tmp_path / "test_other.py").write_text("raise ValueError")
    suite = "import pytest\n@pytest.mark.cluster\ndef test_that_passes(): pass\n"
    assert "1 passed" in _run_suite(tmp_path, suite, "true", "-m", "cluster")
    assert "1 error" in _run_suite(tmp_path, suite, "true", "-m", "not cluster")


async def test_asyncio_checks_who_calls() -> None:
    """In tests a callback that another thread gives to the loop, and a coroutine taken for one, are errors."""
    loop = asyncio.get_running_loop()
    with pytest.raises(RuntimeError, match="Non-thread-safe operation"):
        await asyncio.to_thread(loop.call_soon, print)
    with pytest.raises(TypeError, match="coroutines cannot be used with"):
        loop.call_soon(asyncio.sleep, 0)


def test_present_program_is_found_without_apt() -> None:
    """A program on PATH is taken as it is."""
    assert require("sh", package="no-such-package") == find_or_install("sh", package="no-such-package")


def test_virtual_environment_is_no_part_of_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    """An active environment does not put its own etcd in the place of the system's."""
    monkeypatch.setenv("PATH", f"{Path(sys.prefix) / 'bin'}{os.pathsep}{os.defpath}")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert isinstance(find_or_install("pytest", package="no-such-package"), Absent)


def test_absent_program_skips_with_the_package_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without root nothing is installed, and the reason names the package."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    found = find_or_install("no-such-program", package="its-package")
    assert isinstance(found, Absent)
    assert "its-package" in found.reason
    with pytest.raises(pytest.skip.Exception, match="its-package"):
        require("no-such-program", package="its-package")
