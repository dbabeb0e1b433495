"""KV.Txn: compares, branches, nesting, refusals."""

import itertools
from typing import Any

import pytest
from tests.support.pair import ALL_KEYS, Call, Pair, compact, delete, get, put, txn

from oarlock.etcd.proto.rpc_pb2 import Compare, RequestOp, TxnRequest

pytestmark = [pytest.mark.differential, pytest.mark.asyncio(loop_scope="package")]

TARGETS = {"version": 0, "create_revision": 1, "mod_revision": 2, "value": 3, "lease": 4}


def compare(key: bytes, target: str, result: int, operand: Any = None, **more: Any) -> Compare:
    """A compare; without an operand its union is unset."""
    union = {} if operand is None else {target: operand}
    return Compare(key=key, target=TARGETS[target], result=result, **union, **more)


async def test_every_compare(pair: Pair) -> None:
    """All targets and results, against a lower, equal, higher and absent operand."""
    await pair.play(put(b"a", b"m"), put(b"a", b"n"), put(b"b", b"n"))
    operands: dict[str, list[Any]] = {
        "version": [None, 0, 1, 2, 3, -1],
        "create_revision": [None, pair.base, pair.base + 1, pair.base + 2],
        "mod_revision": [None, pair.base + 1, pair.base + 2, pair.base + 3],
        "value": [None, b"", b"m", b"n", b"nn", b"o"],
        "lease": [None, 0, 1, -1],
    }
    for target, values in operands.items():
        for result, operand in itertools.product(range(4), values):
            await pair.same(txn([compare(b"a", target, result, operand)], [get(b"a")], [get(b"b")]))


async def test_compares_of_a_missing_key(pair: Pair) -> None:
    """Its numbers are zero, and a compare of its value never holds."""
    for target, result in itertools.product(TARGETS, range(4)):
        operand: Any = b"" if target == "value" else 0
        await pair.same(txn([compare(b"nothing", target, result, operand)]))
        await pair.same(txn([compare(b"nothing", target, result)]))


async def test_compares_of_a_range(pair: Pair) -> None:
    """They must hold for every key; an empty range is as a missing key."""
    await pair.play(put(b"a", b"1"), put(b"b", b"1"), put(b"c", b"2"), put(b"c", b"2"))
    for end in (b"c", b"d", b"\0", b"a"):
        for result in range(4):
            await pair.same(txn([compare(b"a", "value", result, b"1", range_end=end)]))
            await pair.same(txn([compare(b"a", "version", result, 1, range_end=end)]))
            await pair.same(txn([compare(b"a", "create_revision", result, 0, range_end=end)]))
            await pair.same(txn([compare(b"x", "mod_revision", result, 0, range_end=end)]))


async def test_unknown_compare_enumerations(pair: Pair) -> None:
    """A target or result etcd does not know."""
    await pair.same(put(b"a", b"1"))
    await pair.play(
        txn([Compare(key=b"a", target=9, result=0)]),
        txn([Compare(key=b"a", target=9, result=3)]),
        txn([Compare(key=b"a", target=0, result=9, version=4)]),
        txn([Compare(key=b"a", target=3, result=0, version=4)]),
        txn([Compare(key=b"a", target=0, result=0, value=b"4")]),
    )


async def test_all_compares_must_hold(pair: Pair) -> None:
    """Several compares are a conjunction; none at all holds."""
    await pair.same(put(b"a", b"1"))
    right, wrong = compare(b"a", "version", 0, 1), compare(b"a", "version", 0, 2)
    for compares in ([], [right], [right, right], [right, wrong], [wrong, right]):
        await pair.same(txn(compares, [put(b"s")], [put(b"f")]))


async def test_operations_apply_in_order(pair: Pair) -> None:
    """Later operations see what earlier ones did."""
    await pair.play(
        put(b"a", b"1"),
        txn(
            success=[
                put(b"b", b"2", prev_kv=True),
                get(b"a", b"z"),
                delete(b"a", prev_kv=True),
                get(b"a", b"z", limit=1),
                get(b"a", b"z", sort_order=2, sort_target=4, keys_only=True),
                put(b"c", b"3"),
                get(**ALL_KEYS, count_only=True),
            ]
        ),
        get(**ALL_KEYS),
    )


