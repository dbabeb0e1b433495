"""The Cluster service, MoveLeader and what learners answer, over a node that a test can shape."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.support.grpc_client import EtcdClient, Failure
from tests.support.local_node import SERVER_ID
from tests.support.local_server import LocalServer
from tests.support.pair import compact, delete, get, put, txn

from oarlock.etcd.proto import rpc_pb2 as rpc
from oarlock.etcd.services.cluster import added_member_id
from oarlock.etcd.services.members import member_buckets
from oarlock.node import errors as node_errors

URL = "http://127.0.0.1:7"
LEARNER_REFUSES = Failure("UNAVAILABLE", "etcdserver: rpc not supported for learner")
NOT_STARTED = Failure("UNKNOWN", "etcdserver: re-configuration failed due to not enough started members")


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[LocalServer]:
    """A server of our own."""
    async with LocalServer(tmp_path) as server:
        yield server


@pytest.fixture
async def client(server: LocalServer) -> AsyncIterator[EtcdClient]:
    """Its client."""
    async with EtcdClient(server.endpoint) as client:
        yield client


async def add(client: EtcdClient, url: str, *, learner: bool = False) -> object:
    """MemberAdd."""
    return await client.call("Cluster.MemberAdd", rpc.MemberAddRequest(peerURLs=[url], isLearner=learner))


def test_ids_of_added_members() -> None:
    """etcd's: SHA-1 of the sorted URLs and the seconds since 1970, written in decimal."""
    assert added_member_id(["http://b:1", "http://a:1"], 1_700_000_000) == 0x7B97_7714_42AC_AE57
    assert added_member_id(["b", "a"], 1) == added_member_id(["a", "b"], 1) != added_member_id(["a", "b"], 2)


async def test_members_that_never_started(server: LocalServer, client: EtcdClient) -> None:
    """A cluster is not made to depend on members that never ran, unless the check is off; learners do not count."""
    added = await add(client, URL)
    assert isinstance(added, rpc.MemberAddResponse)
    assert [member.name for member in added.members if member.ID == added.member.ID] == [""]
    assert await add(client, "http://127.0.0.1:8") == NOT_STARTED
    learner = await add(client, "http://127.0.0.1:9", learner=True)
    assert isinstance(learner, rpc.MemberAddResponse)
    remove = await client.call("Cluster.MemberRemove", rpc.MemberRemoveRequest(ID=SERVER_ID))
    assert remove == NOT_STARTED
    for member in (learner.member, added.member):
        answer = await client.call("Cluster.MemberRemove", rpc.MemberRemoveRequest(ID=member.ID))
        assert member.ID not in [left.ID for left in answer.members]
    server.node.unhealthy = True
    assert await add(client, URL) == Failure("UNAVAILABLE", "etcdserver: unhealthy cluster")


@pytest.mark.parametrize(
    ("failure", "code", "message"),
    [
        (node_errors.ChangeTimeout(), "UNAVAILABLE", "etcdserver: request timed out"),
        (node_errors.NoLeader(), "UNAVAILABLE", "etcdserver: request timed out"),
        (node_errors.Stopped(), "UNAVAILABLE", "etcdserver: server stopped"),
        (node_errors.Overloaded(), "RESOURCE_EXHAUSTED", "etcdserver: too many requests"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
async def test_changes_that_fail(
    server: LocalServer, client: EtcdClient, failure: Exception, code: str, message: str
) -> None:
    """The node's failures have etcd's names."""
    server.node.failure = failure  # type: ignore[assignment]
    assert await add(client, URL) == Failure(code, message)


async def test_what_a_learner_answers(server: LocalServer, client: EtcdClient) -> None:
    """Status and serializable reads; everything else is refused as etcd does."""
    await client.call(*put(b"k", b"v"))
    server.node.is_learner = True
    refused = [put(b"k"), delete(b"k"), txn(None, [get(b"k")]), compact(1), get(b"k")]
    for call in refused:
        assert await client.call(*call) == LEARNER_REFUSES
    for method, request in (
        ("Cluster.MemberList", rpc.MemberListRequest()),
        ("Cluster.MemberAdd", rpc.MemberAddRequest(peerURLs=[URL])),
        ("Maintenance.Alarm", rpc.AlarmRequest()),
        ("Maintenance.HashKV", rpc.HashKVRequest()),
        ("Maintenance.MoveLeader", rpc.MoveLeaderRequest(targetID=SERVER_ID)),
    ):
        assert await client.call(method, request) == LEARNER_REFUSES
    assert (await client.call(*get(b"k", serializable=True))).kvs[0].value == b"v"
    assert (await client.call("Maintenance.Status", rpc.StatusRequest())).dbSize > 0


async def test_moving_leadership(server: LocalServer, client: EtcdClient) -> None:
    """Only the leader moves it, to itself or another voter."""
    move = "Maintenance.MoveLeader"
    assert await client.call(move, rpc.MoveLeaderRequest(targetID=SERVER_ID)) == rpc.MoveLeaderResponse()
    unknown = await client.call(move, rpc.MoveLeaderRequest(targetID=5))
    assert unknown == Failure("FAILED_PRECONDITION", "etcdserver: bad leader transferee")
    server.node.leader_id = 5
    answer = await client.call(move, rpc.MoveLeaderRequest(targetID=5))
    assert answer == Failure("FAILED_PRECONDITION", "etcdserver: not leader")


async def test_members_in_the_exported_database(server: LocalServer, client: EtcdClient) -> None:
    """The buckets hold members as etcd's JSON, and the ids of those that were removed."""
    learner = await add(client, URL, learner=True)
    gone = await add(client, "http://127.0.0.1:8")
    assert isinstance(learner, rpc.MemberAddResponse)
    assert isinstance(gone, rpc.MemberAddResponse)
    await client.call("Cluster.MemberRemove", rpc.MemberRemoveRequest(ID=gone.member.ID))
    buckets = member_buckets(server.server._calls)
    assert buckets["members_removed"] == {b"%x" % gone.member.ID: b"removed"}
    assert {key: json.loads(value) for key, value in buckets["members"].items()} == {
        b"a11ce": {
            "id": SERVER_ID,
            "peerURLs": ["http://127.0.0.1:2380"],
            "name": "ours",
            "clientURLs": ["http://127.0.0.1:2379"],
        },
        b"%x" % learner.member.ID: {"id": learner.member.ID, "peerURLs": [URL], "isLearner": True},
    }
