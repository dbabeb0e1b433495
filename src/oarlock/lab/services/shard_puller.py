"""Groups that fetch their shards themselves, by the controller's configurations, one after the other (2021 to 2024)."""

from collections.abc import Callable, Sequence
from typing import Any, Final

from oarlock.lab.interface import Runtime
from oarlock.lab.services.asking import Interrupted
from oarlock.lab.services.interface import Error
from oarlock.lab.services.shard_config import ShardConfig
from oarlock.lab.services.shard_server import NOT_NOW, Reach, ShardServer
from oarlock.lab.services.shard_store import Adopt, Confirm, Delete, Freeze, Install, MoveReply, ShardStore, Transfer

LOOK_S: Final = 0.05
"""How often a leader looks what is to be done."""


class Puller:
    """An activity of each server; acts where the server leads. The group agrees on all that it finds.

    Args:
        runtime: Where threads and time come from.
        server: Of its own group.
        store: The same group's machine.
        raft: The same server's.
        query: Asks the controller for the configuration of a number.
        reach: Ways to servers.
    """

    def __init__(
        self,
        runtime: Runtime,
        server: ShardServer,
        store: ShardStore,
        raft: Any,  # noqa: ANN401 - the user's
        query: Callable[[int], ShardConfig],
        reach: Reach,
    ) -> None:
        self._runtime = runtime
        self._server = server
        self._store = store
        self._raft = raft
        self._query = query
        self._reach = reach
        self._dead = False
        runtime.threading.Thread(target=self._work, name="puller", daemon=True).start()

    def kill(self) -> None:
        """Stop soon."""
        self._dead = True

    def _work(self) -> None:
        while not self._dead:
            _, leads = self._raft.get_state()
            if leads:
                try:
                    self._act()
                except Interrupted:
                    return
            self._runtime.time.sleep(LOOK_S)

    def _act(self) -> None:
        """Each source in a thread of its own: one that is down must not hold up the shards of another."""
        num, awaited, unconfirmed = self._store.moves()
        by_source: dict[tuple[str, ...], list[Callable[[], None]]] = {}
        for transfer in awaited:
            by_source.setdefault(transfer.source, []).append(lambda transfer=transfer: self._fetch(transfer))  # type: ignore[misc]
        for transfer in unconfirmed:
            by_source.setdefault(transfer.source, []).append(lambda transfer=transfer: self._tidy(transfer))  # type: ignore[misc]
        threads = [self._runtime.threading.Thread(target=_do, args=(jobs,), daemon=True) for jobs in by_source.values()]
        for thread in threads:
            thread.start()
        if not awaited:
            config = self._query(num + 1)
            if config.num == num + 1:
                self._server.agree(Adopt(config))
        for thread in threads:
            thread.join()

    def _fetch(self, transfer: Transfer) -> None:
        reply = self._ask(transfer.source, "Shard.freeze", Freeze(transfer.shard, transfer.num, adopted=True))
        if reply is not None and reply.error is Error.OK and reply.held is not None:
            self._server.agree(Install(transfer.shard, transfer.num, reply.held))

    def _tidy(self, transfer: Transfer) -> None:
        reply = self._ask(transfer.source, "Shard.delete", Delete(transfer.shard, transfer.num))
        if reply is not None and reply.error in (Error.OK, Error.STALE):  # a later move is known: nothing is left
            self._server.agree(Confirm(transfer.shard, transfer.num))

    def _ask(self, servers: Sequence[str], method: str, asked: Freeze | Delete) -> MoveReply | None:
        """Ask each server once; None if none leads."""
        for name in servers:
            reply: MoveReply | None = self._reach(name).call(method, asked, MoveReply)
            if reply is not None and reply.error not in NOT_NOW:
                return reply
        return None


def _do(jobs: Sequence[Callable[[], None]]) -> None:
    for job in jobs:
        job()