async def test_a_delete_of_a_pair_put_in_the_same_transaction(pair: Pair) -> None:
    """A delete range that is open at its end is not looked at for overlaps."""
    await pair.play(
        put(b"m"),
        txn(success=[put(b"n", b"1"), delete(b"a", b"\0", prev_kv=True), get(b"a", b"\0")]),
        get(**ALL_KEYS),
        txn(success=[delete(b"a", b"\0"), put(b"n", b"2")]),
        get(**ALL_KEYS),
    )


async def test_nested_compares_look_at_the_state_before(pair: Pair) -> None:
    """The whole tree is decided before anything is written."""
    await pair.play(
        put(b"a", b"1"),
        txn(
            success=[
                put(b"a", b"2"),
                txn([compare(b"a", "value", 0, b"1")], [put(b"b", b"before")], [put(b"b", b"after")]),
                txn([compare(b"b", "version", 1, 0)], [put(b"c", b"seen")], [put(b"c", b"unseen")]),
            ]
        ),
        get(**ALL_KEYS),
        txn(
            [compare(b"a", "version", 0, 9)],
            [put(b"x")],
            [txn([compare(b"a", "version", 0, 2)], [txn(None, [get(b"a"), put(b"y")])], [put(b"z")])],
        ),
        get(**ALL_KEYS),
    )


@pytest.mark.parametrize(
    "failing",
    [
        put(b"missing", ignore_value=True),
        put(b"missing", b"v", ignore_lease=True),
        put(b"a", b"v", lease=4711),
        get(b"a", revision=1 << 40),
        get(b"a", revision=-7),
        get(b"a", revision=-1),
        get(b"a", revision=1),
    ],
    ids=["ignore_value", "ignore_lease", "lease", "future", "negative", "minus one", "compacted"],
)
async def test_a_failing_transaction_changes_nothing(pair: Pair, failing: Call) -> None:
    """What cannot be done is found before anything is written, at any depth of the taken path only."""
    await pair.play(put(b"a", b"1"), put(b"a", b"2"), compact(pair.base + 1))
    impossible = [compare(b"a", "version", 0, 99)]
    await pair.play(
        txn(success=[put(b"b", b"1"), failing]),
        txn(success=[put(b"b", b"1"), txn(None, [failing])]),
        txn(impossible, [failing], [get(b"a")]),
        txn(None, [get(b"a"), txn(impossible, [failing], [put(b"c")])], [failing]),
        get(**ALL_KEYS),
    )


async def test_puts_are_checked_before_ranges(pair: Pair) -> None:
    """With several faults the one of a put is told, wherever it stands."""
    await pair.play(
        txn(success=[get(b"a", revision=1 << 40), put(b"missing", ignore_value=True)]),
        txn(success=[get(b"a", revision=1 << 40), txn(None, [put(b"missing", ignore_lease=True)])]),
        txn(success=[get(b"a", revision=1 << 40), get(b"a", revision=-9)]),
        txn(success=[put(b"missing", lease=12345, ignore_value=True)]),
    )


async def test_ignoring_needs_the_key_before_the_transaction(pair: Pair) -> None:
    """A key put by the same transaction does not count as existing; one deleted by it does."""
    await pair.play(
        txn(success=[txn(None, [put(b"n", b"1")]), put(b"m", ignore_value=True)]),
        get(**ALL_KEYS),
    )


