"""Random sequences of requests: whatever is asked in whatever order, both servers answer alike."""

from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from tests.support.pair import ALL_KEYS, Call, Pair, compact, delete, get, put, txn

from oarlock.etcd.proto.rpc_pb2 import Compare

pytestmark = [pytest.mark.differential, pytest.mark.asyncio(loop_scope="package")]

KEYS = st.sampled_from([b"a", b"ab", b"b", b"b\0", b"c", b"\xff", b"\xff\xff"])
ENDS = st.sampled_from([b"", b"", b"\0", b"a", b"b", b"b\0", b"c", b"\xff", b"\xff\xff\xff"])
VALUES = st.sampled_from([b"", b"1", b"2", b"\0\xff", b"3" * 200])
REVISIONS = st.integers(-1, 25)
"""Counted from the revision at which the sequence began; -1 means none was asked for."""


class Ask:
    """A request whose revisions are filled in when it is made, as they depend on where both stores stand."""

    def __init__(self, make: Any, **revisions: int) -> None:
        self._make = make
        self._revisions = revisions

    def __call__(self, base: int) -> Call:
        return self._make({name: base + number if number >= 0 else 0 for name, number in self._revisions.items()})

    def __repr__(self) -> str:
        return str(self(0).request).replace("\n", " ")


@st.composite
def gets(draw: st.DrawFn) -> Ask:
    """Ranges with any options; only by key may they sort, since equals have no defined order."""
    key, end = draw(KEYS), draw(ENDS)
    options = draw(
        st.fixed_dictionaries(
            {},
            optional={
                "limit": st.integers(-1, 4),
                "sort_order": st.sampled_from([0, 1, 2, 3]),
                "keys_only": st.booleans(),
                "count_only": st.booleans(),
                "serializable": st.booleans(),
            },
        )
    )
    names = ["min_mod_revision", "max_mod_revision", "min_create_revision", "max_create_revision"]
    revisions = {name: draw(REVISIONS) for name in draw(st.sets(st.sampled_from(names), max_size=2))}
    if draw(st.booleans()):
        revisions["revision"] = draw(REVISIONS)
    return Ask(lambda at: get(key, end, **options, **at), **revisions)


@st.composite
def puts(draw: st.DrawFn) -> Ask:
    """Puts with any options, sensible or not."""
    key, value = draw(KEYS), draw(VALUES)
    options = draw(
        st.fixed_dictionaries(
            {},
            optional={
                "prev_kv": st.booleans(),
                "ignore_value": st.booleans(),
                "ignore_lease": st.booleans(),
                "lease": st.sampled_from([0, 0, 0, 99]),
            },
        )
    )
    return Ask(lambda _: put(key, value, **options))


@st.composite
def deletes(draw: st.DrawFn) -> Ask:
    """Deletes of one key or a range."""
    key, end, prev_kv = draw(KEYS), draw(ENDS), draw(st.booleans())
    return Ask(lambda _: delete(key, end, prev_kv=prev_kv))


@st.composite
def compares(draw: st.DrawFn) -> Any:
    """Compares of any target, also of ranges."""
    key, end = draw(KEYS), draw(st.sampled_from([b"", b"", b"c", b"\0"]))
    target, result = draw(st.integers(0, 4)), draw(st.integers(0, 3))
    union, operand = draw(
        st.sampled_from([("value", b"1"), ("value", b""), ("version", 1), ("version", 2), ("lease", 0)])
        | st.tuples(st.sampled_from(["create_revision", "mod_revision"]), st.integers(0, 25))
    )

    def make(base: int) -> Compare:
        number = base + operand if union.endswith("revision") else operand
        return Compare(key=key, range_end=end, target=target, result=result, **{union: number})  # type: ignore[arg-type]

    return make


class Txn:
    """A transaction made of other requests."""

    def __init__(self, compare: list[Any], success: list[Any], failure: list[Any]) -> None:
        self._parts = compare, success, failure

    def __call__(self, base: int) -> Call:
        compare, success, failure = self._parts
        return txn([make(base) for make in compare], [ask(base) for ask in success], [ask(base) for ask in failure])

    def __repr__(self) -> str:
        return str(self(0).request).replace("\n", " ")


def txns(depth: int = 2) -> st.SearchStrategy[Any]:
    """Transactions, nested ones among them."""
    operations = gets() | puts() | deletes()
    if depth:
        operations |= txns(depth - 1)
    branch = st.lists(operations, max_size=4)
    return st.builds(Txn, st.lists(compares(), max_size=2), branch, branch)


compactions = st.builds(
    lambda revision: Ask(lambda at: compact(at["revision"]), revision=revision), st.integers(-1, 12)
)
requests = st.one_of(puts(), puts(), deletes(), gets(), txns(), txns(), compactions)


def crashes_etcd(call: Call) -> bool:
    """Whether the request ends a real etcd: a put that ignores fields of a key the same transaction deletes first.

    etcd checks that the key exists before the transaction, deletes it, and then panics on the put. Ours takes the
    fields as empty.
    """
    if call.method != "KV.Txn":
        return False
    text = str(call.request)
    return "request_delete_range" in text and "ignore_" in text


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate, Phase.shrink],
)
@given(asks=st.lists(requests, min_size=1, max_size=14))
def check(runner: Any, asks: list[Any]) -> None:
    """Play the sequence on both."""
    runner(asks)


async def test_random_sequences(pair: Pair) -> None:
    """Every answer is the same, and in the end so is every key of every readable revision."""
    import asyncio

    loop = asyncio.get_running_loop()

    async def play(asks: list[Any]) -> None:
        await pair.reset()
        for ask in asks:
            call = ask(pair.base)
            if not crashes_etcd(call):
                await pair.same(call)
        for revision in range(pair.base, pair.base + len(asks) + 2):
            await pair.same(get(**ALL_KEYS, revision=revision))

    def run(asks: list[Any]) -> None:
        asyncio.run_coroutine_threadsafe(play(asks), loop).result(60)

    await asyncio.to_thread(check, run)
