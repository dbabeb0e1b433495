"""Hunts: over seeds, over processes, and on from where one stopped."""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.support.ports import free_ports
from tests.support.source_tree import ROOT

from oarlock.cli.main import main
from oarlock.raft.state import RaftState
from oarlock.sim import campaign
from oarlock.sim.campaign import RecordError, read_record
from oarlock.sim.engines import HuntError
from oarlock.sim.hunt import CHUNK, hunt


def _promise_too_early(state: RaftState, to: int, message: object) -> None:
    state.messages.append((to, message))


def _as_a_user(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys; from oarlock.cli.main import main; sys.exit(main())",
            *arguments,
        ],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )


def test_hunt_stops_at_the_first_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seeds are run in order until one breaks a property; with `keep_going`, all of them."""
    assert hunt(range(3), jobs=1).seeds == 3
    monkeypatch.setattr(RaftState, "send_after_persist", _promise_too_early)
    tally = hunt(range(20), jobs=1)
    assert tally.failures == len(tally.failed) == 1
    assert tally.failed[0].broken.startswith("nothing promised before it is durable: ")
    assert tally.seeds < 20
    assert hunt(range(tally.seeds + 1), jobs=1, keep_going=True).seeds == tally.seeds + 1


def test_hunt_over_processes() -> None:
    """The workers of joblib give what one process gives; an engine that there is not is refused."""
    one, many = hunt(range(4), jobs=1), hunt(range(4), jobs=2)
    assert (many.strikes, many.rules, many.events) == (one.strikes, one.rules, one.events)
    for engine in ("nosuch", "dask", "ray://", "http://somewhere:1"):
        with pytest.raises(HuntError, match="it is loky, dask://HOST:PORT or ray://HOST:PORT"):
            hunt(range(2), engine=engine)


def test_early_end_is_silent(tmp_path: Path) -> None:
    """A hunt that a failure ends before its time says so, and nothing else: no task is thrown away, nobody warns."""
    record = tmp_path / "record.jsonl"
    script = (
        "import sys\n"
        "from oarlock.sim import hunt\n"
        "from tests.support.failing_runs import fail_every_seed\n"
        "hunt.run_chunk = fail_every_seed\n"
        "from oarlock.cli.main import main\n"
        f"sys.exit(main(['hunt', '--seeds', '1..100000', '--jobs', '2', '--quiet', '--record', {str(record)!r}]))"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.stderr == ""
    assert done.returncode == 1
    found = read_record(record)
    assert 0 < len(found) < 200 * CHUNK
    assert all(result.broken == "made up: on purpose" for result in found)
    assert f"{len(found)} of {len(found)} runs broke a property" in done.stdout
    assert "replay it:  oarlock sim --seed 1\n" in done.stdout


def test_hunt_goes_on_where_it_stopped(tmp_path: Path) -> None:
    """A hunt resumed runs the seeds that are missing, and its totals are those of all."""
    record = tmp_path / "deep" / "record.jsonl"
    hunt(range(4), jobs=1, record=record)
    half = record.read_bytes()
    record.write_bytes(half + b'{"line":"run","see')  # as when it was killed while it wrote
    tally = hunt(range(2, 7), jobs=1, record=record, resume=True)
    assert (tally.seeds, tally.resumed) == (5, 2)
    assert tally.strikes == hunt(range(2, 7), jobs=1).strikes
    assert sorted(result.seed for result in read_record(record)) == list(range(7))
    assert record.read_bytes().startswith(half)


def test_another_source_is_another_campaign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What other code did with a seed says nothing of this code: it is not resumed."""
    record = tmp_path / "record.jsonl"
    hunt(range(2), jobs=1, record=record)
    monkeypatch.setattr(campaign, "source_digest", lambda: "another")
    assert read_record(record) == []
    assert hunt(range(2), jobs=1, record=record, resume=True).resumed == 0


