"""`oarlock recover`: what it shows, what it asks, what it refuses, and what it leaves behind."""

import json
import socket
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.support.stopped_server import CLUSTER_ID, SERVER_ID, TERM, write_server

from oarlock.cli import data_copy
from oarlock.cli.main import main
from oarlock.raft.types import EntryKind
from oarlock.storage.disk import PosixDisk
from oarlock.storage.identity import load_identity
from oarlock.storage.origin import load_origin
from oarlock.storage.wal import WriteAheadLog

YES = "--yes-i-lost-the-majority"


pytestmark = pytest.mark.usefixtures("keep_logging")


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """A survivor's."""
    write_server(tmp_path / "s3")
    return tmp_path / "s3"


def content(directory: Path) -> dict[str, bytes]:
    """All files that matter, but for locks."""
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in sorted(directory.rglob("*"))
        if path.is_file() and not path.name.endswith("lock")
    }


def backups(data_dir: Path) -> list[Path]:
    return sorted(data_dir.parent.glob("*.before-recovery-*"))


def as_json(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert main(["recover", "--json", *arguments]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_a_dry_run_shows_all_and_changes_nothing(data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where the log ends, what is certain, what is kept though it is not, who is given up; and not a byte moves."""
    before = content(data_dir)
    shown = as_json(capsys, "--dry-run", "--data-dir", str(data_dir))
    assert shown["status"] == "planned"
    plan = shown["plan"]
    assert (plan["server_id"], plan["name"], plan["cluster_id"]) == ("3", "s3", "ab")
    assert (plan["term"], plan["last_index"], plan["last_term"], plan["committed_index"]) == (TERM, 10, TERM, 8)
    assert (plan["revision"], plan["keys"]) == (6, 5)
    assert [(entry["index"], entry["term"], entry["kind"]) for entry in plan["uncertain"]] == [
        (9, TERM, "command"),
        (10, TERM, "command"),
    ]
    assert plan["uncertain_count"] == 2
    assert [(member["id"], member["name"], member["answers"]) for member in plan["members_given_up"]] == [
        ("1", "s1", False),
        ("2", "s2", False),
    ]
    assert main(["recover", "--dry-run", "--data-dir", str(data_dir)]) == 0
    text = capsys.readouterr().out
    for line in (
        "log    ends at entry 10 of term 5; current term 5",
        "2 entries are not known to be committed; they are kept, and take effect:",
        "9 of term 5: command,",
        "s1 (1), voter, at http://127.0.0.1:1",
        "Lost for good: whatever was acknowledged after the last entry here.",
    ):
        assert line in text
    assert content(data_dir) == before
    assert not backups(data_dir)


def test_it_is_done_once_loudly_with_a_copy(data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A new cluster id, one entry more, a whole copy of what was, a warning in the log; a second time does nothing."""
    before = content(data_dir)
    assert main(["recover", YES, "--data-dir", str(data_dir)]) == 0
    printed = capsys.readouterr()
    assert "Recovered." in printed.out
    assert "warn" in printed.err
    assert "cluster ab is given up: 2 members were left behind" in printed.err
    identity = load_identity(PosixDisk(), data_dir)
    assert identity is not None
    assert identity.server_id == SERVER_ID
    assert identity.cluster_id != CLUSTER_ID
    origin = load_origin(PosixDisk(), data_dir, identity.cluster_id)
    assert origin is not None
    assert (origin.index, origin.term, origin.committed_index) == (11, TERM + 1, 8)
    (backup,) = backups(data_dir)
    assert content(backup) == before
    wal, recovered = WriteAheadLog.open(PosixDisk(), data_dir / "wal", log_id=SERVER_ID)
    wal.close()
    assert [entry.kind for entry in recovered.entries[-2:]] == [EntryKind.COMMAND, EntryKind.CONFIGURATION]
    after = content(data_dir)
    assert as_json(capsys, YES, "--data-dir", str(data_dir))["status"] == "nothing to do"
    assert content(data_dir) == after
    assert len(backups(data_dir)) == 1


def test_it_must_be_confirmed(
    data_dir: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the flag it is refused, or in a terminal asked for: only the cluster's id, typed, will do."""
    before = content(data_dir)
    monkeypatch.setattr(sys, "stdin", open("/dev/null"))  # noqa: SIM115, PTH123
    assert main(["recover", "--data-dir", str(data_dir)]) == 1
    assert "nothing was changed; to go on give --yes-i-lost-the-majority" in capsys.readouterr().err
    sys.stdin.close()
    terminal = type("Terminal", (), {"isatty": lambda _self: True})()
    monkeypatch.setattr(sys, "stdin", terminal)
    for typed, status in (("yes", 1), ("", 1), ("ab ", 0)):
        assert content(data_dir) == before
        monkeypatch.setattr("builtins.input", lambda prompt, typed=typed: typed)
        assert main(["recover", "--data-dir", str(data_dir)]) == status
    assert content(data_dir) != before


def test_what_is_refused(data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A running server, no data, a lost log, a damaged one, no room: one line that says so, status 1, nothing changed."""

    def refused(directory: Path, *more: str) -> str:
        assert main(["recover", YES, "--data-dir", str(directory), *more]) == 1
        return capsys.readouterr().err.splitlines()[-1]

    lock = PosixDisk().lock_directory(data_dir)
    assert "is in use by process" in refused(data_dir)
    lock.release()
    assert f"there is no directory {tmp_path / 'nowhere'}" in refused(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    assert "holds no server's data" in refused(tmp_path / "empty")
    assert f"{data_dir / 'else'} holds no log" in refused(data_dir, "--wal-dir", str(data_dir / "else"))
    assert not backups(data_dir)
    write_server(tmp_path / "short", puts=3, unapplied=0)
    for path in (tmp_path / "short" / "wal").iterdir():
        path.unlink()
    write_server(tmp_path / "other", puts=1, unapplied=0, wal_dir=tmp_path / "short" / "wal")
    assert "the log ends at 4: the log was lost" in refused(tmp_path / "short")
    segment = next((data_dir / "wal").iterdir())
    damaged = bytearray(segment.read_bytes())
    damaged[600] ^= 1
    segment.write_bytes(damaged)
    assert f"corrupt log: {segment}" in refused(data_dir)


def test_members_that_answer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """If as many voters accept connections as make a majority it is refused, unless forced; one that does is named."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        write_server(tmp_path / "s3", peers={1: url})
        assert main(["recover", YES, "--data-dir", str(tmp_path / "s3")]) == 1
        printed = capsys.readouterr()
        assert "but something ANSWERS there" in printed.out
        assert f"member 1 s1 accepts connections at {url}: is it really lost?" in printed.err
        assert "2 of 3 voters seem to be there, so the majority is not lost" in printed.err
        assert not backups(tmp_path / "s3")
        assert main(["recover", YES, "--force", "--data-dir", str(tmp_path / "s3")]) == 0


def test_a_log_elsewhere_and_a_copy_elsewhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--wal-dir` and `--backup-dir`: the log is found, and the copy holds both where it was asked to be."""
    write_server(tmp_path / "s3", wal_dir=tmp_path / "log")
    before, log = content(tmp_path / "s3"), content(tmp_path / "log")
    flags = ["--data-dir", str(tmp_path / "s3"), "--wal-dir", str(tmp_path / "log")]
    done = as_json(capsys, YES, "--backup-dir", str(tmp_path / "kept" / "here"), *flags)
    assert done["status"] == "recovered"
    (backup,) = (tmp_path / "kept" / "here").iterdir()
    assert str(backup) == done["plan"]["backup"]
    assert content(backup) == before | {f"wal/{name}": data for name, data in log.items()}


def test_no_room_for_the_copy(
    data_dir: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Too little space is told before anything is written, and a copy that was cut short is no copy."""
    before = content(data_dir)
    usage = data_copy.shutil.disk_usage(data_dir)
    monkeypatch.setattr(data_copy.shutil, "disk_usage", lambda path: usage._replace(free=100))
    assert main(["recover", YES, "--data-dir", str(data_dir)]) == 1
    assert "name another place with --backup-dir" in capsys.readouterr().err
    monkeypatch.undo()

    def fails(*_: object) -> None:
        raise OSError(5, "Input/output error", "x")

    monkeypatch.setattr(data_copy, "_copy_file", fails)
    assert main(["recover", YES, "--data-dir", str(data_dir)]) == 1
    monkeypatch.undo()
    assert content(data_dir) == before
    assert [path.suffix for path in backups(data_dir)] == [".partial"]
    assert main(["recover", YES, "--data-dir", str(data_dir)]) == 0
    assert content(next(path for path in backups(data_dir) if path.suffix != ".partial")) == before


def test_a_recovery_that_was_cut_short_is_ended(
    data_dir: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed when only the entry was missing, it is ended by the next call, with the id that it had got."""

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("oarlock.node.quorum_loss.complete", killed)
    with pytest.raises(KeyboardInterrupt):
        main(["recover", YES, "--data-dir", str(data_dir)])
    monkeypatch.undo()
    capsys.readouterr()
    identity = load_identity(PosixDisk(), data_dir)
    assert identity is not None
    done = as_json(capsys, "--data-dir", str(data_dir), "--backup-dir", str(data_dir.parent / "second"))
    assert done["status"] == "recovered"
    assert done["plan"]["new_cluster_id"] == f"{identity.cluster_id:x}"
    assert load_identity(PosixDisk(), data_dir) == identity
    assert as_json(capsys, "--data-dir", str(data_dir))["status"] == "nothing to do"
