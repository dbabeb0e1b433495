"""A server of a group that has shards, and the client that finds the right group."""

from collections.abc import Callable
from typing import Final

import msgspec

from oarlock.lab.interface import ClientEnd, Runtime
from oarlock.lab.services.asking import PAUSE_S, Interrupted
from oarlock.lab.services.interface import Error
from oarlock.lab.services.kv import Get, GetReply, KvServer, Put, PutReply
from oarlock.lab.services.shard_config import ShardConfig, shard_of
from oarlock.lab.services.shard_store import Delete, Freeze, Install, MoveReply, Request

_ENCODER: Final = msgspec.msgpack.Encoder()
_MOVE_REPLY: Final = msgspec.msgpack.Decoder(MoveReply)

Reach = Callable[[str], ClientEnd]
"""Gives a way to a server by its name."""
NOT_NOW: Final = (Error.WRONG_LEADER, Error.UNKNOWN)
"""Another server may know more."""


class ShardServer(KvServer):
    """Handlers that have requests agreed on: those of the key-value service, and the steps of moves."""

    def freeze(self, asked: Freeze) -> MoveReply:
        """Handle the first step of a move."""
        return self.agree(asked)

    def install(self, asked: Install) -> MoveReply:
        """Handle the second."""
        return self.agree(asked)

    def delete(self, asked: Delete) -> MoveReply:
        """Handle the third."""
        return self.agree(asked)

    def agree(self, asked: Request) -> MoveReply:
        """Have the group agree on a step."""
        error, reply = self._rsm.submit(_ENCODER.encode(asked))
        return _MOVE_REPLY.decode(reply) if error == Error.OK else MoveReply(error=Error(error))


class ShardClerk:
    """A client of all groups. For one thread at a time.

    Args:
        runtime: Where time comes from.
        query: Gives the newest configuration.
        reach: Ways to servers.
        is_over: Tells it to stop asking; it then raises `Interrupted`.
    """

    def __init__(
        self, runtime: Runtime, query: Callable[[], ShardConfig], reach: Reach, is_over: Callable[[], bool]
    ) -> None:
        self._runtime = runtime
        self._query = query
        self._reach = reach
        self._is_over = is_over
        self._config = query()
        self._ends: dict[str, ClientEnd] = {}

    def get(self, key: str) -> tuple[str, int, Error]:
        """See `interface.KvClerk`."""
        while True:
            for end in self._ends_for(key):
                reply: GetReply | None = end.call("Shard.get", Get(key), GetReply)
                if reply is not None and reply.error in (Error.OK, Error.NO_KEY):
                    return reply.value, reply.version, reply.error
            self._look_again()

    def put(self, key: str, value: str, version: int) -> Error:
        """See `interface.KvClerk`."""
        may_be_done = False
        while True:
            for end in self._ends_for(key):
                reply: PutReply | None = end.call("Shard.put", Put(key, value, version), PutReply)
                if reply is None or reply.error is Error.UNKNOWN:
                    may_be_done = True
                elif reply.error not in (Error.WRONG_LEADER, Error.WRONG_GROUP):
                    return Error.MAYBE if may_be_done and reply.error is Error.VERSION else reply.error
            self._look_again()

    def _ends_for(self, key: str) -> list[ClientEnd]:
        servers = self._config.servers_of(shard_of(key, len(self._config.shards)))
        for name in servers:
            if name not in self._ends:
                self._ends[name] = self._reach(name)
        return [self._ends[name] for name in servers]

    def _look_again(self) -> None:
        if self._is_over():
            raise Interrupted
        self._runtime.time.sleep(PAUSE_S)
        self._config = self._query()