def test_bad_records_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A record that is none is refused with the line, and so is resuming without one."""
    record = tmp_path / "record.jsonl"
    record.write_text(json.dumps({"line": "begun", "format": "oarlock-hunt/1", "source": "x"}) + "\n{}\n")
    with pytest.raises(RecordError, match=r"record\.jsonl:2: "):
        read_record(record)
    assert main(["hunt", "--seeds", "1..2", "--jobs", "1", "--quiet", "--record", str(record), "--resume"]) == 2
    assert "record.jsonl:2: " in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["hunt", "--seeds", "1..2", "--resume"])
    assert "--resume needs --record FILE" in capsys.readouterr().err


def test_hunt_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    """What a hunt came to can be had as JSON."""
    assert main(["hunt", "--seeds", "1..2", "--jobs", "1", "--quiet", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["seeds"], shown["failures"]) == (2, 0)
    assert shown["rules"]["ALL-2"] > 0


@pytest.mark.parametrize(
    ("engine", "package", "extra"), [("dask://127.0.0.1:1", "distributed", "dask"), ("ray://127.0.0.1:1", "ray", "ray")]
)
def test_missing_packages_are_named(
    engine: str, package: str, extra: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without what an engine needs, one sentence says what to install."""
    monkeypatch.setitem(sys.modules, package, None)
    assert main(["hunt", "--seeds", "1..2", "--engine", engine, "--quiet"]) == 2
    assert f"pip install 'oarlock[{extra}]'" in capsys.readouterr().err


@contextmanager
def _dask_cluster() -> Iterator[str]:
    """A scheduler and two workers, each a process of its own."""
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, host="127.0.0.1", dashboard_address=None
    ) as cluster:
        yield cluster.scheduler_address.removeprefix("tcp://")


def test_hunt_over_dask() -> None:
    """The workers of a Dask cluster give what one process gives."""
    with _dask_cluster() as address:
        done = _as_a_user("hunt", "--seeds", "0..3", "--engine", f"dask://{address}", "--json", "--quiet")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert json.loads(done.stdout)["events"] == hunt(range(4), jobs=1).events


def test_absent_scheduler_is_named() -> None:
    """Where no scheduler listens, one sentence says so."""
    pytest.importorskip("distributed")
    done = _as_a_user("hunt", "--seeds", "0..3", "--engine", "dask://127.0.0.1:1", "--quiet")
    assert done.returncode == 2
    assert done.stderr.startswith("oarlock hunt: no Dask scheduler answers at 127.0.0.1:1")
    assert done.stderr.count("\n") == 1


@contextmanager
def _ray_cluster(directory: Path) -> Iterator[str]:
    """A head with two workers and a server for clients."""
    port, client_port = free_ports(2)
    command = [
        str(Path(sys.executable).with_name("ray")), "start", "--head", "--block", "--disable-usage-stats",
        "--node-ip-address=127.0.0.1", f"--port={port}", f"--ray-client-server-port={client_port}",
        "--num-cpus=2", "--include-dashboard=false", f"--temp-dir={directory}",
    ]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as ray:
        try:
            _wait_for(client_port, ray)
            yield f"127.0.0.1:{client_port}"
        finally:
            ray.terminate()  # it ends what it started


def _wait_for(port: int, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 90
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            assert process.poll() is None, "it ended"
            assert time.monotonic() < deadline, "nobody listens"
            time.sleep(0.1)
        else:
            return


@pytest.mark.engines
def test_hunt_over_ray() -> None:
    """The workers of a Ray cluster give what one process gives."""
    pytest.importorskip("ray")
    with tempfile.TemporaryDirectory(prefix="ray", dir="/tmp") as short, _ray_cluster(Path(short)) as address:
        done = _as_a_user("hunt", "--seeds", "0..3", "--engine", f"ray://{address}", "--json", "--quiet")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["events"] == hunt(range(4), jobs=1).events
