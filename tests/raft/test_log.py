"""The log in memory: whole and trimmed, with the paper's indices."""

import pytest
from tests.support.raft_server import log_of

from oarlock.raft.log import Log
from oarlock.raft.types import Configuration, Entry, EntryKind, SnapshotMetadata

BASE = SnapshotMetadata(4, 2, Configuration(voters=frozenset({1, 2, 3})))


def trimmed(*terms: int) -> Log:
    """A log whose base is entry 4 of term 2."""
    return Log(BASE, log_of(*terms, base=4))


def test_an_empty_log() -> None:
    """B7: no entries, no base: index 0 has term 0, index 1 none."""
    log = Log()
    assert (log.base_index, log.last_index, log.last_term, log.durable_index) == (0, 0, 0, 0)
    assert (log.term(0), log.term(1), log.term(-1)) == (0, None, None)


def test_a_trimmed_log_keeps_the_papers_indices() -> None:
    """B7: the base's term is known, what is below is not, and the rest is where it always was."""
    log = trimmed(2, 3)
    assert (log.base_index, log.last_index, log.last_term) == (4, 6, 3)
    assert [log.term(index) for index in range(3, 8)] == [None, 2, 2, 3, None]
    assert log.entry(6) == log_of(3, base=5)[0]
    assert [entry.index for entry in log.slice(5, 6)] == [5, 6]
    assert log.slice(7, 6) == []
    empty = trimmed()
    assert (empty.last_index, empty.last_term) == (4, 2)


@pytest.mark.parametrize("index", [4, 3, 0])
def test_what_is_at_the_base_or_below_is_not_held(index: int) -> None:
    """B7: asking for it is an error, not some other entry."""
    log = trimmed(2, 3)
    with pytest.raises(IndexError, match=f"log entry {index} is at or below the base 4"):
        log.entry(index)
    with pytest.raises(IndexError, match=f"log entry {index} is at or below the base 4"):
        log.slice(index, 6)


@pytest.mark.parametrize(
    "entries",
    [log_of(2, base=5), log_of(2, base=3), log_of(1, base=4), [*log_of(3, base=4), *log_of(2, base=5)]],
    ids=["gap", "overlap", "older term than the base", "falling term"],
)
def test_entries_that_do_not_follow_are_refused(entries: list[Entry]) -> None:
    """SP-3: such a log is no server's: it is damaged, or another's."""
    with pytest.raises(ValueError, match="does not follow"):
        Log(BASE, entries)


def test_appending_a_gap_is_refused() -> None:
    """AE-2, G8: an entry goes right behind the last one, or nowhere."""
    log = trimmed(2)
    with pytest.raises(ValueError, match="entry 7 does not follow 5"):
        log.append(log_of(2, base=6))
    log.append([])
    log.append(log_of(2, 3, base=5))
    assert (log.last_index, log.last_term) == (7, 3)


def test_truncating() -> None:
    """AE-3, P-1: the entry and all that follow go, and what is gone is not durable any more."""
    log = trimmed(2, 2, 3)
    log.truncate_from(6)
    assert (log.last_index, log.last_term, log.durable_index) == (5, 2, 5)
    log.append(log_of(4, base=5))
    assert log.durable_index == 5
    log.truncate_from(5)
    assert (log.last_index, log.last_term) == (4, 2)
    with pytest.raises(ValueError, match="cannot truncate at 4: the base is 4"):
        log.truncate_from(4)


def test_compacting() -> None:
    """LC-1, B10: the base moves up, what follows stays; never back; past the end nothing is left."""
    log = trimmed(2, 2, 3)
    log.compact(SnapshotMetadata(6, 2))
    assert (log.base_index, log.last_index, log.term(6), log.term(5)) == (6, 7, 2, None)
    assert len(log._entries) == 1
    with pytest.raises(ValueError, match="cannot move the base back from 6 to 5"):
        log.compact(SnapshotMetadata(5, 2))
    log.compact(SnapshotMetadata(7, 3))
    assert (log.base_index, log.last_index, log.last_term) == (7, 7, 3)


def test_a_base_is_durable_only_when_written() -> None:
    """P-1, IS-7: a log that begins anew claims nothing until its base is on disk."""
    log = trimmed(2, 2)
    log.reset(SnapshotMetadata(9, 5))
    assert (log.base_index, log.last_index, log.last_term, log.durable_index) == (9, 9, 5, 0)


@pytest.mark.parametrize(
    ("first", "max_bytes", "count", "size"),
    [
        (1, 100, 4, 10),
        (1, 5, 2, 5),
        (1, 4, 1, 3),
        (1, 1, 1, 3),
        (3, 3, 1, 3),
        (2, 5, 2, 5),
        (4, 2, 1, 2),
        (5, 100, 0, 0),
    ],
)
def test_batches(first: int, max_bytes: int, count: int, size: int) -> None:
    """FC-3: as many entries as fit, at least one, none past the end; with their size."""
    log = Log(entries=[Entry(i, 1, EntryKind.COMMAND, b"x" * length) for i, length in enumerate((3, 2, 3, 2), 1)])
    entries, total = log.batch(first, max_bytes)
    assert [entry.index for entry in entries] == list(range(first, first + count))
    assert total == size


def test_the_first_index_of_a_term() -> None:
    """BT-1: among the entries held, the base aside."""
    log = trimmed(2, 2, 3, 3, 3)
    assert [log.first_index_of_term_at(index) for index in range(5, 10)] == [5, 5, 7, 7, 7]


@pytest.mark.parametrize(
    ("index", "term", "last"), [(9, 3, 8), (9, 2, 6), (9, 9, 9), (99, 9, 9), (7, 3, 7), (9, 1, 4), (4, 9, 4)]
)
def test_the_last_index_of_a_term(index: int, term: int, last: int) -> None:
    """BT-2: not above the index asked for, not below the base."""
    assert trimmed(2, 2, 3, 3, 5).last_index_at_or_below_term(index, term) == last
