"""A scenario's verdict: failures from any thread, hangs, exceptions and budgets are told apart, and in one sentence."""

import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from oarlock.lab.failure import LabFailure
from oarlock.lab.harness import Harness
from oarlock.lab.suite.report import failure, row, score, summary
from oarlock.lab.suite.run import Outcome, run_scenario
from oarlock.lab.suite.session import Session
from oarlock.lab.suite.table import NoSuchScenario, Scenario, choose
from oarlock.lab.threads import BadTarget, RealRuntime, VirtualRuntime


def outcome_of(run: Callable[[Any], None], *, real: bool = False, limit_s: float = 120.0) -> Outcome:
    entry = Scenario(
        name="Mine",
        part="9Z",
        servers=0,
        reliable=True,
        claim="",
        budgets=(),
        repaired="",
        snapshots=False,
        prepare=lambda runtime, _make, _entry: Harness(runtime),
        run=run,
    )
    runtime = RealRuntime() if real else VirtualRuntime(1)
    return run_scenario(runtime, None, entry, limit_s=limit_s)


@pytest.mark.parametrize("real", [False, True])
def test_what_a_scenario_requires(real: bool) -> None:
    """A requirement that does not hold is the failure's first line."""
    outcome = outcome_of(lambda lab: lab.require(False, "one is not above two"), real=real)
    assert not outcome.passed
    assert outcome.failure == "one is not above two"


def test_what_another_thread_finds() -> None:
    """A failure found by a thread ends the scenario where it next looks."""

    def run(lab: Harness) -> None:
        def find() -> None:
            raise LabFailure("found elsewhere")

        lab.spawn(find)
        lab.sleep(100)
        raise AssertionError("not reached")

    assert outcome_of(run).failure == "found elsewhere"


def test_a_scenario_that_hangs() -> None:
    """After its 120 s a scenario is given up, with the stacks of its threads."""

    def run(lab: Harness) -> None:
        lab.runtime.threading.Event().wait()

    outcome = outcome_of(run)
    assert outcome.failure.startswith("not over after 120 s; threads are here:")
    assert "lab.runtime.threading.Event().wait()" in outcome.failure
    assert "MainThread" not in outcome.failure


@pytest.mark.cluster
def test_a_scenario_that_hangs_on_real_time() -> None:
    """The same on real threads, here after a second."""
    outcome = outcome_of(lambda lab: lab.runtime.time.sleep(3), real=True, limit_s=1.0)
    assert outcome.failure.startswith("not over after 1 s; threads are here:")
    assert "time.sleep(3)" in outcome.failure


def test_an_exception_in_a_users_thread() -> None:
    """A thread that dies of an exception fails the scenario, even if all else went well."""

    def run(lab: Harness) -> None:
        lab.runtime.threading.Thread(target=lambda: 1 // 0).start()
        lab.sleep(1)

    assert "ZeroDivisionError" in outcome_of(run).failure


def test_an_exception_in_the_scenario() -> None:
    """What a user's start raises is shown with its traceback."""
    assert outcome_of(lambda lab: {}["x"]).failure.startswith("KeyError: 'x'\nTraceback")


def test_a_budget() -> None:
    """A figure out of its budget fails; all figures are reported beside it."""

    def run(lab: Harness) -> None:
        lab.measure("RPCs", 40, least=1, most=42)
        lab.measure("bytes", 100, most=50)

    outcome = outcome_of(run)
    assert outcome.failure == "bytes: 100, but at most 50 is allowed"
    assert row(outcome)[-1] == "RPCs: 40 (1 to 42); bytes: 100 (at most 50)"


def test_polling_is_bounded() -> None:
    """Poll says whether the condition held in time."""

    def run(lab: Harness) -> None:
        assert not lab.poll(lambda: False, 1.0)
        began = lab.now()
        assert lab.poll(lambda: lab.now() > began + 0.5, 1.0)

    assert outcome_of(run).passed


def test_joining_is_bounded() -> None:
    """Join fails when a thread takes longer than it may."""

    def run(lab: Harness) -> None:
        lab.join([lab.spawn(lab.runtime.time.sleep, 5)], 1, "five seconds")

    assert outcome_of(run).failure == "five seconds took more than 1 s"


def test_what_make_returns(tmp_path: Path) -> None:
    """A method that is missing is named at once."""
    (tmp_path / "empty.py").write_text("def make(peers, me, persister, apply_ch): return object()")
    outcome = Session(f"{tmp_path / 'empty.py'}:make", 1).run(choose(["SnapshotInit"])[0])
    assert outcome.failure == "what make returns has no method start, get_state, kill, snapshot, persist_bytes"


def write_raft(tmp_path: Path, body: str) -> str:
    """A module whose make returns a Raft with these methods."""
    file = tmp_path / "theirs.py"
    file.write_text(
        textwrap.dedent(
            """
            import threading, time
            class Raft:
                def __init__(self, peers): self.peers = peers
                def start(self, command): return (-1, 0, False)
                def get_state(self): return (1, False)
                def snapshot(self, index, snapshot): pass
                def persist_bytes(self): return 0
                def kill(self): pass
            """
        )
        + textwrap.indent(textwrap.dedent(body), "    ")
        + "\ndef make(peers, me, persister, apply_ch): return Raft(peers)\n"
    )
    return f"{file}:make"


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ("", "no leader among the connected servers in 5 s"),
        ("def get_state(self): return (1, True)", "servers [0, 1, 2] all lead in term 1"),
        ("def get_state(self): return 1 // 0", "ZeroDivisionError"),
        ("def __init__(self, peers): time.sleep(3)", "make took 3.0 s; it must return quickly"),
    ],
)
def test_a_raft_that_does_not_work(tmp_path: Path, body: str, sentence: str) -> None:
    """A foreign implementation's faults come out as sentences, with the command to see them again."""
    target = write_raft(tmp_path, body)
    session = Session(target, 4)
    entry = choose(["InitialElection"])[0]
    outcome = session.run(entry)
    assert sentence in outcome.failure
    lines = failure(outcome, session.replay(entry))
    assert lines[-1] == f"again: oarlock lab run {target} --part 3A-InitialElection --virtual --seed 4"
    again, recorded = session.run_recorded(entry)
    assert again.failure == outcome.failure
    assert recorded.events[-1].x["sentence"] == outcome.failure.splitlines()[0]
    total = score(target, 4, [outcome])
    assert (total.passed, total.total) == (0, 1)
    assert summary(total)[0] == "0 of 1 passed on virtual time, seed 4"


def test_a_target_that_is_not_there() -> None:
    """A module that cannot be found is named."""
    with pytest.raises(BadTarget, match="no_such_module"):
        Session("no_such_module:make", 1).run(choose(["InitialElection"])[0])


def test_choosing() -> None:
    """Parts go by today's names and by those until 2022, scenarios by name or id; what is neither is refused."""
    assert {entry.part for entry in choose(["2A"])} == {"3A"}
    assert [entry.id for entry in choose(["backup"])] == ["3B-Backup"]
    assert [entry.id for entry in choose(["3B-Backup", "3B-BasicAgree"])] == ["3B-Backup", "3B-BasicAgree"]
    with pytest.raises(NoSuchScenario, match="no part or scenario 'nothing'"):
        choose(["nothing"])
