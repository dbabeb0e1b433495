"""The checks of what servers apply notice what upstream's let pass."""

from typing import Any

import pytest

from oarlock.lab.interface import ApplyMsg
from oarlock.lab.suite.applied import Applied, read_snapshot, snapshot_of
from oarlock.lab.threads import RealRuntime


def command(index: int, value: Any) -> ApplyMsg:
    return ApplyMsg(command_valid=True, command=value, command_index=index)


def snapshot(index: int, commands: list[Any]) -> ApplyMsg:
    return ApplyMsg(snapshot_valid=True, snapshot=snapshot_of(commands), snapshot_index=index, snapshot_term=1)


def taken(*messages: ApplyMsg) -> list[str]:
    """What is said of messages that one server delivers."""
    applied = Applied(RealRuntime(), 2)
    life = applied.begin_life(0)
    return [applied.take(0, life, message) for message in messages]


def test_commands_in_order_are_fine() -> None:
    """Each index once, in order, counts as committed by that server."""
    applied = Applied(RealRuntime(), 2)
    life = applied.begin_life(0)
    assert [applied.take(0, life, command(index, index * 10)) for index in (1, 2)] == ["", ""]
    assert applied.committed(2) == (1, 20)
    assert applied.committed(3) == (0, None)
    assert applied.commands(0) == [10, 20]


@pytest.mark.parametrize("index", [1, 3])
def test_an_index_twice_or_a_gap_is_wrong(index: int) -> None:
    """Applying an index again, or one too early, is reported at once."""
    assert taken(command(1, "a"), command(index, "a"))[1] == (
        f"server 0 applied index {index} after 1: each must come once, in order"
    )


def test_another_command_at_the_same_index_is_wrong() -> None:
    """Two servers that apply different commands at one index are both named (SP-5)."""
    applied = Applied(RealRuntime(), 2)
    lives = [applied.begin_life(server) for server in (0, 1)]
    applied.take(0, lives[0], command(1, "a"))
    assert applied.take(1, lives[1], command(1, "b")) == (
        "server 1 applied 'b' at index 1, where server 0 had applied 'a'"
    )


def test_what_was_applied_is_remembered_across_restarts() -> None:
    """When all who applied a command have restarted, another one at its index is still wrong."""
    applied = Applied(RealRuntime(), 1)
    applied.take(0, applied.begin_life(0), command(1, "a"))
    assert "had applied 'a'" in applied.take(0, applied.begin_life(0), command(1, "b"))


def test_a_snapshot_replaces_the_state() -> None:
    """After a snapshot the next command is the one after it, and what is in it counts as applied."""
    applied = Applied(RealRuntime(), 1)
    life = applied.begin_life(0)
    assert applied.take(0, life, snapshot(3, ["a", "b", "c"])) == ""
    assert applied.committed(2) == (1, "b")
    assert applied.take(0, life, command(4, "d")) == ""


def test_a_snapshot_that_goes_back_is_wrong() -> None:
    """Rolling the service back is reported at once, not when the next command comes (B5)."""
    said = taken(command(1, "a"), command(2, "b"), snapshot(1, ["a"]))
    assert said[2] == "server 0 delivered a snapshot of index 1 after it had applied 2"


def test_a_snapshot_under_another_index_is_wrong() -> None:
    """The index named must be the one in the snapshot."""
    assert "as that of 2" in taken(snapshot(2, ["a"]))[0]


def test_a_snapshot_with_other_commands_is_wrong() -> None:
    """What is in a snapshot is compared with what was applied."""
    applied = Applied(RealRuntime(), 2)
    lives = [applied.begin_life(server) for server in (0, 1)]
    applied.take(0, lives[0], command(1, "a"))
    assert "had applied 'a'" in applied.take(1, lives[1], snapshot(1, ["b"]))


def test_a_snapshot_that_is_none_is_wrong() -> None:
    """Bytes that are not the service's are reported, not raised."""
    message = ApplyMsg(snapshot_valid=True, snapshot=b"\xc1", snapshot_index=1)
    assert "that is none" in taken(message)[0]
    with pytest.raises(ValueError, match="2 commands up to index 3"):
        read_snapshot(b"\x92\x03\x92\x01\x02")


def test_a_zombie_counts_for_nothing() -> None:
    """What an old life still delivers is neither checked nor counted."""
    applied = Applied(RealRuntime(), 1)
    old = applied.begin_life(0)
    applied.begin_life(0)
    assert applied.take(0, old, command(7, "x")) == ""
    assert applied.committed(7) == (0, None)


def test_neither_valid_is_ignored() -> None:
    """A message that is neither command nor snapshot means nothing."""
    assert taken(ApplyMsg()) == [""]


def test_snapshots_are_due_every_ten() -> None:
    """The service snapshots at 9, 19, ...: all commands up to there."""
    applied = Applied(RealRuntime(), 1)
    life = applied.begin_life(0)
    due = {}
    for index in range(1, 20):
        applied.take(0, life, command(index, index))
        image = applied.snapshot_due(0, life, index)
        if image is not None:
            due[index] = read_snapshot(image)
    assert due == {at: (at, list(range(1, at + 1))) for at in (9, 19)}
