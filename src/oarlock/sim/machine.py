"""The production state machine and its services, with a record of what they were given and when they answered."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Final, Literal

from oarlock.check.observed import Promise
from oarlock.etcd.errors import ApiError
from oarlock.etcd.grpc import RpcContext, UnaryHandler
from oarlock.etcd.grpc.route import Route
from oarlock.etcd.machine import EtcdMachine
from oarlock.etcd.requests import Kind
from oarlock.etcd.services.calls import Calls
from oarlock.machine.exactly_once import AlreadyApplied
from oarlock.mvcc.store import Store
from oarlock.node.codec import decode
from oarlock.node.node import Node
from oarlock.raft.messages import AppendEntriesReply, InstallSnapshotReply, PreVoteReply, RequestVote, RequestVoteReply
from oarlock.raft.types import Index, ServerId
from oarlock.sim import inside
from oarlock.sim.strikes import Strikes
from oarlock.sim.versions import Version, outgoing
from oarlock.transport.tcp import TcpTransport

HASH_EVERY: Final = 64
"""At every index that is a multiple of this, whole states are compared."""

_CLAIMING: Final = frozenset((1, 2, 4, 6, 8))
"""Tags of the messages that claim something of the sender's disk."""


class Asked:
    """One request at a server: what became of it there."""

    __slots__ = ("command", "index")

    def __init__(self) -> None:
        self.index: Index | None = None
        """Of a read: what was applied when its answer was made."""
        self.command: int | None = None
        """Of a proposal: what tells it from all others, in the log."""


def command_id(origin: ServerId, epoch: int, sequence: int) -> int:
    """One number for a proposal's id."""
    return (origin << 128) | (epoch << 64) | sequence


class DirectContext(RpcContext):
    """A call that came over no connection.

    Args:
        path: Of the method.
        deadline: In the loop's time.
        asked: Where to note what becomes of it.
    """

    def __init__(self, path: str, deadline: float, asked: Asked | None = None) -> None:
        self._route = Route(path)
        self.deadline = deadline
        self.asked = asked


class RecordingMachine(EtcdMachine):
    """The machine, remembering what it applied until that is looked at."""

    def __init__(self, store: Store, server_id: ServerId) -> None:
        super().__init__(store, server_id)
        self.applied: list[tuple[Index, bytes]] = []
        self.hashes: list[tuple[Index, int]] = []
        self.refused: list[Index] = []
        """Where it refused a command, for an alarm that was raised, say."""
        self.repeated = 0
        """Commands that it had applied before."""
        self.lacks_memory: Literal["", "before", "after"] = ""
        """When the next command runs out of memory: before it has done anything, or when it has done all."""

    def apply(self, index: Index, command: bytes) -> object:
        """See `EtcdMachine.apply`.

        Raises:
            MemoryError: As if there were no more.
        """
        if self.lacks_memory:
            if self.lacks_memory == "after":
                super().apply(index, command)
            raise MemoryError
        result = super().apply(index, command)
        self.applied.append((index, command))
        if type(result) is AlreadyApplied:
            self.repeated += 1
        elif type(result) is ApiError:
            self.refused.append(index)
        if not index % HASH_EVERY:
            self.hashes.append((index, self.store.hash()))
        return result


class RecordingCalls(Calls):
    """What services do with the cluster, noting it in `asked` for the request being handled."""

    asked: Asked | None = None
    asked_over: Mapping[tuple[str, int], Asked] = {}
    """Of calls that come over connections, by the client's address and the stream."""

    def with_leader(
        self, handler: UnaryHandler, learner_may: Callable[[bytes], bool] = lambda _request: False
    ) -> UnaryHandler:
        """See `Calls.with_leader`."""
        guarded = super().with_leader(handler, learner_may)

        def noted(request: bytes, context: RpcContext) -> "bytes | Awaitable[bytes]":
            self.asked = self._asked_of(context)
            try:
                return guarded(request, context)
            finally:
                self.asked = None

        return noted

    def _asked_of(self, context: RpcContext | None) -> Asked | None:
        if isinstance(context, DirectContext):
            return context.asked
        return self.asked_over.get(inside.origin_of(context)) if context is not None else None

    def propose(self, kind: Kind, request: bytes, context: RpcContext) -> "asyncio.Future[bytes]":
        """See `Calls.propose`; calls that were put off come here a second time, past the handler."""
        asked = self.asked or self._asked_of(context)
        node = self.cluster
        assert isinstance(node, Node)  # noqa: S101 - of a simulated process
        before = inside.last_sequence(node)
        answer = super().propose(kind, request, context)
        sequence = inside.last_sequence(node)
        if asked is not None and sequence != before:
            asked.command = command_id(node.config.server_id, inside.boot_epoch(node), sequence)
        return answer

    def read(self, context: RpcContext, make: Callable[[], bytes]) -> "asyncio.Future[bytes]":
        """See `Calls.read`."""
        return super().read(context, partial(self._made, self.asked, make))

    def read_local(self, make: Callable[[], bytes]) -> "bytes | asyncio.Future[bytes]":
        """See `Calls.read_local`."""
        asked = self.asked or self._asked_of(inside.call_within(make))
        return super().read_local(partial(self._made, asked, make))

    def _made(self, asked: Asked | None, make: Callable[[], bytes]) -> bytes:
        answer = make()
        if asked is not None:
            asked.index = self.machine.applied_index()
        return answer


class RecordingTransport(TcpTransport):
    """The transport, remembering what messages that left it claim."""

    promises: list[Promise]
    version: Version
    strikes: Strikes

    def send(self, to: ServerId, payload: bytes) -> bool:
        """See `Transport.send`."""
        if self.version is Version.CURRENT:
            sent = super().send(to, payload)
        else:
            changed = outgoing(self.version, payload, self.strikes)
            sent = changed is None or super().send(to, changed)
        if sent and payload[1] in _CLAIMING:
            message = decode(payload, self._own.server_id)
            match message:
                case RequestVote():
                    self.promises.append(Promise(message.term, voted_for=message.source))
                case RequestVoteReply(vote_granted=True):
                    self.promises.append(Promise(message.term, voted_for=to))
                case PreVoteReply(vote_granted=True):
                    pass  # its term is a question's
                case AppendEntriesReply(success=True):
                    self.promises.append(Promise(message.term, match_index=message.match_index))
                case InstallSnapshotReply(done=True):
                    self.promises.append(Promise(message.term, match_index=message.last_included_index))
                case AppendEntriesReply() | InstallSnapshotReply() | RequestVoteReply() | PreVoteReply():
                    self.promises.append(Promise(message.term))
        return sent
