"""Figure 2, AppendEntries RPC, the receiver: AE-1 to AE-5 in order, each by its whole reply and state."""

import pytest
from tests.support.raft_server import append_entries, log_of, mismatch, server, success

FOLLOWING = {"leader_id": 2}


def test_an_older_term_is_refused() -> None:
    """AE-1, G7, CQ-3: an older term is answered with false and the newer term; nothing of the request is used."""
    follower = server(term=3, log=[1, 1])
    before = follower.facts()
    assert follower.step(append_entries(2, (2, 1), [2], commit=2)) == [mismatch(3, 2, (1, 1))]
    assert follower.changes(before) == {}
    assert {"AE-1", "CQ-3"} <= follower.rules()
    assert not {"AE-4", "AE-5", "F-1"} & follower.rules()


def test_the_current_term_is_not_refused() -> None:
    """AE-1: the own term is not an older one."""
    follower = server(term=3, log=[1, 1])
    before = follower.facts()
    assert follower.step(append_entries(3, (2, 1))) == [success(3, 2)]
    assert follower.changes(before) == FOLLOWING
    assert "AE-1" not in follower.rules()


@pytest.mark.parametrize(
    ("log", "prev", "conflict"),
    [
        ([1, 1], (5, 1), (0, 3)),
        ([1, 1], (3, 1), (0, 3)),
        ([], (1, 1), (0, 1)),
        ([1, 2, 2, 2], (4, 3), (2, 2)),
        ([1, 1, 1], (3, 2), (1, 1)),
    ],
    ids=["past the end", "just past the end", "empty log", "other term", "term from the first entry on"],
)
@pytest.mark.parametrize("terms", [[], [3]], ids=["heartbeat", "entries"])
def test_a_mismatch_is_refused(
    log: list[int], prev: tuple[int, int], conflict: tuple[int, int], terms: list[int]
) -> None:
    """AE-2, BT-1, G5, G8, G9: without prev_log_term at prev_log_index all is refused, heartbeats too, with hints."""
    follower = server(term=3, log=log)
    before = follower.facts()
    assert follower.step(append_entries(3, prev, terms, commit=5)) == [mismatch(3, prev[0], conflict)]
    assert follower.changes(before) == FOLLOWING
    assert {"AE-2", "BT-1"} <= follower.rules()
    assert not {"AE-3", "AE-4", "AE-5"} & follower.rules()


def test_the_hint_does_not_look_below_the_base() -> None:
    """BT-1, G20, B7: the first index of the conflicting term is sought only among the entries held."""
    follower = server(term=3, base=(4, 2), log=[2, 2])
    assert follower.step(append_entries(3, (6, 3))) == [mismatch(3, 6, (2, 5))]


def test_a_conflict_deletes_the_entry_and_all_that_follow() -> None:
    """AE-3, AE-4: the log has a conflicting tail, longer than the request: it goes, and the new entries come."""
    follower = server(term=3, log=[1, 1, 1, 2, 2, 2])
    before = follower.facts()
    assert follower.step(append_entries(3, (2, 1), [1, 3])) == [success(3, 4)]
    assert follower.changes(before) == {"log": [(1, 1), (2, 1), (3, 1), (4, 3)], **FOLLOWING}
    assert [operands for rule, operands in follower.fired if rule == "AE-3"] == [(4, 2, 3)]
    assert follower.disk.entries == [*log_of(1, 1, 1), *log_of(3, base=3)]


def test_without_a_conflict_nothing_is_deleted() -> None:
    """AE-3, G6 (openraft issue 511, willemt/raft issue 37): a delayed request of the past erases nothing."""
    follower = server(term=1, log=[1, 1, 1])
    before = follower.facts()
    for prev, terms, match_index in [((0, 0), [1], 1), ((0, 0), [], 0), ((1, 1), [1], 2), ((2, 1), [], 2)]:
        assert follower.step(append_entries(1, prev, terms)) == [success(1, match_index)]
    assert follower.changes(before) == FOLLOWING
    assert not {"AE-3", "AE-4"} & follower.rules()
    assert follower.disk.entries == log_of(1, 1, 1)


