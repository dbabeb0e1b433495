"""Range: the forms of an interval, old revisions, limits, orders, filters."""

import pytest
from tests.mvcc.stores import delete, put, write

from oarlock.mvcc.errors import CompactedError, FutureRevisionError
from oarlock.mvcc.keyvalue import KeyValue, decode_key_value
from oarlock.mvcc.ranges import RangeOptions, RangeResult, SortOrder, SortTarget
from oarlock.mvcc.store import Store

ALL = (b"\0", b"\0")


def _keys(result: RangeResult) -> list[bytes]:
    return [decode_key_value(data).key for data in result.kvs]


@pytest.fixture
def filled(store: Store) -> Store:
    """Revisions 2 to 5 put a, b, c, d; 6 rewrites a; 7 deletes c; 8 rewrites b and adds e."""
    for key in (b"a", b"b", b"c", b"d"):
        put(store, key, b"1" + key)
    put(store, b"a", b"2a")
    delete(store, b"c")
    write(store, [(b"b", b"3b"), (b"e", b"0e", 7)])
    return store


def test_single_key(filled: Store) -> None:
    """Without a range_end only the key itself is read, with all it carries."""
    result = filled.range(b"a")
    assert [decode_key_value(data) for data in result.kvs] == [KeyValue(b"a", 2, 6, 2, b"2a", 0)]
    assert (result.count, result.more, result.revision) == (1, False, 8)
    assert filled.get(b"a") == result.kvs[0]
    assert filled.get_key_value(b"e") == KeyValue(b"e", 8, 8, 1, b"0e", 7)
    assert filled.range(b"c").kvs == []
    assert filled.get(b"c") is None
    assert filled.range(b"none").count == 0


@pytest.mark.parametrize(
    ("key", "range_end", "expected"),
    [
        (b"a", b"d", [b"a", b"b"]),
        (b"b", b"\0", [b"b", b"d", b"e"]),
        (b"\0", b"\0", [b"a", b"b", b"d", b"e"]),
        (b"b", b"b", []),
        (b"d", b"b", []),
        (b"aa", b"e\0", [b"b", b"d", b"e"]),
    ],
)
def test_intervals(filled: Store, key: bytes, range_end: bytes, expected: list[bytes]) -> None:
    r"""range_end is exclusive, \0 means every key from the first on, and an end not after the key means nothing."""
    assert _keys(filled.range(key, range_end)) == expected
    assert filled.range(key, range_end, RangeOptions(count_only=True)).count == len(expected)
    assert _keys(filled.range(key, range_end, RangeOptions(revision=8))) == expected


@pytest.mark.parametrize(
    ("revision", "expected"),
    [
        (1, []),
        (2, [b"1a"]),
        (5, [b"1a", b"1b", b"1c", b"1d"]),
        (6, [b"2a", b"1b", b"1c", b"1d"]),
        (7, [b"2a", b"1b", b"1d"]),
        (8, [b"2a", b"3b", b"1d", b"0e"]),
        (0, [b"2a", b"3b", b"1d", b"0e"]),
        (-5, [b"2a", b"3b", b"1d", b"0e"]),
    ],
)
def test_old_revisions(filled: Store, revision: int, expected: list[bytes]) -> None:
    """A read at a revision sees what was there then; its header shows the current revision all the same."""
    result = filled.range(*ALL, RangeOptions(revision=revision))
    assert [decode_key_value(data).value for data in result.kvs] == expected
    assert result.revision == 8
    single = filled.range(b"b", b"", RangeOptions(revision=revision))
    assert [decode_key_value(data).value for data in single.kvs] == [value for value in expected if value[1:] == b"b"]


def test_revision_out_of_bounds(filled: Store) -> None:
    """A future revision and a compacted one are refused, the compact revision itself is not."""
    with pytest.raises(FutureRevisionError, match="mvcc: required revision is a future revision"):
        filled.range(b"a", b"", RangeOptions(revision=9))
    filled.compact(6)
    with pytest.raises(CompactedError, match="mvcc: required revision has been compacted") as raised:
        filled.range(b"a", b"", RangeOptions(revision=5))
    assert raised.value.compact_revision == 6
    assert _keys(filled.range(*ALL, RangeOptions(revision=6))) == [b"a", b"b", b"c", b"d"]


