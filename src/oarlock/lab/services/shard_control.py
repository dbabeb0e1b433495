"""The shard controller of 2025: a client that moves shards, and keeps configurations in a key-value store.

What it is about to do it first writes to `next`, at the version that it read: of rival controllers one succeeds, and
all others, and any successor, finish what stands there. Only then is it written to `current`, where clients look. What
a controller that was cut off does late is refused by the groups, since the numbers of its moves are old.
"""

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from oarlock.lab.interface import Runtime
from oarlock.lab.services.asking import PAUSE_S, Interrupted
from oarlock.lab.services.interface import Error, KvClerk
from oarlock.lab.services.shard_config import ShardConfig
from oarlock.lab.services.shard_server import NOT_NOW, Reach
from oarlock.lab.services.shard_store import Delete, Freeze, Install, MoveReply

CURRENT: Final = "current"
NEXT: Final = "next"


class ShardControl:
    """One controller. For one thread at a time.

    Args:
        runtime: Where time comes from.
        store: Holds the configurations.
        reach: Ways to servers.
        is_over: Tells it to stop; it then raises `Interrupted`.
    """

    def __init__(self, runtime: Runtime, store: KvClerk, reach: Reach, is_over: Callable[[], bool]) -> None:
        self._runtime = runtime
        self._store = store
        self._reach = reach
        self._is_over = is_over

    def init_config(self, config: ShardConfig) -> None:
        """The first configuration: its groups begin to serve, with nothing."""
        for shard in range(len(config.shards)):
            self._ask(config.servers_of(shard), "Shard.install", Install(shard, config.num, {}))
        self._store.put(CURRENT, _as_text(config), 0)

    def init_controller(self) -> None:
        """Finish what a predecessor began."""
        current, _ = self._read(CURRENT)
        self._finish_next(current)

    def query(self) -> ShardConfig:
        """The configuration in force.

        Raises:
            LookupError: There is none yet.
        """
        config, _ = self._read(CURRENT)
        if config is None:
            raise LookupError("no configuration was initialised")
        return config

    def change_to(self, wanted: ShardConfig) -> bool:
        """Move shards to where a configuration wants them; whether it was this one that came to be.

        One whose number is not the next, or that a rival was faster than, does not.
        """
        current = self.query()
        self._finish_next(current)
        current = self.query()
        pending, version = self._read(NEXT)
        is_pending = pending is not None and pending.num > current.num  # a rival's, perhaps half done by now
        if is_pending or wanted.num != current.num + 1:
            return False
        self._store.put(NEXT, _as_text(wanted), version)
        chosen, _ = self._read(NEXT)
        self._finish_next(current)
        return chosen == wanted

    def _finish_next(self, current: ShardConfig | None) -> None:
        pending, _ = self._read(NEXT)
        if current is None or pending is None or pending.num != current.num + 1:
            return
        for shard, (old, new) in enumerate(zip(current.shards, pending.shards, strict=True)):
            if old != new and not self._move(shard, pending.num, current.servers_of(shard), pending.servers_of(shard)):
                return
        now, version = self._read(CURRENT)
        if now is not None and now.num < pending.num:
            self._store.put(CURRENT, _as_text(pending), version)

    def _move(self, shard: int, num: int, source: Sequence[str], to: Sequence[str]) -> bool:
        """Whether the shard is, or was, where it goes: False if a later move is known."""
        frozen = self._ask(source, "Shard.freeze", Freeze(shard, num))
        if frozen.error is not Error.OK:
            return False
        if frozen.held is None:
            return True
        installed = self._ask(to, "Shard.install", Install(shard, num, frozen.held))
        if installed.error is not Error.OK:
            return False
        return self._ask(source, "Shard.delete", Delete(shard, num)).error is Error.OK

    def _ask(self, servers: Sequence[str], method: str, asked: Freeze | Install | Delete) -> MoveReply:
        """Ask a group until it answers."""
        ends = [self._reach(name) for name in servers]
        while True:
            for end in ends:
                reply: MoveReply | None = end.call(method, asked, MoveReply)
                if reply is not None and reply.error not in NOT_NOW:
                    return reply
            if self._is_over():
                raise Interrupted
            self._runtime.time.sleep(PAUSE_S)

    def _read(self, key: str) -> tuple[ShardConfig | None, int]:
        text, version, error = self._store.get(key)
        return (msgspec.json.decode(text, type=ShardConfig) if error == Error.OK else None), version


def _as_text(config: ShardConfig) -> str:
    return msgspec.json.encode(config).decode()
