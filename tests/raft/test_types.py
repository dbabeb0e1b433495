"""The nouns: what is written to disks and sent to others keeps its meaning."""

import pytest

from oarlock.raft.types import NO_DISK, Configuration, EntryKind, HardState

JOINT = Configuration(
    voters=frozenset({1, 2}),
    voters_outgoing=frozenset({2, 3}),
    learners=frozenset({4}),
    disks=((1, 100), (2, NO_DISK)),
)


def test_kinds_of_entries_keep_their_numbers() -> None:
    """L-2, NO-1, MC-1: they are in every log that was ever written."""
    assert {kind.name: kind.value for kind in EntryKind} == {"NOOP": 0, "COMMAND": 1, "CONFIGURATION": 2}


def test_a_new_server_has_no_term_and_no_vote() -> None:
    """P-1: Figure 2's initial state."""
    assert (HardState().current_term, HardState().voted_for) == (0, None)


def test_who_votes_and_who_is_told() -> None:
    """MC-2, MC-9: while joint both halves vote; learners receive the log and do not vote."""
    assert JOINT.is_joint
    assert JOINT.all_voters == {1, 2, 3}
    assert JOINT.members == {1, 2, 3, 4}
    assert not Configuration(voters=frozenset({1})).is_joint


@pytest.mark.parametrize(
    ("server_id", "disk_id", "counts"),
    [(1, 100, True), (1, 101, False), (1, 0, False), (2, 200, False), (3, 300, True), (3, 0, True)],
)
def test_whose_word_counts(server_id: int, disk_id: int, counts: bool) -> None:
    """NS-1: from the disk that is named, from none that is dismissed, from any where none is named."""
    assert JOINT.counts(server_id, disk_id) is counts


def test_disks_are_named_for_voters_alone() -> None:
    """NS-2, NS-3: a new name replaces an old one, in the order of the servers; who has no vote has none."""
    assert JOINT.with_disks({2: 201, 3: 300, 4: 400}).disks == ((1, 100), (2, 201), (3, 300))
    assert JOINT.with_disks({}) == JOINT
    assert JOINT.disk_of(2) == NO_DISK
    assert JOINT.disk_of(3) is None
