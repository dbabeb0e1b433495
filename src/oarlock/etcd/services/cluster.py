"""etcdserverpb.Cluster: who the members are, and changing them."""

import hashlib
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final
from urllib.parse import urlsplit

from oarlock.etcd import errors
from oarlock.etcd.errors import ApiError
from oarlock.etcd.grpc import GrpcServer, RpcContext
from oarlock.etcd.proto.rpc_pb2 import (
    Member,
    MemberAddRequest,
    MemberAddResponse,
    MemberListRequest,
    MemberListResponse,
    MemberPromoteRequest,
    MemberRemoveRequest,
    MemberUpdateRequest,
)
from oarlock.etcd.requests import parse
from oarlock.etcd.services.calls import Calls, failure_of
from oarlock.etcd.services.members import members_of, started_voters
from oarlock.node.addresses import parse_address
from oarlock.node.errors import ChangeRefused, NodeError, Refusal
from oarlock.node.members import Change, ChangeKind
from oarlock.raft.types import ServerId

_REFUSALS: Final[dict[Refusal, ApiError]] = {
    Refusal.NOT_A_MEMBER: errors.MEMBER_NOT_FOUND,
    Refusal.MEMBER_EXISTS: errors.MEMBER_EXISTS,
    Refusal.ID_REMOVED: errors.MEMBER_NOT_FOUND,
    Refusal.ADDRESS_IN_USE: errors.PEER_URL_EXISTS,
    Refusal.BAD_ADDRESS: errors.MEMBER_BAD_URLS,
    Refusal.NOT_A_LEARNER: errors.MEMBER_NOT_LEARNER,
    Refusal.LEARNER_NOT_READY: errors.LEARNER_NOT_READY,
    Refusal.TOO_MANY_LEARNERS: errors.TOO_MANY_LEARNERS,
    Refusal.UNHEALTHY: errors.UNHEALTHY,
    Refusal.LAST_VOTER: errors.MEMBER_NOT_ENOUGH_STARTED,
}


def member_id(peer_urls: Iterable[str], cluster_token: str) -> ServerId:
    """The id etcd gives a member of a new cluster: from its peer URLs and the token, so all members agree.

    Args:
        peer_urls: As advertised, in any order.
        cluster_token: The value of `--initial-cluster-token`.
    """
    return _first_eight_bytes("".join(sorted(peer_urls)).encode() + cluster_token.encode())


def added_member_id(peer_urls: Iterable[str], unix_time_s: int) -> ServerId:
    """The id etcd gives a member added to a running cluster: from its peer URLs and the time.

    Args:
        peer_urls: As asked for, in any order.
        unix_time_s: When it is added.
    """
    return _first_eight_bytes("".join(sorted(peer_urls)).encode() + b"%d" % unix_time_s)


def cluster_id(member_ids: Iterable[ServerId]) -> int:
    """The id etcd gives a new cluster: from the ids of its members."""
    return _first_eight_bytes(b"".join(member.to_bytes(8, "big") for member in sorted(member_ids)))


def _first_eight_bytes(data: bytes) -> int:
    return int.from_bytes(hashlib.sha1(data, usedforsecurity=False).digest()[:8], "big")


def peer_urls(urls: Sequence[str]) -> tuple[str, ...]:
    """The URLs of a request, sorted as etcd does.

    Raises:
        RpcError: There is none, or one is not `http://host:port` or `https://host:port`.
    """
    for url in urls:
        try:
            if urlsplit(url).scheme not in ("http", "https"):
                raise errors.MEMBER_BAD_URLS.exception()
            parse_address(url)
        except ValueError:
            raise errors.MEMBER_BAD_URLS.exception() from None
    if not urls:
        raise errors.MEMBER_BAD_URLS.exception()
    return tuple(sorted(urls))


