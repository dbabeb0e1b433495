"""KV.Put and KV.DeleteRange, option by option."""

import pytest
from tests.support.pair import ALL_KEYS, Pair, delete, get, put

pytestmark = [pytest.mark.differential, pytest.mark.asyncio(loop_scope="package")]


async def test_a_key_is_needed(pair: Pair) -> None:
    """Neither takes an empty key."""
    await pair.play(put(b""), put(b"", b"x"), delete(b""), delete(b"", b"z"))


async def test_prev_kv(pair: Pair) -> None:
    """The pair before the change; none where there was none."""
    await pair.play(
        put(b"a", b"1", prev_kv=True),
        put(b"a", b"2", prev_kv=True),
        put(b"a", b"", prev_kv=True),
        put(b"a", b"3", prev_kv=True),
        put(b"b", b"4"),
        delete(b"a", b"c", prev_kv=True),
        delete(b"a", b"c", prev_kv=True),
        put(b"a", b"5", prev_kv=True),
    )


async def test_ignore_value_and_ignore_lease(pair: Pair) -> None:
    """Both need the key to exist, and exclude the field they ignore."""
    await pair.play(
        put(b"a", b"1", ignore_value=True),
        put(b"a", b"1", lease=7, ignore_lease=True),
        put(b"a", ignore_value=True),
        put(b"a", b"x", ignore_lease=True),
        put(b"a", b"1"),
        put(b"a", ignore_value=True, prev_kv=True),
        get(b"a"),
        put(b"a", b"2", ignore_lease=True),
        put(b"a", ignore_value=True, ignore_lease=True),
        get(b"a"),
        put(b"", ignore_value=True),
    )


async def test_an_unknown_lease_is_refused(pair: Pair) -> None:
    """A put under a lease that does not exist has no effect."""
    await pair.play(put(b"a", b"1", lease=12345), put(b"a", b"1", lease=-5), get(b"a"))
    await pair.play(put(b"a", lease=12345, ignore_value=True), put(b"a"), put(b"a", lease=12345, ignore_value=True))


async def test_delete_ranges(pair: Pair) -> None:
    """One key, from a key on, half-open ranges, and ends at or before the key."""
    for key, end in ((b"b", b""), (b"b", b"\0"), (b"b", b"d"), (b"b", b"b"), (b"c", b"a"), (b"\0", b"\0")):
        await pair.play(put(b"a"), put(b"b"), put(b"c"), put(b"d"))
        await pair.same(delete(key, end, prev_kv=key == b"b"))
        await pair.same(get(**ALL_KEYS))


async def test_keys_and_values_are_bytes(pair: Pair) -> None:
    """Zero bytes, non-UTF-8 and large values come back as they were."""
    for key, value in ((b"\0", b"\0"), (b"\xff" * 200, b"\xfe" * 70_000), (b"a\0b", b""), (b"k" * 3000, b"v" * 200)):
        await pair.play(put(key, value), get(key), get(key, b"\0"))
    await pair.same(get(**ALL_KEYS))
