"""Whole runs: repeatable to the last event, clean, and able to find and reduce what is broken."""

from pathlib import Path

import msgspec
import pytest
from tests.support.simulated import steady

from oarlock.check.verdict import Verdict
from oarlock.mvcc.store import Store
from oarlock.node.reads import ReadBarriers
from oarlock.raft.state import RaftState
from oarlock.sim import Fault, generate, read_schedule, run_schedule, run_seed, write_schedule
from oarlock.sim.schedule import ClientOperation, Settings
from oarlock.sim.schedule_file import ScheduleError, check_schedule
from oarlock.sim.shrink import NotFailing, shrink


def test_run_repeats_in_one_process() -> None:
    """Nothing of one run is left to disturb the next."""
    assert run_seed(3).trace_hash == run_seed(3).trace_hash != run_seed(4).trace_hash


def test_cluster_lives_through_everything_it_was_given() -> None:
    """A run elects, commits, recovers, compacts and installs snapshots, and both judges of its history agree."""
    report = run_schedule(
        steady(
            Fault(at=1.0, kind="power", servers=(1,), seconds=1.5),
            Fault(at=2.6, kind="isolate", servers=(0,), seconds=0.5),
            seconds=4.0,
            snapshot_count=10,
            snapshot_tail=0,
        )
    )
    assert report.ok, report.violations
    assert report.elections >= 2
    assert report.lives == 4
    assert report.snapshots_installed >= 1
    assert report.wgl_verdict is Verdict.OK


@pytest.mark.parametrize(
    "path", sorted(Path(__file__).with_name("regressions").glob("*.json")), ids=lambda path: path.stem
)
def test_what_was_once_found_stays_fixed(path: Path) -> None:
    """Schedules that broke a property once hold it now."""
    report = run_schedule(read_schedule(path))
    assert report.ok, report.violations


# -- what is broken on purpose is found --------------------------------------------------------------------------------


def _promise_too_early(state: RaftState, to: int, message: object) -> None:
    state.messages.append((to, message))


def test_early_promise_is_found_and_reduced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Votes and replies that leave before the disk are noticed at once, and it takes no faults to show them."""
    monkeypatch.setattr(RaftState, "send_after_persist", _promise_too_early)
    schedule = steady(Fault(at=1.0, kind="pause", servers=(1,), seconds=1.0), seconds=2.0)
    shrunk = shrink(schedule, max_runs=100)
    assert shrunk.report.violations[0].name == "nothing promised before it is durable"
    assert (shrunk.schedule.faults, shrunk.schedule.operations) == ((), ())
    assert shrunk.schedule.settings.election_timeout_ms == Settings().election_timeout_ms
    assert shrunk.schedule.settings.duration_s < 2.0
    assert shrunk.is_least


def test_reducing_ends_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Out of time, what is left so far is given, and that more could go."""
    monkeypatch.setattr(RaftState, "send_after_persist", _promise_too_early)
    schedule = steady(Fault(at=1.0, kind="pause", servers=(1,), seconds=1.0), seconds=2.0)
    shrunk = shrink(schedule, max_s=0.0)
    assert (shrunk.schedule, shrunk.runs, shrunk.is_least) == (schedule, 0, False)


def test_stale_read_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reads that wait for nobody are not linearizable once a server lags."""

    def at_once(self: ReadBarriers, _timeout_s: float | None, *, may_use_lease: bool) -> object:
        future = self._loop.create_future()
        future.set_result(None)
        return future

    monkeypatch.setattr(ReadBarriers, "barrier", at_once)
    report = run_schedule(steady(Fault(at=1.0, kind="slow", servers=(1,), seconds=1.0, value=100.0), seconds=2.5))
    assert {violation.name for violation in report.violations} & {"real time", "linearizability"}


def test_machine_that_differs_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server whose state machine does something else is noticed by its hash."""
    compact = Store.compact

    def forgetful(self: Store, revision: int) -> None:
        compact(self, revision)
        if self.backend.disk.rng.random() < 0.5:  # type: ignore[attr-defined]
            self.current_revision += 1

    monkeypatch.setattr(Store, "compact", forgetful)
    schedule = steady(seconds=2.5)
    compaction = ClientOperation(at=1.5, client=1, server=1, kind="compact")
    report = run_schedule(msgspec.structs.replace(schedule, operations=(*schedule.operations, compaction)))
    assert not report.ok


# -- files -----------------------------------------------------------------------------------------------------------


def test_schedule_survives_its_file(tmp_path: Path) -> None:
    """What is written down replays as it was, whatever a seed has drawn."""
    for seed in range(40):
        schedule = generate(seed)
        write_schedule(schedule, tmp_path / "run.json")
        assert read_schedule(tmp_path / "run.json") == schedule
    assert run_schedule(read_schedule(tmp_path / "run.json")).trace_hash == run_seed(39).trace_hash


BAD = {
    "{": "truncated",
    '{"format": "x"}': "format: expected",
    '{"faults": [{"at": "x", "kind": "kill"}]}': r"\$\.faults\[0\]\.at",
    '{"faults": [{"at": 1, "kind": "meteor"}]}': r'faults\[0\]\.kind: there is no fault "meteor"; there are add_learner',
    '{"faults": [{"at": -1, "kind": "kill", "servers": [1]}]}': r"faults\[0\]\.at: -1 is not between 0",
    '{"faults": [{"at": 1, "kind": "kill", "servers": [1], "seconds": -2}]}': r"faults\[0\]\.seconds: -2 is not",
    '{"faults": [{"at": 1, "kind": "kill", "servers": [-3]}]}': r"faults\[0\]\.servers: -3 is not between",
    '{"faults": [{"at": 1, "kind": "kill"}]}': r"faults\[0\]\.servers: kill needs to know 1 of them, not 0",
    '{"faults": [{"at": 1, "kind": "slow"}]}': r"faults\[0\]\.value: 0 is not between 0\.001 and 1e\+06, as slow needs",
    '{"operations": [{"at": 1, "client": 0, "server": 1, "kind": "put"}]}': r"operations\[0\]\.client: 0 is not between",
    '{"operations": [{"at": 1, "client": 1, "server": 1, "kind": "pet"}]}': r'operations\[0\]\.kind: .* "pet"',
    '{"settings": {"servers": 0}}': r"settings\.servers: 0 is not between 1 and 15",
    '{"settings": {"duration_s": -1}}': r"settings\.duration_s: -1 is not between",
    '{"settings": {"snapshot_count": 0}}': r"settings: snapshot_count must be positive, not 0",
    '{"settings": {"knobs": {"nosuch": 1}}}': r"settings: .*nosuch",
}


@pytest.mark.parametrize("text", BAD)
def test_bad_schedules_are_refused(text: str, tmp_path: Path) -> None:
    """A file that is no schedule, or asks for what there is not, is refused in one line with the place."""
    path = tmp_path / "bad.json"
    path.write_text(text)
    with pytest.raises(ScheduleError, match=BAD[text]) as refusal:
        read_schedule(path)
    assert str(refusal.value).startswith(f"{path}: ")
    assert "\n" not in str(refusal.value)


def test_schedules_of_seeds_are_good() -> None:
    """What is drawn from seeds, files may hold."""
    for seed in range(100):
        check_schedule(generate(seed))


def test_shrinking_needs_a_failure() -> None:
    """A run that breaks nothing cannot be reduced."""
    with pytest.raises(NotFailing):
        shrink(steady(seconds=1.0))