class ClusterService:
    """Handlers of the Cluster service."""

    def __init__(self, calls: Calls, *, strict: bool = True, wall_clock: Callable[[], float] = time.time) -> None:
        """Prepare.

        Args:
            calls: What the services share.
            strict: Refuse changes that could cost the cluster its majority (`--strict-reconfig-check`).
            wall_clock: Gives seconds since 1970, for the ids of members to come.
        """
        self._calls = calls
        self._strict = strict
        self._wall_clock = wall_clock

    def register(self, server: GrpcServer) -> None:
        """Add the handlers to a server."""
        for name, handler in (
            ("MemberList", self.member_list),
            ("MemberAdd", self.member_add),
            ("MemberRemove", self.member_remove),
            ("MemberUpdate", self.member_update),
            ("MemberPromote", self.member_promote),
        ):
            server.add_unary(f"/etcdserverpb.Cluster/{name}", self._calls.with_leader(handler))

    def member_list(self, data: bytes, context: RpcContext) -> bytes | Awaitable[bytes]:
        """MemberList; clients of 3.5 ask for a linearizable one."""
        if parse(MemberListRequest, data).linearizable:
            return self._calls.read(context, self._list)
        return self._calls.read_local(self._list)

    def _list(self) -> bytes:
        return self._calls.headers.field(0) + MemberListResponse(members=members_of(self._calls)).SerializeToString()

    async def member_add(self, data: bytes, context: RpcContext) -> bytes:
        """MemberAdd: the id is decided here, before anything is proposed."""
        request = parse(MemberAddRequest, data)
        urls = peer_urls(request.peerURLs)
        if not request.isLearner:
            self._check_started(self._may_add)
        server_id = added_member_id(urls, int(self._wall_clock()))
        kind = ChangeKind.ADD_LEARNER if request.isLearner else ChangeKind.ADD_VOTER
        members = await self._change(Change(kind, server_id, urls), context)
        added = Member(ID=server_id, peerURLs=urls, isLearner=request.isLearner)
        return self._calls.headers.field(0) + MemberAddResponse(member=added, members=members).SerializeToString()

    async def member_remove(self, data: bytes, context: RpcContext) -> bytes:
        """MemberRemove: the member removed learns of it and stops."""
        server_id = parse(MemberRemoveRequest, data).ID
        if server_id not in self._calls.cluster.status().configuration.learners:
            self._check_started(lambda started: self._may_remove(started, server_id))
        return self._answer(await self._change(Change(ChangeKind.REMOVE, server_id), context))

    async def member_update(self, data: bytes, context: RpcContext) -> bytes:
        """MemberUpdate: a member is reached elsewhere from now on; the leader looks at the URLs, after the id."""
        request = parse(MemberUpdateRequest, data)
        change = Change(ChangeKind.UPDATE, request.ID, tuple(sorted(request.peerURLs)))
        return self._answer(await self._change(change, context))

    async def member_promote(self, data: bytes, context: RpcContext) -> bytes:
        """MemberPromote: a learner gets a vote, once it has (nearly) all of the leader's log."""
        server_id = parse(MemberPromoteRequest, data).ID
        return self._answer(await self._change(Change(ChangeKind.PROMOTE, server_id), context))

    async def _change(self, change: Change, context: RpcContext) -> list[Member]:
        cluster = self._calls.cluster
        try:
            timeout_s = self._calls.timeout_s(context)
            configuration = await cluster.change_membership([change], timeout_s, strict=self._strict)
        except ChangeRefused as error:
            raise _REFUSALS[error.refusal].exception() from error
        except NodeError as error:
            raise failure_of(error).exception() from error
        return members_of(self._calls, configuration)

    def _answer(self, members: list[Member]) -> bytes:
        """The responses to remove, update and promote are alike: header and members, in the fields of a list's."""
        return self._calls.headers.field(0) + MemberListResponse(members=members).SerializeToString()

    # -- etcd's rules about members that were added but never started --------------------------------------------

    def _check_started(self, may: Callable[[dict[ServerId, bool]], bool]) -> None:
        if self._strict and not may(started_voters(self._calls)):
            raise errors.MEMBER_NOT_ENOUGH_STARTED.exception()

    @staticmethod
    def _may_add(started: dict[ServerId, bool]) -> bool:
        """Whether those started would be a majority with one more voter; a cluster of one may always grow."""
        voters, running = len(started) + 1, sum(started.values())
        return running >= voters // 2 + 1 or (running == 1 and voters == 2)

    @staticmethod
    def _may_remove(started: dict[ServerId, bool], server_id: ServerId) -> bool:
        """Whether those started would be a majority of the voters left."""
        left = [running for voter, running in started.items() if voter != server_id]
        return sum(left) >= len(left) // 2 + 1
