"""The LMDB backend: growing maps, full disks, defragmentation, generations and what a crash leaves of them."""

import io
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.mvcc.stores import commit_all, put

from oarlock.mvcc import lmdb_backend, lmdb_generation
from oarlock.mvcc.errors import CorruptStoreError, StorageBusyError, StorageFailedError, StoreClosedError
from oarlock.mvcc.hashing import hash_kv
from oarlock.mvcc.lmdb_backend import LmdbBackend
from oarlock.mvcc.memory_backend import MemoryBackend
from oarlock.mvcc.revision import revision_key
from oarlock.mvcc.snapshot import write_snapshot
from oarlock.mvcc.store import Store


def _in_thread(work: Callable[[], None]) -> None:
    """Run blocking work as an executor would."""
    failed: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]


def _image(store: Store) -> io.BytesIO:
    view, out = store.begin_view(), io.BytesIO()
    write_snapshot(view, out)
    view.close()
    out.seek(0)
    return out


def test_map_grows_in_the_writing_thread(tmp_path: Path) -> None:
    """A full map grows as often as needed, while the loop's thread has read and goes on reading."""
    store = Store(LmdbBackend(tmp_path, map_bytes=1 << 18))
    for number in range(40):
        put(store, b"k%d" % number, bytes([number]) * 50_000)
        commit = store.begin_commit()
        assert commit is not None
        _in_thread(commit.run)
        commit.finish()
        assert store.get(b"k%d" % (number // 2)) is not None
    assert store.size() > 2_000_000
    store.close()
    store = Store(LmdbBackend(tmp_path, map_bytes=1 << 18))
    assert store.get_key_value(b"k39").value == b"\x27" * 50_000  # type: ignore[union-attr]
    store.close()


def test_map_does_not_grow_below_a_view(tmp_path: Path) -> None:
    """Growing would pull the pages from under a view: the commit is refused, and goes through once it is closed."""
    store = Store(LmdbBackend(tmp_path, map_bytes=1 << 18))
    put(store, b"small")
    store.commit()
    expected = store.hash_kv().hash
    view = store.begin_view()
    put(store, b"large", b"x" * 1_000_000)
    with pytest.raises(StorageBusyError, match="while a view is open"):
        store.commit()
    assert hash_kv(view).hash == expected
    view.close()
    store.commit()
    assert store.buffer.size_bytes == 0
    store.close()


def test_file_size_limit_is_a_full_disk(tmp_path: Path) -> None:
    """When the file may not grow the commit is refused, reads go on, and the store is whole afterwards."""
    program = """
import resource, signal, sys
from pathlib import Path
from oarlock.mvcc.errors import StorageFullError
from oarlock.mvcc.lmdb_backend import LmdbBackend
from oarlock.mvcc.store import Store
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
store = Store(LmdbBackend(Path(sys.argv[1])))
def put(key, value):
    transaction = store.begin_write()
    transaction.put(key, value)
    transaction.end()
put(b"first", b"1")
store.commit()
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, resource.RLIM_INFINITY))
put(b"large", b"x" * (2 << 20))
try:
    store.commit()
except StorageFullError as error:
    print(error)
assert store.get_key_value(b"first").value == b"1"
assert len(store.get_key_value(b"large").value) == 2 << 20
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
put(b"last", b"2")
store.commit()
"""
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "no room on the disk" in done.stdout
    store = Store(LmdbBackend(tmp_path))
    assert store.range(b"\0", b"\0").count == 3
    store.close()


def test_defragmentation_gives_back_space(tmp_path: Path) -> None:
    """What a compaction freed leaves the file; a view from before keeps reading the old file."""
    store = Store(LmdbBackend(tmp_path))
    for _ in range(50):
        put(store, b"k", os.urandom(20_000))
    store.commit()
    full = store.hash_kv().hash
    view = store.begin_view()
    store.compact(store.current_revision)
    commit_all(store)
    put(store, b"uncommitted")
    expected = store.hash_kv()
    before = store.size()
    assert store.size_in_use() < before / 10
    _in_thread(store.backend.defragment)
    assert store.size() < before / 10
    assert store.hash_kv() == expected
    assert hash_kv(view).hash == full
    assert len(list(tmp_path.glob("store-*.mdb"))) == 2
    view.close()
    assert [path.name for path in tmp_path.glob("store-*.mdb")] == ["store-000002.mdb"]
    store.commit()
    store.close()
    store = Store(LmdbBackend(tmp_path))
    assert store.hash_kv() == expected
    store.close()


@pytest.mark.parametrize("replacement", ["defragment", "restore"])
@pytest.mark.parametrize("fails", ["_open", "_fsync_directory", "unlink"])
@pytest.mark.parametrize("call", range(1, 4))
def test_interrupted_replacement_leaves_old_or_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, replacement: str, fails: str, call: int
) -> None:
    """Stopped at any file operation, the next start finds the old content or the new one, and no litter."""
    store = Store(LmdbBackend(tmp_path))
    put(store, b"old")
    store.commit()
    old = store.hash_kv()
    other = Store(MemoryBackend())
    put(other, b"new", b"content")
    new = other.hash_kv() if replacement == "restore" else old
    image = _image(other)
    calls = 0
    module = lmdb_backend if fails == "_fsync_directory" else lmdb_generation
    real = getattr(module, fails)

    def failing(*arguments: object, **options: object) -> object:
        nonlocal calls
        calls += 1
        if calls >= call:
            raise KeyboardInterrupt
        return real(*arguments, **options)

    with monkeypatch.context() as patched:
        patched.setattr(module, fails, failing)
        try:
            store.restore(image) if replacement == "restore" else store.backend.defragment()
        except KeyboardInterrupt:
            store.close()
        else:
            store.close()
    reopened = Store(LmdbBackend(tmp_path))
    assert reopened.hash_kv() in (old, new)
    assert len(list(tmp_path.glob("store-*.mdb"))) == 1
    put(reopened, b"more")
    reopened.commit()
    reopened.close()


KILLED = """
import io, sys
from pathlib import Path
from oarlock.mvcc.lmdb_backend import LmdbBackend
from oarlock.mvcc.snapshot import write_snapshot
from oarlock.mvcc.store import Store
store = Store(LmdbBackend(Path(sys.argv[1]), map_bytes=1 << 18))
index = store.applied_index
while True:
    for _ in range(5):
        index += 1
        transaction = store.begin_write()
        transaction.put(b"k%d" % (index % 17), b"%d" % index * 500)
        transaction.end()
        store.set_applied(index)
    if index % 60 == 0:
        store.compact(store.current_revision - 20)
    if sys.argv[2] == "commit":
        pass
    elif index % 20 == 0 and sys.argv[2] == "defragment":
        store.backend.defragment()
    elif index % 20 == 0:
        view, image = store.begin_view(), io.BytesIO()
        write_snapshot(view, image)
        view.close()
        image.seek(0)
        store.restore(image)
    store.commit()
    print(store.durable_index, flush=True)
"""


@pytest.mark.parametrize("beside", ["commit", "defragment", "restore"])
def test_killed_process_loses_nothing_committed(tmp_path: Path, beside: str) -> None:
    """Kill -9 at any moment: data and applied index agree, and stand at or after the last finished commit."""
    for lines in (3, 11, 30):
        process = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(tmp_path), beside], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        for _ in range(lines):
            durable = int(process.stdout.readline())
        os.kill(process.pid, signal.SIGKILL)
        durable = max([durable, *(int(line) for line in process.stdout if line.endswith("\n"))])
        process.stdout.close()
        process.wait()
        store = Store(LmdbBackend(tmp_path))
        assert store.applied_index >= durable
        assert store.current_revision == store.applied_index + 1, "each entry wrote one revision"
        latest = store.get_key_value(b"k%d" % (store.applied_index % 17))
        assert latest is not None
        assert latest.value == b"%d" % store.applied_index * 500
        view = store.begin_view()
        assert view.base.last_key() == revision_key(store.current_revision, 0)
        view.close()
        store.close()


