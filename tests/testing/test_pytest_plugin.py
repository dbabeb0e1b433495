"""What a failing test shows of the runs that it recorded, in a pytest of its own."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from tests.support.source_tree import ROOT

from oarlock.sim.generate import generate
from oarlock.sim.run import record_schedule
from oarlock.testing import RecordedRuns
from oarlock.trace.loaded import Trace
from oarlock.trace.schema import Event, Kind, encode

SEED = 7


def run_pytest(directory: Path, source: str, *options: str) -> str:
    """Run a file of tests with our plugin alone; what was printed."""
    (directory / "test_users.py").write_text(source, encoding="utf-8")
    arguments = [sys.executable, "-m", "pytest", "-p", "oarlock.testing.pytest_plugin", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*arguments, f"--rootdir={directory}", f"--basetemp={directory / 'base'}", *options, str(directory)],
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    return done.stdout + done.stderr


def test_a_failing_test_explains_its_run(tmp_path: Path) -> None:
    """It prints the seed, at most twenty events of the explanation, and a page that is there."""
    printed = run_pytest(
        tmp_path, f"def test_it(oarlock_runs):\n    assert oarlock_runs.simulate({SEED}).committed < 0\n"
    )
    assert f"Oarlock, seed {SEED}" in printed
    events = re.findall(r"^ +\d+\.\d{3} s  n\S+ ", printed, re.MULTILINE)
    assert 5 <= len(events) <= 20
    place = re.search(r"^page: (.*)$", printed, re.MULTILINE)
    assert place is not None
    assert "<!doctype html>" in Path(place[1]).read_text(encoding="utf-8")
    assert Path(place[1]).is_relative_to(tmp_path / "base")


def test_pages_go_where_they_are_wanted(tmp_path: Path) -> None:
    """`--oarlock-pages` says where."""
    run_pytest(
        tmp_path, f"def test_it(oarlock_runs):\n    assert not oarlock_runs.simulate({SEED})\n", "--oarlock-pages=pages"
    )
    assert [path.name for path in (tmp_path / "pages").iterdir()] == ["test_users.py-test_it-1.html"]


def test_a_passing_test_shows_nothing(tmp_path: Path) -> None:
    """No page, no word."""
    printed = run_pytest(tmp_path, f"def test_it(oarlock_runs):\n    assert oarlock_runs.simulate({SEED}).ok\n")
    assert "1 passed" in printed
    assert "page:" not in printed
    assert not (tmp_path / "base" / "oarlock").exists()


@pytest.fixture(scope="module")
def trace() -> Trace:
    """A run that broke nothing."""
    return record_schedule(generate(SEED))[1]


def test_an_event_can_be_pointed_at(trace: Trace, tmp_path: Path) -> None:
    """The explanation is of the event that the test is about."""
    runs = RecordedRuns()
    runs.add(trace)
    elected = next(
        event.id
        for event in trace.events
        if event.w is not None and event.w.role is not None and event.w.role[1] == "leader"
    )
    runs.point_at(elected)
    (shown,) = runs.show("a test", tmp_path)
    assert shown.text.startswith(f"Why {elected}?")
    with pytest.raises(KeyError):
        runs.point_at("n1.1.999999")


def test_a_violation_is_explained_first(trace: Trace, tmp_path: Path) -> None:
    """Of a run that broke a property, what fell is told."""
    last = trace.events[-1]
    said = Event(
        id="net.1.999999",
        t=last.t,
        lc=last.lc + 1,
        k=Kind.VIOL,
        x={"property": "linearizability", "sentence": "a read was stale"},
    )
    runs = RecordedRuns()
    runs.add(Trace(trace.header, [*trace.events, said]))
    (shown,) = runs.show("a test", tmp_path)
    first = shown.text.splitlines()[0]
    assert first.startswith("linearizability does not hold: ")
    assert "A read was stale" in first


def test_a_file_is_a_run_too(trace: Trace, tmp_path: Path) -> None:
    """What another process recorded can be shown as well."""
    path = tmp_path / "run.jsonl"
    path.write_bytes(b"".join([encode(trace.header), *map(encode, trace.events)]))
    runs = RecordedRuns()
    assert len(runs.load(path)) == len(trace)
    assert runs.newest.header.run == trace.header.run


def test_the_plugin_is_an_entry_point_that_costs_nothing() -> None:
    """Pytest finds it by itself, and loading it loads nothing of the package."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["entry-points"]["pytest11"]["oarlock-testing"] == "oarlock.testing.pytest_plugin"
    source = "import sys, oarlock.testing.pytest_plugin; print([name for name in sys.modules if name.startswith('oarlock.')])"
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['oarlock.testing', 'oarlock.testing.pytest_plugin']"
