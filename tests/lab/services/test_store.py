"""A group's state: what moves it agrees to, and what it refuses."""

import threading

import msgspec
import pytest

from oarlock.lab.services.interface import Error
from oarlock.lab.services.kv import Get, GetReply, Put
from oarlock.lab.services.shard_config import ShardConfig, shard_of
from oarlock.lab.services.shard_store import Adopt, Delete, Freeze, Install, MoveReply, Request, ShardStore

SHARDS = 4
KEY = "k"
SHARD = shard_of(KEY, SHARDS)


def _ask(store: ShardStore, asked: Request) -> MoveReply:
    return msgspec.msgpack.decode(store.do_op(msgspec.msgpack.encode(asked)), type=MoveReply)


def _get(store: ShardStore) -> GetReply:
    return msgspec.msgpack.decode(store.do_op(msgspec.msgpack.encode(Get(KEY))), type=GetReply)


@pytest.fixture
def store() -> ShardStore:
    made = ShardStore(1, SHARDS, threading.Lock())
    assert _ask(made, Install(SHARD, 1, {KEY: ("v", 3)})).error is Error.OK
    return made


def test_a_frozen_shard_is_served_no_more_and_handed_over(store: ShardStore) -> None:
    """From freezing on neither gets nor puts are answered, and what the shard holds is given, again and again."""
    assert _get(store) == GetReply(error=Error.OK, value="v", version=3)
    for _ in range(2):
        assert _ask(store, Freeze(SHARD, 2)) == MoveReply(error=Error.OK, held={KEY: ("v", 3)})
        assert _get(store).error is Error.WRONG_GROUP
    put = store.do_op(msgspec.msgpack.encode(Put(KEY, "w", 3)))
    assert msgspec.msgpack.decode(put)["error"] == Error.WRONG_GROUP


def test_moves_of_old_configurations_are_refused(store: ShardStore) -> None:
    """Whoever moves shards by a configuration that is history changes nothing."""
    assert _ask(store, Freeze(SHARD, 5)).error is Error.OK
    assert _ask(store, Delete(SHARD, 5)).error is Error.OK
    for late in (Install(SHARD, 4, {KEY: ("old", 1)}), Freeze(SHARD, 4), Delete(SHARD, 4)):
        assert _ask(store, late).error is Error.STALE
    assert _get(store).error is Error.WRONG_GROUP


def test_a_repeated_install_keeps_what_was_written_since(store: ShardStore) -> None:
    """A second install of the same number does not take the shard back to what it was."""
    store.do_op(msgspec.msgpack.encode(Put(KEY, "w", 3)))
    assert _ask(store, Install(SHARD, 1, {KEY: ("v", 3)})).error is Error.OK
    assert _get(store) == GetReply(error=Error.OK, value="w", version=4)


def test_a_shard_that_is_served_is_not_deleted(store: ShardStore) -> None:
    """Only a frozen shard is forgotten: its data are elsewhere."""
    assert _ask(store, Delete(SHARD, 1)).error is Error.STALE
    assert _get(store).error is Error.OK


def test_a_frozen_and_deleted_shard_is_told_as_gone(store: ShardStore) -> None:
    """Who repeats a whole move learns that it was done, and does not install nothing."""
    assert _ask(store, Freeze(SHARD, 2)).held is not None
    assert _ask(store, Delete(SHARD, 2)).error is Error.OK
    assert _ask(store, Freeze(SHARD, 2)) == MoveReply(error=Error.OK, held=None)


def test_the_next_configuration_waits_for_the_shards_of_this_one() -> None:
    """A group adopts configurations one by one, each only when it has all shards of the one before."""
    store = ShardStore(1, SHARDS, threading.Lock())
    groups = {1: ("a",), 2: ("b",)}
    for num, owner in ((1, 2), (2, 1), (3, 2)):
        store.do_op(msgspec.msgpack.encode(Adopt(ShardConfig(num=num, shards=(owner,) * SHARDS, groups=groups))))
    num, awaited, _ = store.moves()
    assert num == 2
    assert len(awaited) == SHARDS
    assert _ask(store, Freeze(SHARD, 3, adopted=True)).error is Error.STALE


def test_a_snapshot_restores_everything(store: ShardStore) -> None:
    """What is restored refuses and serves as what was saved."""
    other = ShardStore(1, SHARDS, threading.Lock())
    _ask(store, Freeze(SHARD, 7))
    other.restore(store.snapshot())
    assert other.snapshot() == store.snapshot()
    assert _ask(other, Freeze(SHARD, 6)).error is Error.STALE
    assert _ask(other, Freeze(SHARD, 7)).held == {KEY: ("v", 3)}
