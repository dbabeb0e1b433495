"""KV.Range, option by option."""

import itertools

import pytest
from tests.support.pair import ALL_KEYS, Pair, compact, delete, get, put

from oarlock.etcd.proto.rpc_pb2 import RangeRequest

pytestmark = [pytest.mark.differential, pytest.mark.asyncio(loop_scope="package")]


async def fill(pair: Pair) -> None:
    """Eight keys whose keys, values, versions and revisions all sort differently."""
    for key, value in (
        (b"a", b"5"), (b"b", b"3"), (b"c", b"8"), (b"d", b"1"), (b"b", b"2"), (b"d", b""), (b"d", b"7"),
        (b"a", b"6"), (b"e\xff", b"\x00"), (b"e\xff\xff", b"\xff"), (b"f", b"0"), (b"g", b"9" * 300),
    ):  # fmt: skip
        await pair.same(put(key, value))


async def test_an_empty_key_is_refused(pair: Pair) -> None:
    """Range needs a key, whatever else is given."""
    await pair.play(get(b""), get(b"", b"z"), get(b"", serializable=True, count_only=True))


@pytest.mark.parametrize("range_end", [b"", b"\0", b"a", b"b", b"c", b"e\xff", b"f", b"zz", b"\0\0", b"\xff"], ids=repr)
async def test_range_ends(pair: Pair, range_end: bytes) -> None:
    """One key, everything from a key, half-open ranges, and ends at or before the key."""
    await fill(pair)
    for key in (b"\0", b"a", b"b", b"bb", b"e\xff", b"zz"):
        await pair.same(get(key, range_end))


@pytest.mark.parametrize("limit", [-1, 0, 1, 2, 6, 7, 8, 9, 1 << 40])
async def test_limit_more_and_count(pair: Pair, limit: int) -> None:
    """`count` is of all keys in the range; `more` says whether the limit cut something off."""
    await fill(pair)
    await pair.play(
        get(**ALL_KEYS, limit=limit),
        get(b"b", b"f", limit=limit),
        get(b"a", limit=limit),
        get(**ALL_KEYS, limit=limit, revision=pair.base + 4),
        get(**ALL_KEYS, limit=limit, count_only=True),
        get(**ALL_KEYS, limit=limit, keys_only=True),
    )


async def test_every_sort(pair: Pair) -> None:
    """All targets in all orders, also with a limit; a target without an order sorts ascending.

    No two keys are equal in any target: how etcd orders equals depends on its sorting routine, which is not stable.
    """
    await fill(pair)
    for key, times in (
        (b"a", 1),
        (b"b", 5),
        (b"c", 3),
        (b"d", 6),
        (b"e\xff", 8),
        (b"e\xff\xff", 5),
        (b"g", 1),
        (b"f", 9),
    ):
        for _ in range(times):
            await pair.same(put(key, ignore_value=True))
    for order, target, limit in itertools.product(
        RangeRequest.SortOrder.values(), RangeRequest.SortTarget.values(), (0, 3)
    ):
        await pair.same(get(**ALL_KEYS, sort_order=order, sort_target=target, limit=limit))
        await pair.same(get(b"a", b"e", sort_order=order, sort_target=target, limit=limit, keys_only=True))


async def test_unknown_sort_enumerations_are_ignored(pair: Pair) -> None:
    """Numbers that etcd 3.5 does not know, it takes."""
    await fill(pair)
    await pair.play(
        get(**ALL_KEYS, sort_order=7),
        get(**ALL_KEYS, sort_order=9, sort_target=2),
        get(**ALL_KEYS, sort_order=7, limit=2),
    )


async def test_revision_filters(pair: Pair) -> None:
    """Filters come before the limit and do not change `count`."""
    await fill(pair)
    for low, high in itertools.product((0, 1, 3, 6, 100), repeat=2):
        for limit in (0, 2):
            base = {"limit": limit, **ALL_KEYS}
            await pair.same(
                get(
                    **base,
                    min_mod_revision=low and pair.base + low,
                    max_mod_revision=high and pair.base + high,
                )
            )
            await pair.same(
                get(
                    **base,
                    min_create_revision=low and pair.base + low,
                    max_create_revision=high and pair.base + high,
                    count_only=limit == 2,
                )
            )
    await pair.same(get(**ALL_KEYS, min_mod_revision=-5, max_create_revision=pair.base + 3))
    await pair.same(get(**ALL_KEYS, max_mod_revision=-5))


async def test_keys_only_keeps_the_metadata(pair: Pair) -> None:
    """Only the value is left out, also when the values are what is sorted by."""
    await fill(pair)
    await pair.play(
        get(**ALL_KEYS, keys_only=True),
        get(b"g", keys_only=True),
        get(**ALL_KEYS, keys_only=True, sort_order=2, sort_target=4),
        get(**ALL_KEYS, keys_only=True, count_only=True),
    )


async def test_old_revisions(pair: Pair) -> None:
    """Every revision shows what was there then; later ones are in the future, compacted ones gone."""
    await fill(pair)
    await pair.same(delete(b"b", b"d"))
    last = pair.base + 13
    for revision in range(pair.base, last + 2):
        await pair.same(get(**ALL_KEYS, revision=revision))
        await pair.same(get(b"b", revision=revision))
    await pair.same(compact(pair.base + 5))
    for revision in (1, pair.base + 4, pair.base + 5, pair.base + 6, last, last + 1, -1):
        for serializable in (False, True):
            await pair.same(get(**ALL_KEYS, revision=revision, serializable=serializable))
            await pair.same(get(b"b", revision=revision, count_only=True, serializable=serializable))


async def test_serializable_reads(pair: Pair) -> None:
    """Reads of this server's own state have the same answers when nothing else goes on."""
    await fill(pair)
    await pair.play(
        get(b"a", serializable=True),
        get(b"nothing", serializable=True),
        get(**ALL_KEYS, serializable=True, limit=3),
        get(b"a", serializable=True, keys_only=True),
        get(b"a", serializable=True, count_only=True),
    )