def test_limit_and_more(filled: Store) -> None:
    """`more` tells that the limit cut something off; `count` is of the whole range."""
    cut = filled.range(*ALL, RangeOptions(limit=2))
    assert (_keys(cut), cut.more, cut.count) == ([b"a", b"b"], True, 4)
    exact = filled.range(*ALL, RangeOptions(limit=4))
    assert (len(exact.kvs), exact.more, exact.count) == (4, False, 4)
    old = filled.range(*ALL, RangeOptions(limit=3, revision=5))
    assert (_keys(old), old.more, old.count) == ([b"a", b"b", b"c"], True, 4)


def test_filters_leave_the_count_alone(filled: Store) -> None:
    """Filters by revision act on the results, before the limit, and not on `count`."""
    result = filled.range(*ALL, RangeOptions(min_mod_revision=6))
    assert (_keys(result), result.count) == ([b"a", b"b", b"e"], 4)
    assert _keys(filled.range(*ALL, RangeOptions(max_mod_revision=6))) == [b"a", b"d"]
    assert _keys(filled.range(*ALL, RangeOptions(min_create_revision=3, max_create_revision=5))) == [b"b", b"d"]
    limited = filled.range(*ALL, RangeOptions(min_mod_revision=8, limit=1))
    assert (_keys(limited), limited.more) == ([b"b"], True)


@pytest.mark.parametrize(
    ("target", "ascending"),
    [
        (SortTarget.KEY, [b"a", b"b", b"d", b"e"]),
        (SortTarget.VERSION, [b"d", b"e", b"a", b"b"]),
        (SortTarget.CREATE, [b"a", b"b", b"d", b"e"]),
        (SortTarget.MOD, [b"d", b"a", b"b", b"e"]),
        (SortTarget.VALUE, [b"e", b"d", b"a", b"b"]),
    ],
)
def test_orders(filled: Store, target: SortTarget, ascending: list[bytes]) -> None:
    """Every target sorts both ways; equal ones keep the order of their keys."""
    up = filled.range(*ALL, RangeOptions(sort_target=target, sort_order=SortOrder.ASCEND))
    assert _keys(up) == ascending
    down = filled.range(*ALL, RangeOptions(sort_target=target, sort_order=SortOrder.DESCEND, limit=2))
    if target in (SortTarget.KEY, SortTarget.CREATE, SortTarget.VALUE):
        assert _keys(down) == ascending[:1:-1]
    assert down.more
    unordered = filled.range(*ALL, RangeOptions(sort_target=target))
    assert _keys(unordered) == ascending


def test_target_without_order_sorts_only_what_the_limit_lets_in(filled: Store) -> None:
    """As etcd does: without an order the limit is applied to the keys first, with one more for `more`."""
    result = filled.range(*ALL, RangeOptions(sort_target=SortTarget.VALUE, limit=1))
    assert (_keys(result), result.more) == ([b"a"], True)
    ordered = filled.range(*ALL, RangeOptions(sort_target=SortTarget.VALUE, sort_order=SortOrder.ASCEND, limit=1))
    assert _keys(ordered) == [b"e"]


def test_unknown_order_is_ignored(filled: Store) -> None:
    """An enumerator of a later release changes nothing."""
    assert _keys(filled.range(*ALL, RangeOptions(sort_order=9, sort_target=17))) == [b"a", b"b", b"d", b"e"]


def test_keys_only_and_count_only(filled: Store) -> None:
    """keys_only clears the value and nothing else; count_only returns no keys at all."""
    result = filled.range(b"e", b"", RangeOptions(keys_only=True))
    assert [decode_key_value(data) for data in result.kvs] == [KeyValue(b"e", 8, 8, 1, b"", 7)]
    counted = filled.range(*ALL, RangeOptions(count_only=True, limit=1))
    assert (counted.kvs, counted.count, counted.more) == ([], 4, False)
    assert filled.range(*ALL, RangeOptions(count_only=True, revision=7)).count == 3
    assert filled.range(b"a", b"", RangeOptions(count_only=True)).count == 1


def test_reads_span_buffer_commit_and_database(store: Store) -> None:
    """A range is whole while part of it is committed, part being committed and part not yet."""
    put(store, b"a")
    store.commit()
    put(store, b"b")
    commit = store.begin_commit()
    assert commit is not None
    put(store, b"c")
    assert _keys(store.range(*ALL)) == [b"a", b"b", b"c"]
    commit.run()
    assert _keys(store.range(*ALL)) == [b"a", b"b", b"c"]
    commit.finish()
    assert _keys(store.range(*ALL)) == [b"a", b"b", b"c"]
