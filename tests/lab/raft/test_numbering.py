"""The labs' indices count commands alone, through overwriting, compaction and snapshots."""

import random

import pytest

from oarlock.lab.raft.numbering import Numbering
from oarlock.raft.types import Entry, EntryKind


def entries(kinds: str, first: int = 1) -> list[Entry]:
    """A log: `c` for a command, `n` for a no-op."""
    kind = {"c": EntryKind.COMMAND, "n": EntryKind.NOOP}
    return [Entry(index, 1, kind[each], b"") for index, each in enumerate(kinds, first)]


def test_no_ops_take_no_number() -> None:
    """In a log of no-op, command, command, no-op, command the commands are 1, 2 and 3."""
    numbers = Numbering(0, 0, entries("nccnc"))
    assert [numbers.number_at(index) for index in range(6)] == [0, 0, 1, 2, 2, 3]
    assert [numbers.index_of(number) for number in (1, 2, 3)] == [2, 3, 5]


def test_the_next_command_has_a_place() -> None:
    """The number after the last is where the next command will stand."""
    assert Numbering(0, 0, entries("nccn")).index_of(3) == 5


@pytest.mark.parametrize("seed", range(20))
def test_against_counting(seed: int) -> None:
    """Whatever is appended, overwritten and compacted, numbers are what counting the whole history gives."""
    rng = random.Random(seed)
    numbers, whole, base = Numbering(0, 0), "", 0
    for _ in range(60):
        keep = rng.randint(base, len(whole))
        added = "".join(rng.choice("cccn") for _ in range(rng.randint(1, 4)))
        whole = whole[:keep] + added
        numbers.overwrite(entries(added, keep + 1))
        if rng.random() < 0.2:
            base = rng.randint(base, len(whole))
            numbers.compact(base)
        for index in range(base, len(whole) + 1):
            assert numbers.number_at(index) == whole[:index].count("c")
            if index > base and whole[index - 1] == "c":
                assert numbers.index_of(numbers.number_at(index)) == index
