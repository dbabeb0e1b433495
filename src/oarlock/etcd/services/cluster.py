"""etcdserverpb.Cluster: who the members are. Changing them comes later."""

import hashlib
from collections.abc import Awaitable, Iterable, Mapping, Sequence

import msgspec

from oarlock.etcd.grpc import GrpcServer, RpcContext
from oarlock.etcd.proto.rpc_pb2 import Member, MemberListRequest
from oarlock.etcd.requests import parse
from oarlock.etcd.services.calls import Calls
from oarlock.mvcc.keyvalue import varint
from oarlock.raft.types import ServerId


class Peer(msgspec.Struct, frozen=True):
    """A member as the cluster was configured with it."""

    name: str
    peer_urls: tuple[str, ...]


def member_id(peer_urls: Iterable[str], cluster_token: str) -> ServerId:
    """The id etcd gives a member of a new cluster: from its peer URLs and the token, so all members agree.

    Args:
        peer_urls: As advertised, in any order.
        cluster_token: The value of `--initial-cluster-token`.
    """
    return _first_eight_bytes("".join(sorted(peer_urls)).encode() + cluster_token.encode())


def cluster_id(member_ids: Iterable[ServerId]) -> int:
    """The id etcd gives a new cluster: from the ids of its members."""
    return _first_eight_bytes(b"".join(member.to_bytes(8, "big") for member in sorted(member_ids)))


def _first_eight_bytes(data: bytes) -> int:
    return int.from_bytes(hashlib.sha1(data, usedforsecurity=False).digest()[:8], "big")


class ClusterService:
    """Handlers of the Cluster service."""

    def __init__(self, calls: Calls, peers: Mapping[ServerId, Peer]) -> None:
        self._calls = calls
        self._peers = peers

    def register(self, server: GrpcServer) -> None:
        """Add the handlers to a server."""
        server.add_unary("/etcdserverpb.Cluster/MemberList", self._calls.with_leader(self.member_list))

    def member_list(self, data: bytes, context: RpcContext) -> bytes | Awaitable[bytes]:
        """MemberList; clients of 3.5 ask for a linearizable one."""
        if parse(MemberListRequest, data).linearizable:
            return self._calls.read(context, self._list)
        return self._calls.read_local(self._list)

    def members(self) -> Sequence[Member]:
        """Every member in order of id; one that has not started yet has neither name nor client URLs."""
        status = self._calls.cluster.status()
        published = self._calls.machine.members
        members = []
        for server_id in sorted((*status.voters, *status.learners)):
            peer = self._peers.get(server_id)
            member = Member(
                ID=server_id,
                peerURLs=peer.peer_urls if peer is not None else (),
                isLearner=server_id in status.learners,
            )
            if server_id in published:
                member.name = published[server_id].name
                member.clientURLs.extend(published[server_id].clientURLs)
            members.append(member)
        return members

    def _list(self) -> bytes:
        response = self._calls.headers.field(0)
        for member in self.members():
            field = member.SerializeToString()
            response += b"\x12" + varint(len(field)) + field
        return response