def test_missing_entries_are_appended() -> None:
    """AE-4: of a request that overlaps the log only what is missing is appended; it is on disk when answered."""
    follower = server(term=2, log=[1, 1])
    before = follower.facts()
    assert follower.step(append_entries(2, (1, 1), [1, 2, 2])) == [success(2, 4)]
    assert follower.changes(before) == {"log": [(1, 1), (2, 1), (3, 2), (4, 2)], **FOLLOWING}
    assert [operands for rule, operands in follower.fired if rule == "AE-4"] == [(3,)]
    assert follower.disk.entries == log_of(1, 1, 2, 2)


def test_appending_twice_changes_nothing() -> None:
    """AE-4: a duplicate is answered the same, and appends nothing."""
    follower = server(term=2)
    first = follower.step(append_entries(2, (0, 0), [1, 2]))
    before = follower.facts()
    follower.forget_rules()
    assert follower.step(append_entries(2, (0, 0), [1, 2])) == first == [success(2, 2)]
    assert follower.changes(before) == {}
    assert "AE-4" not in follower.rules()


@pytest.mark.parametrize(
    ("prev", "terms", "leader_commit", "commit_index"),
    [
        ((3, 1), [1], 2, 2),
        ((3, 1), [1], 9, 4),
        ((1, 1), [1], 9, 2),
        ((2, 1), [], 4, 2),
        ((0, 0), [], 4, 0),
    ],
    ids=["leader's is less", "new entry is less", "stale tail", "heartbeat", "heartbeat at the start"],
)
def test_commit_index_follows_the_leader_to_the_last_new_entry(
    prev: tuple[int, int], terms: list[int], leader_commit: int, commit_index: int
) -> None:
    """AE-5, G10 (scylladb issue 9965): min(leader_commit, index of the last entry that this request verified)."""
    follower = server(term=2, log=[1, 1, 1])
    follower.step(append_entries(2, prev, terms, commit=leader_commit))
    assert follower.state.commit_index == commit_index
    assert len(follower.machine) == commit_index
    assert ("AE-5" in follower.rules()) is (commit_index > 0)


def test_commit_index_does_not_fall() -> None:
    """AE-5, V-1: only a leader_commit above commit_index is followed."""
    follower = server(term=1, log=[1, 1, 1], applied=3)
    before = follower.facts()
    follower.step(append_entries(1, (3, 1), commit=1))
    follower.step(append_entries(1, (1, 1), [1], commit=3))
    assert follower.changes(before) == FOLLOWING
    assert "AE-5" not in follower.rules()


@pytest.mark.parametrize(
    ("prev", "terms", "match_index"),
    [((1, 1), [1, 1], 4), ((1, 1), [1, 1, 1, 2], 5), ((0, 0), [], 4), ((3, 1), [1, 2, 2], 6), ((4, 1), [2], 5)],
    ids=["wholly covered", "reaches beyond", "heartbeat", "appends", "at the base"],
)
def test_what_the_base_covers_is_skipped(prev: tuple[int, int], terms: list[int], match_index: int) -> None:
    """AE-2, B9: a request that begins below the log's base agrees with what is committed there, and is not refused."""
    follower = server(term=2, base=(4, 1), log=[2])
    assert follower.step(append_entries(2, prev, terms)) == [success(2, match_index)]
    assert "AE-2" not in follower.rules()
    assert follower.facts()["log"] == [(index, 2) for index in range(5, max(match_index, 5) + 1)]


def test_a_committed_entry_is_never_deleted() -> None:
    """AE-3, SP-5: a request that conflicts below commit_index shows that the cluster is broken: the server stops."""
    follower = server(term=2, log=[1, 1], applied=2)
    with pytest.raises(AssertionError, match="would truncate at 2, committed 2"):
        follower.step(append_entries(2, (1, 1), [2]))
