"""Damage to a database is noticed: at the next look at a record, and of everything at the next start."""

import faulthandler
import os
import random
import signal
from collections import Counter
from pathlib import Path

import pytest
from tests.mvcc.stores import commit_all, delete, put

from oarlock.mvcc.checksums import CHECKSUM_BYTES, Totals, seal, unseal
from oarlock.mvcc.errors import CorruptStoreError, MvccError
from oarlock.mvcc.hashing import hash_kv
from oarlock.mvcc.lmdb_backend import LmdbBackend
from oarlock.mvcc.memory_backend import MemoryBackend
from oarlock.mvcc.store import Store

MAP_BYTES = 16 << 20


def _filled() -> tuple[Store, MemoryBackend]:
    backend = MemoryBackend()
    store = Store(backend)
    for number in range(12):
        put(store, b"k%d" % (number % 4), b"value%d" % number)
        store.set_applied(number + 1, 1)
    delete(store, b"k1")
    store.set_extra("sessions", b"some state")
    store.commit()
    return store, backend


def test_value_is_sealed_under_its_key() -> None:
    """What was stored comes back; under another key, with any bit changed, or cut short it does not."""
    stored = seal(b"key", b"value")
    assert unseal(b"key", stored) == b"value"
    assert len(stored) == len(b"value") + CHECKSUM_BYTES
    bad = [(b"kex", stored), (b"key", stored[:-1]), (b"key", b""), (b"key", stored + b"\0")]
    for position in range(8 * len(stored)):
        changed = bytearray(stored)
        changed[position // 8] ^= 1 << position % 8
        bad.append((b"key", bytes(changed)))
    for key, data in bad:
        with pytest.raises(CorruptStoreError, match=key.hex()):
            unseal(key, data)


def test_damaged_record_is_not_given() -> None:
    """A get, a range, a hash and a start meet the damage, each with an error that names the record."""
    store, backend = _filled()
    key = next(iter(backend.stored))
    newest = list(backend.stored)[-2]  # of k3
    for damaged in (key, newest):
        right = backend.stored[damaged]
        backend.stored[damaged] = bytes([right[0] ^ 1]) + right[1:]
        with pytest.raises(CorruptStoreError, match=damaged.hex()):
            store.hash_kv()
        with pytest.raises(CorruptStoreError, match=damaged.hex()):
            Store(backend)
        if damaged == newest:
            with pytest.raises(CorruptStoreError, match=damaged.hex()):
                store.get(b"k3")
            with pytest.raises(CorruptStoreError, match=damaged.hex()):
                store.range(b"k", b"l")
        backend.stored[damaged] = right
    assert store.get(b"k3") is not None


def test_record_in_the_place_of_another_is_not_given() -> None:
    """A sound record that comes back under another revision is refused: a misdirected page."""
    store, backend = _filled()
    first, second = list(backend.stored)[:2]
    backend.stored[second] = backend.stored[first]
    with pytest.raises(CorruptStoreError, match=second.hex()):
        store.hash_kv()


def test_missing_record_is_noticed() -> None:
    """A page of older content: the record is gone, or one is back that a compaction deleted."""
    store, backend = _filled()
    before = dict(backend.stored)
    key = next(iter(backend.stored))
    del backend.stored[key]
    with pytest.raises(CorruptStoreError, match="12 records of 13"):
        Store(backend)
    backend.stored = dict(before)
    store = Store(backend)
    store.compact(store.current_revision)
    commit_all(store)
    backend.stored = {key: before[key]} | backend.stored
    with pytest.raises(CorruptStoreError, match="records of"):
        Store(backend)


def test_damaged_or_older_meta_is_noticed() -> None:
    """A bit changed in `meta`, a name lost, and an older value of one: each refuses the start."""
    store, backend = _filled()
    before = dict(backend.stored_meta)
    put(store, b"more")
    store.set_applied(99, 2)
    store.commit()
    now = dict(backend.stored_meta)
    for name in now:
        for wrong in (
            {**now, name: now[name][:-1] + bytes([now[name][-1] ^ 1])},
            {key: value for key, value in now.items() if key != name},
            {**now, name: before[name]},
        ):
            if wrong != now:
                backend.stored_meta = wrong
                with pytest.raises(CorruptStoreError):
                    Store(backend)
    backend.stored_meta = now
    assert Store(backend).applied_index == 99


def test_totals_are_of_fixed_length() -> None:
    """Totals that are none are refused; where there are none yet, there is nothing."""
    totals = Totals.decode(None)
    assert (totals.records, totals.meta) == (0, 0)
    with pytest.raises(CorruptStoreError):
        Totals.decode(seal(b"\0totals", b"short"))


def _content(store: Store) -> tuple[int, int, int]:
    return store.applied_index, store.current_revision, hash_kv(store.begin_view()).hash


def test_damaged_file_is_never_believed(tmp_path: Path) -> None:
    """On LMDB itself: bits flipped and sectors lost all over the file give an error, the end of the process, or the truth.

    The truth of some commit, that is: a damaged root may show the one before.
    """
    store = Store(LmdbBackend(tmp_path, map_bytes=MAP_BYTES))
    told = [_content(store)]
    for number in range(60):
        put(store, b"k%d" % (number % 20), b"value%d" % number * (1 + number % 9 * 20))
        store.set_applied(number + 1, 1)
        if number % 6 == 0:
            store.commit()
            told.append(_content(store))
    store.compact(40)
    for _ in range(3):
        store.commit()
        told.append(_content(store))
    store.close()
    path = next(tmp_path.glob("*.mdb"))
    data = path.read_bytes()
    used = len(data.rstrip(b"\0"))
    rng = random.Random(1)
    outcomes: Counter[str] = Counter()
    for number in range(60):
        damaged = bytearray(data)
        at = rng.randrange(used)
        if number % 2:
            damaged[at // 512 * 512 : at // 512 * 512 + 512] = bytes(512)
        else:
            damaged[at] ^= 1 << rng.randrange(8)
        path.write_bytes(damaged)
        outcomes[_open_in_a_process(tmp_path, told)] += 1
    assert not outcomes["lie"]
    assert outcomes["error"] >= 10
    assert outcomes["truth"] >= 10


def _open_in_a_process(directory: Path, told: list[tuple[int, int, int]]) -> str:
    """Of its own, as LMDB ends the process where a page makes no sense to it."""
    child = os.fork()
    if not child:
        try:
            faulthandler.disable()
            os.close(2)
            os._exit(0 if _content(Store(LmdbBackend(directory, map_bytes=MAP_BYTES))) in told else 1)
        except MvccError:
            os._exit(2)
        finally:
            os._exit(3)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) in {signal.SIGABRT, signal.SIGSEGV, signal.SIGBUS}
        return "end"
    return ("truth", "lie", "error", "other")[os.WEXITSTATUS(status)]
