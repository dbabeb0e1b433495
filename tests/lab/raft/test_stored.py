"""What a server saves is what it reads, and grows with the log alone."""

import random

import pytest

from oarlock.lab.raft.stored import Ledger, decode_snapshot, decode_state, encode_snapshot, log_of
from oarlock.raft.log import Log
from oarlock.raft.types import Configuration, Entry, EntryKind, HardState, SnapshotMetadata

CONFIGURATION = Configuration(voters=frozenset({1, 2, 3}))


def test_a_new_server_has_saved_nothing() -> None:
    """Empty bytes are an empty log in term 0."""
    state = decode_state(b"")
    log = log_of(state, CONFIGURATION)
    assert (state.current_term, state.voted_for, log.last_index, log.base_index) == (0, None, 0, 0)


@pytest.mark.parametrize("seed", range(10))
def test_what_is_saved_is_read(seed: int) -> None:
    """Through appends, overwriting and compaction, the saved state is term, vote, base and every entry."""
    rng = random.Random(seed)
    log = Log(SnapshotMetadata(configuration=CONFIGURATION))
    ledger = Ledger(log, 0)
    for _ in range(40):
        keep = rng.randint(log.base_index, log.last_index)
        if keep < log.last_index:
            log.truncate_from(keep + 1)
        count = rng.randint(1, 4)
        term = log.last_term + rng.randint(0, 1)
        added = [
            Entry(keep + at, term, rng.choice([EntryKind.COMMAND, EntryKind.NOOP]), rng.randbytes(5))
            for at in range(1, count + 1)
        ]
        log.append(added)
        ledger.overwrite(added)
        if rng.random() < 0.2:
            base = rng.randint(log.base_index, log.last_index)
            log.compact(SnapshotMetadata(base, log.term(base) or 0, CONFIGURATION))
            ledger.compact(base)
        saved = decode_state(ledger.encode(HardState(7, 2), log.base.last_included_term))
        read = log_of(saved, CONFIGURATION)
        assert (saved.current_term, saved.voted_for) == (7, 2)
        assert saved.base_number == ledger.numbers.base_number
        assert (read.base, read.last_index) == (log.base, log.last_index)
        assert read.slice(read.base_index + 1, read.last_index) == log.slice(log.base_index + 1, log.last_index)


def test_a_snapshot_names_its_last_command() -> None:
    """A snapshot travels with the labs' index, which the receiver cannot count."""
    snapshot = decode_snapshot(encode_snapshot(9, b"data"))
    assert (snapshot.number, snapshot.data) == (9, b"data")