def test_damaged_pointer_is_named(tmp_path: Path) -> None:
    """A CURRENT that names no database is refused, not repaired by guessing."""
    LmdbBackend(tmp_path).close()
    (tmp_path / "CURRENT").write_text("../elsewhere\n")
    with pytest.raises(CorruptStoreError, match=r"names '\.\./elsewhere'"):
        LmdbBackend(tmp_path)


def test_data_without_pointer_is_not_deleted(tmp_path: Path) -> None:
    """A lost CURRENT stops the start; only the empty file of a start that was cut short is made anew."""
    store = Store(LmdbBackend(tmp_path))
    (tmp_path / "CURRENT").unlink()
    store.close()
    store = Store(LmdbBackend(tmp_path))
    put(store, b"k", b"v" * 100_000)
    store.commit()
    store.close()
    (tmp_path / "CURRENT").unlink()
    with pytest.raises(CorruptStoreError, match=r"store-000001\.mdb but no CURRENT"):
        LmdbBackend(tmp_path)
    assert (tmp_path / "store-000001.mdb").stat().st_size > 100_000


def test_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    """An overwritten database file is refused with its path."""
    LmdbBackend(tmp_path).close()
    (tmp_path / "store-000001.mdb").write_bytes(b"no database" * 1000)
    with pytest.raises(CorruptStoreError, match=r"store-000001\.mdb"):
        LmdbBackend(tmp_path)


