"""The replicated shard controller of 2021 to 2024: groups join and leave, and everybody asks it who has what."""

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from oarlock.lab.interface import ClientEnd, Runtime
from oarlock.lab.services.asking import Asking
from oarlock.lab.services.interface import Error, ReplicatedMachine
from oarlock.lab.services.shard_config import NOBODY, ShardConfig, joined, left, moved


class Join(msgspec.Struct, frozen=True, tag=True):
    """Add groups, and spread the shards over all."""

    groups: dict[int, tuple[str, ...]]


class Leave(msgspec.Struct, frozen=True, tag=True):
    """Take groups out, and spread their shards over the others."""

    groups: tuple[int, ...]


class Move(msgspec.Struct, frozen=True, tag=True):
    """Give a shard to a group."""

    shard: int
    group: int


class Query(msgspec.Struct, frozen=True, tag=True):
    """Ask for a configuration; -1, or a number that is not there yet, for the newest."""

    num: int = -1


class Asked(msgspec.Struct, frozen=True):
    """A request; each of a client's has a serial above the one before, so that a repeated one does no harm."""

    client: int
    serial: int
    what: Join | Leave | Move | Query


class ConfigReply(msgspec.Struct, frozen=True, kw_only=True):
    """The configuration asked for, or the newest after a change."""

    error: Error
    config: ShardConfig | None = None


class _State(msgspec.Struct):
    configs: list[ShardConfig]
    serials: dict[int, int]


_ENCODER: Final = msgspec.msgpack.Encoder()
_ASKED: Final = msgspec.msgpack.Decoder(Asked)
_REPLY: Final = msgspec.msgpack.Decoder(ConfigReply)
_STATE: Final = msgspec.msgpack.Decoder(_State)


class ConfigStore:
    """The machine: all configurations there ever were.

    Args:
        shards: How many there are.
    """

    def __init__(self, shards: int) -> None:
        self._state = _State([ShardConfig(shards=(NOBODY,) * shards)], {})

    def do_op(self, request: bytes) -> bytes:
        """See `interface.Machine`."""
        asked = _ASKED.decode(request)
        configs = self._state.configs
        if isinstance(asked.what, Query):
            is_there = 0 <= asked.what.num < len(configs)
            return _ENCODER.encode(ConfigReply(error=Error.OK, config=configs[asked.what.num if is_there else -1]))
        if asked.serial > self._state.serials.get(asked.client, 0):
            self._state.serials[asked.client] = asked.serial
            configs.append(_changed(configs[-1], asked.what))
        return _ENCODER.encode(ConfigReply(error=Error.OK, config=configs[-1]))

    def snapshot(self) -> bytes:
        """See `interface.Machine`."""
        return _ENCODER.encode(self._state)

    def restore(self, data: bytes) -> None:
        """See `interface.Machine`."""
        self._state = _STATE.decode(data)


def _changed(config: ShardConfig, what: Join | Leave | Move) -> ShardConfig:
    if isinstance(what, Join):
        return joined(config, what.groups)
    return left(config, what.groups) if isinstance(what, Leave) else moved(config, what.shard, what.group)


class ControllerServer:
    """Handlers that have requests agreed on."""

    def __init__(self, rsm: ReplicatedMachine) -> None:
        self._rsm = rsm

    def ask(self, asked: Asked) -> ConfigReply:
        """Handle any request."""
        error, reply = self._rsm.submit(_ENCODER.encode(asked))
        return _REPLY.decode(reply) if error == Error.OK else ConfigReply(error=Error(error))

    def kill(self) -> None:
        """Answer all who wait."""
        self._rsm.kill()


class ControllerClerk:
    """A client of the controller. For one thread at a time.

    Args:
        runtime: Where time and chance come from.
        ends: To all servers.
        is_over: Tells it to stop asking; it then raises `Interrupted`.
    """

    def __init__(self, runtime: Runtime, ends: Sequence[ClientEnd], is_over: Callable[[], bool]) -> None:
        self._asking = Asking(runtime, ends, is_over)
        self._client: int = runtime.random.getrandbits(62)
        self._serial = 0

    def join(self, groups: dict[int, tuple[str, ...]]) -> ShardConfig:
        """Add groups."""
        return self._ask(Join(groups))

    def leave(self, *groups: int) -> ShardConfig:
        """Take groups out."""
        return self._ask(Leave(groups))

    def move(self, shard: int, group: int) -> ShardConfig:
        """Give a shard to a group."""
        return self._ask(Move(shard, group))

    def query(self, num: int = -1) -> ShardConfig:
        """A configuration, or the newest."""
        return self._ask(Query(num))

    def _ask(self, what: Join | Leave | Move | Query) -> ShardConfig:
        self._serial += 1
        asked = Asked(self._client, self._serial, what)
        while True:
            reply: ConfigReply | None = self._asking.end.call("Controller.ask", asked, ConfigReply)
            if reply is not None and reply.config is not None:
                return reply.config
            self._asking.try_another()
