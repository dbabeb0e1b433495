"""A persister replaces state and snapshot together, and keeps bytes alone."""

from typing import Any

import pytest

from oarlock.lab.persister import Persister


def test_save_replaces_both() -> None:
    """The last pair saved is what is read; None erases the snapshot."""
    persister = Persister()
    assert (persister.read_raft_state(), persister.read_snapshot()) == (b"", b"")
    persister.save(b"state", b"snapshot")
    persister.save(b"newer", None)
    assert (persister.read_raft_state(), persister.read_snapshot()) == (b"newer", b"")
    assert (persister.raft_state_size(), persister.snapshot_size()) == (5, 0)


def test_a_copy_is_out_of_reach() -> None:
    """What the old instance saves later does not reach a copy."""
    persister = Persister(b"state", b"snapshot")
    twin = persister.copy()
    persister.save(b"newer", None)
    assert (twin.read_raft_state(), twin.read_snapshot()) == (b"state", b"snapshot")


@pytest.mark.parametrize(("state", "snapshot"), [("text", b""), (b"", [1])])
def test_only_bytes_are_saved(state: Any, snapshot: Any) -> None:
    """Anything else is refused by name, and what was saved before stays."""
    persister = Persister(b"before", b"")
    with pytest.raises(TypeError, match="a persister saves bytes"):
        persister.save(state, snapshot)
    assert persister.read_raft_state() == b"before"


def test_what_is_saved_is_copied() -> None:
    """A bytearray that changes after it was saved does not change what is saved."""
    buffer = bytearray(b"abc")
    persister = Persister()
    persister.save(buffer, None)
    buffer[0] = 0
    assert persister.read_raft_state() == b"abc"
