"""From a call to the cluster and back: deadlines, proposals, read barriers, and what their failures are called."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Final, Protocol

import msgspec

from oarlock.etcd import errors
from oarlock.etcd.errors import ApiError
from oarlock.etcd.grpc import RpcContext, RpcError, Status, UnaryHandler
from oarlock.etcd.header import Headers
from oarlock.etcd.machine import EtcdMachine
from oarlock.etcd.requests import Kind, encode_command
from oarlock.machine.exactly_once import AlreadyApplied
from oarlock.mvcc.errors import CorruptStoreError, StorageFailedError
from oarlock.node.errors import (
    BadTransferee,
    ChangeTimeout,
    DiskFull,
    NoLeader,
    NotLeader,
    Overloaded,
    ProposalTimeout,
    ProposalTooLarge,
    ReadTimeout,
    ResultUnavailable,
    Stopped,
    TransferTimeout,
)
from oarlock.node.members import Change
from oarlock.node.status import NodeStatus
from oarlock.raft.types import Configuration, ServerId, Term

REQUIRE_LEADER: Final = "hasleader"
"""The metadata by which a client asks to be refused rather than wait for a leader."""

DISK_FULL: Final = ApiError(
    Status.RESOURCE_EXHAUSTED, "oarlock: the disk is full; writes are refused until there is room again"
)

_FAILURES: Final[dict[type[BaseException], ApiError]] = {
    ProposalTimeout: errors.TIMEOUT,
    ResultUnavailable: errors.TIMEOUT,
    ReadTimeout: errors.TIMEOUT,
    NoLeader: errors.TIMEOUT,  # etcd waits for a leader, and tells the wait's end
    Overloaded: errors.TOO_MANY_REQUESTS,
    ProposalTooLarge: errors.REQUEST_TOO_LARGE,
    DiskFull: DISK_FULL,
    Stopped: errors.STOPPED,
    ChangeTimeout: errors.TIMEOUT,
    NotLeader: errors.NOT_LEADER,
    BadTransferee: errors.BAD_LEADER_TRANSFEREE,
    TransferTimeout: errors.TIMEOUT_LEADER_TRANSFER,
}


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What one server allows."""

    max_request_bytes: int = 3 << 19
    """1.5 MiB; a proposal's size."""
    max_txn_operations: int = 128
    quota_bytes: int = 2 << 30
    """Size of the database beyond which it takes no more puts; negative for none."""
    request_timeout_s: float = 7.0
    """How long a request may wait for the cluster: etcd's 5 s and two election timeouts."""


class Cluster(Protocol):
    """What the services need of the node."""

    def propose(self, command: bytes, timeout: float | None = None) -> asyncio.Future[object]:
        """Have a command applied everywhere; gives what applying it here returned."""

    def read_barrier(self, timeout: float | None = None) -> asyncio.Future[None]:
        """Done when this server's state is as new as any acknowledged write."""

    def change_membership(
        self, changes: Sequence[Change], timeout: float | None = None, *, strict: bool = False
    ) -> asyncio.Future[Configuration]:
        """Change the members; gives the configuration in force here afterwards."""

    def transfer_leadership(self, to: ServerId, timeout: float | None = None) -> Coroutine[None, None, None]:
        """Have another voter lead."""

    @property
    def term(self) -> Term:
        """The current term, as far as this server knows."""

    @property
    def is_learner(self) -> bool:
        """Whether this server has no vote."""

    @property
    def leader_id(self) -> ServerId | None:
        """The leader, as far as this server knows."""

    def status(self) -> NodeStatus:
        """What the node says about itself."""

    def fail(self, error: BaseException) -> None:
        """The server cannot go on."""


