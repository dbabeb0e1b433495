"""The Cluster service and MoveLeader against a real etcd: one server each, which learners and voters are added to."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.message import Message
from tests.support.etcd_process import EtcdProcess, etcd_3_5
from tests.support.grpc_client import EtcdClient, Failure
from tests.support.process_cluster import ProcessCluster

from oarlock.etcd.proto.rpc_pb2 import (
    MemberAddRequest,
    MemberListRequest,
    MemberPromoteRequest,
    MemberRemoveRequest,
    MemberUpdateRequest,
    MoveLeaderRequest,
)

pytestmark = [pytest.mark.differential, pytest.mark.cluster, pytest.mark.asyncio(loop_scope="function")]

FREE, OTHER = "http://127.0.0.1:1", "http://127.0.0.1:2"


class Two:
    """One server of each, asked the same things about its members."""

    def __init__(self, theirs: EtcdClient, ours: EtcdClient) -> None:
        self.clients = (theirs, ours)
        self.names: dict[tuple[int, int], str] = {}
        """Ids and URLs stand for what they are the same in: (which server, id) to a name."""
        self.urls: list[str] = []

    async def ids(self) -> list[tuple[int, ...]]:
        """The ids of all members of each, the first server's first."""
        return [
            tuple(member.ID for member in (await client.call("Cluster.MemberList", MemberListRequest())).members)
            for client in self.clients
        ]

    async def same(self, method: str, *requests: Message) -> Any:
        """Ask both, each its own request or both the same one; gives what both answered."""
        answers = [
            await client.call(method, requests[at % len(requests)], timeout_s=6)
            for at, client in enumerate(self.clients)
        ]
        theirs, ours = (self._masked(at, answer) for at, answer in enumerate(answers))
        assert ours == theirs, f"{method} {requests}: etcd {theirs}, Oarlock {ours}"
        return theirs if isinstance(theirs, Failure) else answers

    def _masked(self, at: int, answer: Any) -> Any:
        if isinstance(answer, Failure):
            return answer

        def member(each: Any) -> tuple[object, ...]:
            is_first = bool(each.clientURLs)
            urls = "its own" if is_first else sorted(each.peerURLs)
            return bool(each.ID), bool(each.name), is_first, urls, each.isLearner

        members = sorted(map(repr, map(member, getattr(answer, "members", ()))))
        added = member(answer.member) if hasattr(answer, "member") else None
        header = answer.header if answer.HasField("header") else None
        return type(answer).__name__, added, members, header and (bool(header.cluster_id), header.revision)


@pytest.fixture
async def two(tmp_path: Path) -> AsyncIterator[Two]:
    """Fresh servers, as a test leaves them without a majority."""
    (tmp_path / "etcd").mkdir()
    with EtcdProcess(etcd_3_5(), tmp_path / "etcd") as etcd:
        async with ProcessCluster(tmp_path, 1) as cluster, EtcdClient(etcd.endpoint) as theirs:
            yield Two(theirs, cluster.client(cluster.servers[0]))


async def test_changes_and_their_refusals(two: Two) -> None:
    """Each refusal has etcd's code and text, each success etcd's answer."""
    (their_id,), (our_id,) = await two.ids()
    for urls in ([], ["x"], ["ftp://a:1"], ["http://a"], ["http://a:1/path"], [FREE, "x"]):
        await two.same("Cluster.MemberAdd", MemberAddRequest(peerURLs=urls))
    await two.same("Cluster.MemberRemove", MemberRemoveRequest(ID=77))
    await two.same("Cluster.MemberUpdate", MemberUpdateRequest(ID=77, peerURLs=[FREE]))
    await two.same("Cluster.MemberUpdate", MemberUpdateRequest(ID=77, peerURLs=["x"]))
    await two.same("Cluster.MemberPromote", MemberPromoteRequest(ID=77))
    await two.same("Cluster.MemberRemove", MemberRemoveRequest(ID=their_id), MemberRemoveRequest(ID=our_id))
    await two.same("Maintenance.MoveLeader", MoveLeaderRequest(targetID=77))
    await two.same("Maintenance.MoveLeader", MoveLeaderRequest(targetID=their_id), MoveLeaderRequest(targetID=our_id))

    added = await two.same("Cluster.MemberAdd", MemberAddRequest(peerURLs=[OTHER, FREE], isLearner=True))
    learners = [answer.member.ID for answer in added]
    await two.same("Cluster.MemberList", MemberListRequest(linearizable=True))
    await two.same("Cluster.MemberAdd", MemberAddRequest(peerURLs=[FREE], isLearner=True))
    await two.same("Cluster.MemberAdd", MemberAddRequest(peerURLs=[FREE]))
    await two.same("Cluster.MemberAdd", MemberAddRequest(peerURLs=["http://127.0.0.1:3"], isLearner=True))
    await two.same("Cluster.MemberPromote", *(MemberPromoteRequest(ID=each) for each in learners))
    await two.same("Maintenance.MoveLeader", *(MoveLeaderRequest(targetID=each) for each in learners))
    await two.same(
        "Cluster.MemberUpdate",
        MemberUpdateRequest(ID=their_id, peerURLs=[OTHER]),
        MemberUpdateRequest(ID=our_id, peerURLs=[OTHER]),
    )
    for urls in ([FREE + "0"], [FREE + "0"], [FREE + "2", FREE + "3"]):
        await two.same(
            "Cluster.MemberUpdate",
            MemberUpdateRequest(ID=their_id, peerURLs=urls),
            MemberUpdateRequest(ID=our_id, peerURLs=urls),
        )
    await two.same("Cluster.MemberRemove", *(MemberRemoveRequest(ID=each) for each in learners))
    for method, request in (
        ("Cluster.MemberRemove", MemberRemoveRequest),
        ("Cluster.MemberPromote", MemberPromoteRequest),
    ):
        await two.same(method, *(request(ID=each) for each in learners))
    await two.same("Cluster.MemberUpdate", *(MemberUpdateRequest(ID=each, peerURLs=[FREE]) for each in learners))
    await two.same("Cluster.MemberList", MemberListRequest())

    # The second voter can be added although it does not run; from then on there is no majority.
    await two.same("Cluster.MemberAdd", MemberAddRequest(peerURLs=[FREE]))


async def test_updating_a_learner(two: Two) -> None:
    """It stays a learner, and is told so; etcd 3.5.1 forgets that. URLs must be such, which etcd does not look at."""
    ours = two.clients[1]
    added = await ours.call("Cluster.MemberAdd", MemberAddRequest(peerURLs=[FREE], isLearner=True))
    update = MemberUpdateRequest(ID=added.member.ID, peerURLs=[OTHER])
    answer = await ours.call("Cluster.MemberUpdate", update)
    updated = next(member for member in answer.members if member.ID == added.member.ID)
    assert updated.isLearner
    assert updated.peerURLs == [OTHER]
    answer = await ours.call("Cluster.MemberUpdate", MemberUpdateRequest(ID=added.member.ID, peerURLs=["x"]))
    assert answer == Failure("INVALID_ARGUMENT", "etcdserver: given member URLs are invalid")


async def test_promoting_a_voter(two: Two) -> None:
    """Refused as etcd's table of errors says; etcd 3.5.1 itself never answers."""
    _, (our_id,) = await two.ids()
    answer = await two.clients[1].call("Cluster.MemberPromote", MemberPromoteRequest(ID=our_id))
    assert answer == Failure("FAILED_PRECONDITION", "etcdserver: can only promote a learner member")