@pytest.mark.parametrize(
    "operations",
    [
        [put(b"a"), put(b"a")],
        [put(b"a"), delete(b"a")],
        [delete(b"a"), put(b"a")],
        [put(b"b"), delete(b"a", b"c")],
        [put(b"c"), delete(b"a", b"c")],
        [put(b"a"), delete(b"a", b"c")],
        [put(b"b"), delete(b"b", b"b")],
        [put(b"b"), delete(b"c", b"a")],
        [delete(b"a"), delete(b"a", b"z"), delete(b"b", b"c")],
        [put(b"a"), txn(None, [put(b"a")])],
        [txn(None, [put(b"a")]), put(b"a")],
        [txn(None, [put(b"a")], [put(b"a")])],
        [txn(None, [put(b"a")], [put(b"a")]), put(b"a")],
        [txn(None, [put(b"a")]), txn(None, [], [put(b"a")])],
        [txn(None, [delete(b"a")]), put(b"a")],
        [put(b"a"), txn(None, [], [delete(b"a")])],
        [delete(b"a", b"c"), txn(None, [put(b"b")])],
        [txn(None, [put(b"b")]), delete(b"a", b"c")],
        [txn(None, [put(b"b")]), txn(None, [delete(b"a", b"c")])],
        [txn(None, [delete(b"a", b"c")]), txn(None, [put(b"b")])],
        [txn(None, [delete(b"a", b"c")], [put(b"b")])],
        [txn(None, [txn(None, [put(b"b")])]), put(b"b")],
        [txn(None, [delete(b"a", b"b"), delete(b"c", b"d")]), put(b"b")],
        [delete(b"a", b"b"), delete(b"b", b"d"), put(b"c")],
        [put(b"a"), get(b"a"), put(b"b")],
        [put(b"\0"), delete(b"\0", b"\0")],
    ],
    ids=str,
)
async def test_overlaps(pair: Pair, operations: list[Call]) -> None:
    """Which puts and deletes may stand together, in either branch."""
    await pair.play(put(b"a", b"1"), put(b"b", b"2"))
    impossible = [compare(b"a", "version", 0, 99)]
    await pair.play(
        txn(None, operations),
        txn(impossible, [], operations),
        txn(impossible, operations, operations),
        get(**ALL_KEYS),
    )


async def test_both_branches_may_put_the_same_key(pair: Pair) -> None:
    """Only one of them is taken."""
    await pair.play(txn(None, [put(b"a", b"1")], [put(b"a", b"2"), put(b"b")]), get(**ALL_KEYS))


async def test_the_limit_on_operations(pair: Pair) -> None:
    """128 of each kind; what one level uses is missing below it."""
    gets, puts = [get(b"a")] * 129, [put(b"k%d" % number) for number in range(129)]
    compares = [compare(b"a", "version", 0, 0)] * 129
    await pair.play(
        txn(compares[:128], puts[:128], gets[:128]),
        txn(compares),
        txn(None, puts),
        txn(None, [], gets),
        txn(None, [txn(None, gets[:127])]),
        txn(None, [txn(None, gets[:128])]),
        txn(None, [get(b"a"), txn(None, gets[:126])]),
        txn(None, [get(b"a"), txn(None, gets[:127])]),
        txn(compares[:100], [txn(None, gets[:29])]),
        txn(compares[:100], [txn(None, gets[:28])]),
        txn(None, [txn(None, [txn(None, gets[:126])])]),
        txn(None, [txn(None, [txn(None, gets[:127])])]),
    )


async def test_malformed_transactions(pair: Pair) -> None:
    """Empty keys and empty operations are refused at any depth, in branches not taken as well."""
    empty = Call("KV.Txn", TxnRequest(success=[RequestOp()]))
    nested = Call("KV.Txn", TxnRequest(success=[RequestOp(request_txn=empty.request)]))
    await pair.play(
        empty,
        nested,
        txn([compare(b"", "version", 0, 0)]),
        txn(None, [get(b"")]),
        txn(None, [put(b"")]),
        txn(None, [], [delete(b"")]),
        txn(None, [txn(None, [], [put(b"")])]),
        txn(None, [put(b"a", b"v", ignore_value=True)]),
        txn(None, [put(b"a", lease=3, ignore_lease=True)]),
        txn([compare(b"", "version", 0, 0)], [put(b"a"), put(b"a")]),
        get(**ALL_KEYS),
    )


async def test_empty_transactions(pair: Pair) -> None:
    """Nothing to do succeeds, and takes no revision."""
    await pair.play(
        txn(),
        txn([compare(b"a", "version", 0, 0)]),
        txn([compare(b"a", "version", 0, 1)]),
        txn(None, [txn()]),
        txn(None, [txn(None, [txn()]), get(b"a")]),
    )
