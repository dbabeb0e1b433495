"""Revisions and headers: what changes the store, and which revision an answer tells."""

import pytest
from tests.support.pair import ALL_KEYS, Pair, delete, get, put, txn

pytestmark = [pytest.mark.differential, pytest.mark.asyncio(loop_scope="package")]


async def test_every_put_takes_a_revision(pair: Pair) -> None:
    """A put of the value that is there already is a new revision and a new version of the key."""
    await pair.play(put(b"a", b"1"), put(b"a", b"1"), put(b"a", b"2"), get(b"a"))


async def test_deleting_nothing_takes_none(pair: Pair) -> None:
    """A delete that finds no key leaves the revision; one that finds some takes one for all of them."""
    await pair.play(
        delete(b"a"), put(b"a"), put(b"b"), delete(b"a", b"c", prev_kv=True), delete(b"a", b"c"), get(b"a", b"c")
    )


async def test_a_tombstone_starts_the_key_anew(pair: Pair) -> None:
    """After a delete create_revision and version begin again."""
    await pair.play(put(b"a"), put(b"a"), get(b"a"), delete(b"a"), put(b"a"), get(b"a"))


async def test_a_transaction_is_one_revision(pair: Pair) -> None:
    """All changes of a transaction have its revision; failed branches and reads take none."""
    await pair.play(
        txn(success=[put(b"a"), put(b"b"), delete(b"c")]),
        get(b"a", b"z"),
        txn(success=[get(b"a")]),
        txn(success=[delete(b"nothing")]),
        txn(success=[delete(b"a"), delete(b"b"), put(b"c")]),
        get(**ALL_KEYS),
    )


async def test_a_range_tells_the_current_revision(pair: Pair) -> None:
    """The header of a read at an old revision has the current one."""
    await pair.play(put(b"a", b"1"), put(b"a", b"2"), put(b"b"))
    for revision in range(pair.base + 1, pair.base + 4):
        await pair.same(get(b"a", b"z", revision=revision))
    await pair.same(get(b"a", revision=pair.base + 4))
    await pair.same(get(b"a", revision=-3))


async def test_headers_inside_a_transaction_have_the_revision_only(pair: Pair) -> None:
    """A range before the first write tells the previous revision, later answers the transaction's."""
    await pair.play(
        put(b"a", b"1"),
        txn(
            success=[
                get(b"a"),
                put(b"b", b"2"),
                get(b"b"),
                delete(b"nothing"),
                delete(b"a", prev_kv=True),
                get(b"a", b"z"),
                txn(success=[get(b"a", b"z"), txn(success=[put(b"c")])]),
            ]
        ),
        txn(success=[delete(b"nothing"), get(b"a", b"z"), txn()]),
        get(b"a", b"z"),
    )