class Calls:
    """What every service does with the cluster."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        cluster: Cluster,
        machine: EtcdMachine,
        headers: Headers,
        limits: Limits,
    ) -> None:
        """Bring together what the services share.

        Args:
            loop: The loop.
            cluster: The node.
            machine: The state machine that the node applies to.
            headers: For the answers.
            limits: What this server allows.
        """
        self.loop = loop
        self.cluster = cluster
        self.machine = machine
        self.headers = headers
        self.limits = limits

    def timeout_s(self, context: RpcContext) -> float:
        """How long this call may wait for the cluster."""
        deadline = context.deadline
        longest = self.limits.request_timeout_s
        return longest if deadline is None else min(longest, deadline - self.loop.time())

    def propose(self, kind: Kind, request: bytes, context: RpcContext) -> asyncio.Future[bytes]:
        """Have a request applied everywhere.

        Returns:
            The response, or an `RpcError`.
        """
        answer: asyncio.Future[bytes] = self.loop.create_future()
        self.cluster.propose(encode_command(kind, request), self.timeout_s(context)).add_done_callback(
            partial(self._applied, answer)
        )
        return answer

    def _applied(self, answer: asyncio.Future[bytes], applied: asyncio.Future[object]) -> None:
        if answer.done():  # the client has gone
            if not applied.cancelled():
                applied.exception()
            return
        try:
            revision, fields = outcome_of(applied)
        except RpcError as error:
            answer.set_exception(error)
        else:
            answer.set_result(self.headers.field(revision) + fields)

    def read(self, context: RpcContext, make: Callable[[], bytes]) -> asyncio.Future[bytes]:
        """Answer from this server's state once it is as new as any write acknowledged before the call.

        Args:
            context: The call.
            make: Makes the response, or raises an `RpcError`.
        """
        answer: asyncio.Future[bytes] = self.loop.create_future()
        self.cluster.read_barrier(self.timeout_s(context)).add_done_callback(partial(self._confirmed, answer, make))
        return answer

    def _confirmed(
        self, answer: asyncio.Future[bytes], make: Callable[[], bytes], barrier: asyncio.Future[None]
    ) -> None:
        if answer.done():
            if not barrier.cancelled():
                barrier.exception()
            return
        try:
            failure = barrier.exception()
        except asyncio.CancelledError:
            failure = Stopped()
        if failure is not None:
            answer.set_exception(failure_of(failure).exception())
        elif (restored := self.machine.restored) is not None:
            restored.add_done_callback(partial(self._confirmed, answer, make))
        else:
            try:
                answer.set_result(self._checked(make))
            except RpcError as error:
                answer.set_exception(error)

    def read_local(self, make: Callable[[], bytes]) -> bytes | asyncio.Future[bytes]:
        """Answer from this server's state as it is."""
        restored = self.machine.restored
        if restored is None:
            return self._checked(make)
        answer: asyncio.Future[bytes] = self.loop.create_future()
        restored.add_done_callback(partial(self._confirmed, answer, make))
        return answer

    def _checked(self, make: Callable[[], bytes]) -> bytes:
        try:
            return make()
        except (CorruptStoreError, StorageFailedError) as error:
            raise self.damaged(error) from error

    def damaged(self, error: CorruptStoreError | StorageFailedError) -> RpcError:
        """The store is not to be believed: the server ends, as when its disk fails. Gives what its client is told."""
        self.cluster.fail(error)
        return errors.CORRUPT.exception()

    def with_leader(
        self, handler: UnaryHandler, learner_may: Callable[[bytes], bool] = lambda _request: False
    ) -> UnaryHandler:
        """The same handler, refusing what learners do not answer, and calls that require a leader while there is none.

        Args:
            handler: Answers.
            learner_may: Whether a server without a vote answers this request.
        """

        def guarded(request: bytes, context: RpcContext) -> "bytes | asyncio.Future[bytes]":
            if self.cluster.is_learner and not learner_may(request):
                raise errors.NOT_SUPPORTED_FOR_LEARNER.exception()
            if context.metadata.get(REQUIRE_LEADER) == "true" and self.cluster.leader_id is None:
                raise errors.NO_LEADER.exception()
            return handler(request, context)  # type: ignore[return-value]

        return guarded


def outcome_of(applied: "asyncio.Future[object]") -> tuple[int, bytes]:
    """What a finished proposal gave: the revision for the header, and the response's other fields.

    Raises:
        RpcError: It failed, on its way or when it was applied.
    """
    try:
        result = applied.result()
    except asyncio.CancelledError:
        raise errors.STOPPED.exception() from None
    except Exception as error:
        raise failure_of(error).exception() from error
    if type(result) is AlreadyApplied:
        result = result.result
    if type(result) is tuple:
        return result
    raise (result if isinstance(result, ApiError) else errors.TIMEOUT).exception()


def failure_of(error: BaseException) -> ApiError:
    """How etcd's API calls a failure of the node.

    Raises:
        BaseException: The failure itself, if it is none of the node's known ones: a defect.
    """
    known = _FAILURES.get(type(error))
    if known is None:
        raise error
    return known