def test_missing_record_is_named(tmp_path: Path) -> None:
    """A record that the index names and the database lacks is an error, never an absent key."""
    store = Store(LmdbBackend(tmp_path))
    put(store, b"k")
    del store.buffer.records[revision_key(2, 0)]
    with pytest.raises(CorruptStoreError, match="lacks the record 0000000000000002"):
        store.get(b"k")
    store.close()


def test_closed_store_says_so(tmp_path: Path) -> None:
    """Use after close is a clear error, and views close quietly."""
    store = Store(LmdbBackend(tmp_path))
    put(store, b"k")
    store.commit()
    view = store.begin_view()
    store.close()
    store.close()
    view.close()
    with pytest.raises(StoreClosedError):
        store.get(b"k")
    with pytest.raises(StoreClosedError):
        store.begin_view()
    put(store, b"l")
    with pytest.raises(StoreClosedError):
        store.commit()
    with pytest.raises(StoreClosedError, match="after it was closed"):
        view.records()


OPENED = """
import sys
from pathlib import Path
from oarlock.mvcc.errors import CorruptStoreError
from oarlock.mvcc.lmdb_backend import LmdbBackend
from oarlock.mvcc.store import Store
try:
    store = Store(LmdbBackend(Path(sys.argv[1])))
except CorruptStoreError as error:
    print(error)
else:
    print(store.current_revision)
"""


def test_file_cut_short_is_refused(tmp_path: Path) -> None:
    """Wherever the file ends too early the start says so in one error: no signal, and no new database in its place."""
    store = Store(LmdbBackend(tmp_path))
    for number in range(400):
        put(store, b"k%d" % number, b"v" * 3000)
    store.commit()
    used = store.size()
    store.close()
    path = tmp_path / "store-000001.mdb"
    whole = path.read_bytes()
    assert len(whole) >= used
    for length in (used, used - 1, used - 4096, used // 2, 16384, 12288, 8192, 8191, 4096, 100, 0):
        path.write_bytes(whole[:length])
        done = subprocess.run(
            [sys.executable, "-c", OPENED, str(tmp_path)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, (length, done)
        if length == used:
            assert done.stdout == "401\n"
        else:
            expected = used if length >= 8192 else 8192
            assert done.stdout == f"{path}: the file has {length} bytes of at least {expected}: it was cut short\n"


def test_errors_name_the_file_once(tmp_path: Path) -> None:
    """LMDB's and the system's texts hold the path too; ours has it once."""
    LmdbBackend(tmp_path).close()
    path = tmp_path / "store-000001.mdb"
    path.write_bytes(b"no database" * 1000)
    with pytest.raises(CorruptStoreError) as caught:
        LmdbBackend(tmp_path)
    assert str(caught.value).count(str(path)) == 1
    with pytest.raises(StorageFailedError) as failed, lmdb_generation.translated_errors(path):
        (tmp_path / "missing").open()
    assert str(failed.value) == f"{path}: No such file or directory"


def test_damaged_pages_are_named(tmp_path: Path) -> None:
    """Pages overwritten with zeros behind whole meta pages are an error of ours at the start."""
    store = Store(LmdbBackend(tmp_path))
    for number in range(40):
        put(store, b"k%d" % number, b"v" * 3000)
    store.commit()
    store.close()
    path = tmp_path / "store-000001.mdb"
    whole = path.read_bytes()
    path.write_bytes(whole[:8192] + bytes(len(whole) - 8192))
    done = subprocess.run([sys.executable, "-c", OPENED, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done
    assert done.stdout.startswith(f"{path}: ")
