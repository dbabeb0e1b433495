"""A group's replicated state: the shards that it has, and the moves that it knows of.

A shard moves in three steps, each agreed on by the group that it concerns, each harmless when repeated: it is frozen
where it is, installed where it goes, and deleted where it was. All bear the number of the configuration that they
belong to. A group knows the highest number of each shard and refuses lower ones, so that whoever moves shards by an
old configuration, late or revived, changes nothing. Between frozen and installed nobody serves the shard.
"""

from typing import Any, Final

import msgspec

from oarlock.lab.services.interface import Error
from oarlock.lab.services.kv import Get, GetReply, Held, Put, PutReply, get_from, put_into
from oarlock.lab.services.shard_config import NOBODY, ShardConfig, shard_of


class Freeze(msgspec.Struct, frozen=True, tag=True):
    """Serve a shard no more, and give what it holds."""

    shard: int
    num: int
    adopted: bool = False
    """Only if the group has adopted the configuration `num`, and therefore has all that it got before it."""


class Install(msgspec.Struct, frozen=True, tag=True):
    """Serve a shard."""

    shard: int
    num: int
    held: Held


class Delete(msgspec.Struct, frozen=True, tag=True):
    """Forget a frozen shard, which is installed elsewhere."""

    shard: int
    num: int


class Adopt(msgspec.Struct, frozen=True, tag=True):
    """Take the next configuration as the group's."""

    config: ShardConfig


class Confirm(msgspec.Struct, frozen=True, tag=True):
    """A shard that the group got was deleted where it came from."""

    shard: int
    num: int


class MoveReply(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a step."""

    error: Error
    held: Held | None = None
    """What a frozen shard holds; None if it was deleted already, being installed elsewhere."""


Request = Get | Put | Freeze | Install | Delete | Adopt | Confirm


class Shard(msgspec.Struct):
    """One that the group has."""

    held: Held
    frozen: bool = False


class Transfer(msgspec.Struct, frozen=True):
    """A shard that comes, or came, from other servers."""

    shard: int
    num: int
    source: tuple[str, ...]


class GroupState(msgspec.Struct):
    """All of it."""

    config: ShardConfig
    shards: dict[int, Shard] = {}
    nums: dict[int, int] = {}
    """The number of the last move of each shard."""
    awaited: dict[int, Transfer] = {}
    """Shards that the group is to get by its configuration."""
    unconfirmed: dict[int, Transfer] = {}
    """Shards that it got, and that may not be deleted yet where they came from."""


_ENCODER: Final = msgspec.msgpack.Encoder()
_REQUEST: Final = msgspec.msgpack.Decoder(Request)
_STATE: Final = msgspec.msgpack.Decoder(GroupState)


class ShardStore:
    """The machine.

    Args:
        group: Its id.
        shards: How many there are in all.
        lock: Held around each use: the servers' own threads look at the moves.
    """

    def __init__(self, group: int, shards: int, lock: Any) -> None:  # noqa: ANN401 - of the runtime
        self._group = group
        self._count = shards
        self._lock = lock
        self._state = GroupState(ShardConfig(shards=(NOBODY,) * shards))

    def do_op(self, request: bytes) -> bytes:
        """See `interface.Machine`."""
        with self._lock:
            return _ENCODER.encode(self._do(_REQUEST.decode(request)))

    def snapshot(self) -> bytes:
        """See `interface.Machine`."""
        with self._lock:
            return _ENCODER.encode(self._state)

    def restore(self, data: bytes) -> None:
        """See `interface.Machine`."""
        with self._lock:
            self._state = _STATE.decode(data)

    def moves(self) -> tuple[int, list[Transfer], list[Transfer]]:
        """The number of the configuration adopted, the shards awaited, and those not confirmed."""
        with self._lock:
            state = self._state
            return state.config.num, list(state.awaited.values()), list(state.unconfirmed.values())

    def _do(self, asked: Request) -> GetReply | PutReply | MoveReply:
        match asked:
            case Get() | Put():
                return self._serve(asked)
            case Freeze():
                return self._freeze(asked)
            case Install():
                return MoveReply(error=self._install(asked))
            case Delete():
                return MoveReply(error=self._delete(asked))
            case Adopt():
                self._adopt(asked.config)
            case Confirm():
                transfer = self._state.unconfirmed.get(asked.shard)
                if transfer is not None and transfer.num == asked.num:
                    del self._state.unconfirmed[asked.shard]
        return MoveReply(error=Error.OK)

    def _serve(self, asked: Get | Put) -> GetReply | PutReply:
        shard = self._state.shards.get(shard_of(asked.key, self._count))
        is_get = isinstance(asked, Get)
        if shard is None or shard.frozen:
            return GetReply(error=Error.WRONG_GROUP) if is_get else PutReply(error=Error.WRONG_GROUP)
        return get_from(shard.held, asked) if isinstance(asked, Get) else put_into(shard.held, asked)

    def _freeze(self, asked: Freeze) -> MoveReply:
        state = self._state
        known = state.nums.get(asked.shard, 0)
        shard = state.shards.get(asked.shard)
        if asked.num < known or (asked.adopted and state.config.num < asked.num):
            return MoveReply(error=Error.STALE)
        if shard is None:
            return MoveReply(error=Error.OK if asked.num == known else Error.STALE)
        shard.frozen = True
        state.nums[asked.shard] = asked.num
        return MoveReply(error=Error.OK, held=shard.held)

    def _install(self, asked: Install) -> Error:
        state = self._state
        known = state.nums.get(asked.shard, 0)
        if asked.num < known:
            return Error.STALE
        if asked.num > known:
            state.shards[asked.shard] = Shard(dict(asked.held))
            state.nums[asked.shard] = asked.num
        transfer = state.awaited.get(asked.shard)
        if transfer is not None and transfer.num == asked.num:
            state.unconfirmed[asked.shard] = state.awaited.pop(asked.shard)
        return Error.OK

    def _delete(self, asked: Delete) -> Error:
        state = self._state
        shard = state.shards.get(asked.shard)
        if asked.num != state.nums.get(asked.shard, 0) or (shard is not None and not shard.frozen):
            return Error.STALE
        state.shards.pop(asked.shard, None)
        return Error.OK

    def _adopt(self, config: ShardConfig) -> None:
        """Only the next, and only when all of the last one is here: so what others may freeze is complete."""
        state, before = self._state, self._state.config
        if config.num != before.num + 1 or state.awaited:
            return
        state.config = config
        for shard, (old, new) in enumerate(zip(before.shards, config.shards, strict=True)):
            if old == new:
                continue
            if new == self._group and old == NOBODY:
                state.shards[shard] = Shard({})
                state.nums[shard] = config.num
            elif new == self._group:
                state.awaited[shard] = Transfer(shard, config.num, before.groups[old])
            elif old == self._group and new == NOBODY:
                state.shards.pop(shard, None)  # with the last group goes what it held
                state.nums[shard] = config.num
