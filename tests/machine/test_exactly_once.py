"""The table of applied proposals: duplicates are recognised, and the table is part of the state."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oarlock.machine.exactly_once import (
    HEADER_BYTES,
    AlreadyApplied,
    Envelope,
    EnvelopeError,
    ExactlyOnce,
    read_envelope,
    seal,
)


class Register:
    """Remembers what it executed, and returns how many that were."""

    def __init__(self) -> None:
        self.executed: list[bytes] = []
        self.wanted: list[bool] = []

    def __call__(self, command: bytes, wanted: bool) -> int:
        self.executed.append(command)
        self.wanted.append(wanted)
        return len(self.executed)


def test_an_envelope_says_who_proposed_the_command() -> None:
    """What `seal` writes, `read_envelope` reads, and the command follows it unchanged."""
    data = seal(7, 3, 12, 9, b"command")
    assert read_envelope(data) == Envelope(origin=7, epoch=3, sequence=12, floor=9)
    assert data[HEADER_BYTES:] == b"command"


@pytest.mark.parametrize("data", [b"", b"\x01short", b"\x02" + bytes(40)])
def test_what_is_no_envelope_is_refused(data: bytes) -> None:
    """A short entry or one of an unknown version is an error that says so, never a command."""
    with pytest.raises(EnvelopeError, match=r"envelope"):
        ExactlyOnce().apply(1, data, Register())


def test_a_retry_is_not_executed_again_and_gets_the_first_result() -> None:
    """The same sequence of the same boot is applied once, however often it is in the log."""
    table, register = ExactlyOnce(), Register()
    entry = seal(1, 1, 5, 5, b"put")
    assert table.apply(1, entry, register) == 1
    assert table.apply(2, entry, register) == AlreadyApplied(1)
    assert register.executed == [b"put"]


def test_sequences_may_arrive_out_of_order() -> None:
    """A proposal that overtook another does not make the other one a duplicate."""
    table, register = ExactlyOnce(), Register()
    for sequence in (3, 1, 2):
        table.apply(sequence, seal(1, 1, sequence, 1, b"%d" % sequence), register)
    assert register.executed == [b"3", b"1", b"2"]


def test_below_the_floor_nothing_is_executed() -> None:
    """Once the origin has stopped waiting for a sequence, a late copy of it has no effect."""
    table, register = ExactlyOnce(), Register()
    table.apply(1, seal(1, 1, 9, 8, b"new"), register)
    assert table.apply(2, seal(1, 1, 7, 1, b"late"), register) == AlreadyApplied(None)
    assert register.executed == [b"new"]


def test_a_lower_floor_of_a_late_retry_is_ignored() -> None:
    """An entry sealed before the floor rose does not lower it again."""
    table, register = ExactlyOnce(), Register()
    table.apply(1, seal(1, 1, 9, 8, b"new"), register)
    table.apply(2, seal(1, 1, 8, 1, b"older"), register)
    assert table.dump() == [(1, 1, 8, 2, [8, 9])]


def test_a_new_boot_starts_afresh_and_the_old_one_is_over() -> None:
    """Sequences start again with a boot; entries of an earlier boot, whose waiters are gone, have no effect."""
    table, register = ExactlyOnce(), Register()
    table.apply(1, seal(1, 1, 5, 5, b"old boot"), register)
    table.apply(2, seal(1, 2, 1, 1, b"new boot"), register)
    assert table.apply(3, seal(1, 1, 6, 6, b"ghost"), register) == AlreadyApplied(None, later_epoch=2)
    assert register.executed == [b"old boot", b"new boot"]


def test_only_the_origin_keeps_results_yet_all_tables_are_equal() -> None:
    """Results are made and kept where someone may ask for them; the replicated table does not depend on it."""
    own, other, register = ExactlyOnce(1), ExactlyOnce(2), Register()
    entry = seal(1, 1, 1, 1, b"put")
    own.apply(1, entry, register)
    other.apply(1, entry, register)
    assert register.wanted == [True, False]
    assert own.apply(2, entry, register) == AlreadyApplied(1)
    assert other.apply(2, entry, register) == AlreadyApplied(None)
    assert own.dump() == other.dump()


def test_the_window_is_bounded() -> None:
    """An origin that never raises its floor cannot grow the table without limit; the newest half stays known."""
    table, register = ExactlyOnce(max_window=10), Register()
    for sequence in range(1, 101):
        table.apply(sequence, seal(1, 1, sequence, 1, b""), register)
        assert len(table.dump()[0][4]) <= 10
    assert table.apply(101, seal(1, 1, 100, 1, b""), register) == AlreadyApplied(100)
    assert table.apply(102, seal(1, 1, 2, 1, b""), register) == AlreadyApplied(None)


def test_the_number_of_origins_is_bounded() -> None:
    """The origin idle for longest makes room."""
    table, register = ExactlyOnce(max_origins=2), Register()
    for index, origin in enumerate((1, 2, 1, 3), start=1):
        table.apply(index, seal(origin, 1, index, index, b""), register)
    assert [row[0] for row in table.dump()] == [1, 3]


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(1, 2), st.integers(1, 12), st.integers(0, 4)), max_size=60))
def test_a_table_restored_from_its_dump_decides_as_the_original(
    entries: list[tuple[int, int, int, int]],
) -> None:
    """State carried over by a snapshot leads to the same executions and the same table afterwards."""
    original, restored = ExactlyOnce(max_window=6), ExactlyOnce(max_window=6)
    by_original, by_restored = Register(), Register()
    for index, (origin, epoch, sequence, waiting) in enumerate(entries, start=1):
        data = seal(origin, epoch, sequence, max(1, sequence - waiting), b"%d" % index)
        restored.load(original.dump())
        original.apply(index, data, by_original)
        restored.apply(index, data, by_restored)
        assert restored.dump() == original.dump()
    assert by_restored.executed == by_original.executed
    assert len(set(by_original.executed)) == len(by_original.executed)


@given(st.lists(st.tuples(st.integers(1, 20), st.integers(0, 20)), max_size=80))
def test_no_proposal_is_ever_executed_twice(entries: list[tuple[int, int]]) -> None:
    """Whatever the order of retries and floors, a sequence takes effect at most once."""
    table, register = ExactlyOnce(max_window=5), Register()
    for index, (sequence, waiting) in enumerate(entries, start=1):
        table.apply(index, seal(1, 1, sequence, max(1, sequence - waiting), b"%d" % sequence), register)
    assert len(set(register.executed)) == len(register.executed)
