"""The services over a node that a test can make fail."""

import asyncio
import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.grpc_client import EtcdClient, Failure
from tests.support.local_node import SERVER_ID
from tests.support.local_server import LocalServer
from tests.support.pair import compact, delete, get, put, txn

from oarlock.etcd.proto import election_pb2, health_pb2, lock_pb2
from oarlock.etcd.proto import rpc_pb2 as rpc
from oarlock.etcd.services.calls import DISK_FULL
from oarlock.etcd.services.maintenance import MAX_SNAPSHOTS
from oarlock.etcd.services.unimplemented import every_method
from oarlock.machine.interface import carry_out
from oarlock.mvcc.errors import CorruptStoreError
from oarlock.mvcc.lmdb_backend import LmdbBackend
from oarlock.node import errors as node_errors


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


@pytest.mark.parametrize(
    ("failure", "code", "message"),
    [
        (node_errors.ProposalTimeout(), "UNAVAILABLE", "etcdserver: request timed out"),
        (node_errors.ReadTimeout(), "UNAVAILABLE", "etcdserver: request timed out"),
        (node_errors.ResultUnavailable(), "UNAVAILABLE", "etcdserver: request timed out"),
        (node_errors.NoLeader(), "UNAVAILABLE", "etcdserver: request timed out"),
        (node_errors.Overloaded(), "RESOURCE_EXHAUSTED", "etcdserver: too many requests"),
        (node_errors.ProposalTooLarge(), "INVALID_ARGUMENT", "etcdserver: request is too large"),
        (node_errors.DiskFull(), "RESOURCE_EXHAUSTED", DISK_FULL.message),
        (node_errors.Stopped(), "UNAVAILABLE", "etcdserver: server stopped"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
async def test_failures_of_the_node_have_etcds_names(
    server: LocalServer, client: EtcdClient, failure: Any, code: str, message: str
) -> None:
    """Every call that needs the cluster tells its failure with etcd's code and text; local reads go on."""
    server.node.failure = failure
    for call in (put(b"a"), delete(b"a"), txn(None, [put(b"a")]), compact(1), get(b"a"), txn(None, [get(b"a")])):
        assert await client.call(*call) == Failure(code, message)
    answer = await client.call(*get(b"a", serializable=True))
    assert answer.header.revision == 1
    assert (await client.call("Maintenance.Status", rpc.StatusRequest())).version
    server.node.failure = None


async def test_damaged_store_ends_the_server(server: LocalServer, client: EtcdClient) -> None:
    """Whichever call meets a record that is not what was written, its client is told so, and the server ends."""
    await client.call(*put(b"a", b"value"))
    await server.node.flush()
    backend = server.machine.store.backend
    assert isinstance(backend, LmdbBackend)
    generation = backend._generation
    with generation.env.begin(write=True, db=generation.keys) as transaction, transaction.cursor() as cursor:
        assert cursor.last()
        transaction.put(cursor.key(), cursor.value().replace(b"value", b"valve"))
    backend.refresh()
    corrupt = Failure("DATA_LOSS", "etcdserver: corrupt cluster")
    for call in (
        get(b"a"),
        get(b"a", serializable=True),
        ("Maintenance.HashKV", rpc.HashKVRequest()),
        ("Maintenance.Hash", rpc.HashRequest()),
    ):
        assert await client.call(*call) == corrupt
        assert isinstance(server.node.failed.pop(), CorruptStoreError)
    assert not server.node.failed


async def test_calls_that_require_a_leader(server: LocalServer, client: EtcdClient) -> None:
    """With the metadata `hasleader` a call is refused at once while there is none; others may wait for one."""
    server.node.leader_id = None
    call = get(b"a", serializable=True)
    assert await client.call(*call, metadata=[("hasleader", "true")]) == Failure("UNAVAILABLE", "etcdserver: no leader")
    assert await client.call(*call, metadata=[("hasleader", "false")])
    assert await client.call(*call)
    status = await client.call("Maintenance.Status", rpc.StatusRequest())
    assert status.leader == 0
    assert list(status.errors) == ["etcdserver: no leader"]


class Recording:
    """Notes the time limits that the services give the node, and answers nothing."""

    def __init__(self, server: LocalServer) -> None:
        self.timeouts: list[float] = []
        self.third = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        server.node.propose = self._never  # type: ignore[method-assign]
        server.node.read_barrier = self._never_read  # type: ignore[method-assign]

    def _never(self, command: bytes, timeout: float | None = None) -> asyncio.Future[object]:
        return self._note(timeout)

    def _never_read(self, timeout: float | None = None) -> asyncio.Future[None]:
        return self._note(timeout)

    def _note(self, timeout: float | None) -> asyncio.Future[Any]:
        assert timeout is not None
        self.timeouts.append(timeout)
        if len(self.timeouts) == 3:
            self.third.set()
        return self._loop.create_future()


async def test_deadlines_bound_the_wait(server: LocalServer, client: EtcdClient) -> None:
    """A call waits for the cluster no longer than its client does, and never longer than the server allows."""
    recorded = Recording(server)
    for call in (put(b"a"), get(b"a")):
        assert (await client.call(*call, timeout_s=0.2)).code == "DEADLINE_EXCEEDED"
    assert len(recorded.timeouts) == 2
    assert all(0 < timeout < 0.25 for timeout in recorded.timeouts)
    slow = asyncio.create_task(client.call(*put(b"a"), timeout_s=1000))
    await asyncio.wait_for(recorded.third.wait(), 10)
    assert recorded.timeouts[2] == 7.0
    slow.cancel()


async def test_a_client_that_leaves_is_no_failure(server: LocalServer, client: EtcdClient) -> None:
    """An answer that nobody waits for is dropped, whether it is one or an error."""
    answers: list[asyncio.Future[Any]] = []

    def propose(command: bytes, timeout: float | None = None) -> asyncio.Future[object]:
        answers.append(asyncio.get_running_loop().create_future())
        return answers[-1]

    server.node.propose = propose  # type: ignore[method-assign]
    for outcome in (lambda future: future.set_result((2, b"")), lambda future: future.set_exception(ValueError())):
        call = asyncio.create_task(client.call(*put(b"a"), timeout_s=0.1))
        assert (await call).code == "DEADLINE_EXCEEDED"
        outcome(answers[-1])
    assert (await client.call(*get(b"a"))).header.revision == 1


async def test_the_quota_raises_the_alarm(tmp_path: Path) -> None:
    """A put that does not fit raises NOSPACE for the whole cluster; disarmed and with room, puts go on."""
    async with LocalServer(tmp_path, quota_bytes=400_000) as server, EtcdClient(server.endpoint) as client:
        full = Failure("RESOURCE_EXHAUSTED", "etcdserver: mvcc: database space exceeded")
        answer = None
        for _ in range(50):
            answer = await client.call(*put(b"a", b"v" * 30_000))
            if answer == full:
                break
        assert answer == full
        alarms = (await client.call("Maintenance.Alarm", rpc.AlarmRequest())).alarms
        assert [(alarm.memberID, alarm.alarm) for alarm in alarms] == [(SERVER_ID, rpc.NOSPACE)]
        status = await client.call("Maintenance.Status", rpc.StatusRequest())
        assert list(status.errors) == [f"memberID:{SERVER_ID} alarm:NOSPACE "]
        assert await client.call(*put(b"tiny")) == full
        assert await client.call(*txn(None, [txn(None, [put(b"tiny")])])) == full
        assert (await client.call(*get(b"a"))).count == 1
        assert (await client.call(*delete(b"a"))).deleted == 1
        raised = [command for command in server.node.proposed if command[0] == 5]
        assert len(raised) == 1


async def test_a_negative_quota_is_none(tmp_path: Path) -> None:
    """Nothing is refused."""
    async with LocalServer(tmp_path, quota_bytes=-1) as server, EtcdClient(server.endpoint) as client:
        assert (await client.call(*put(b"a", b"v" * 30_000))).header.revision == 2


async def test_the_limits_are_those_configured(tmp_path: Path) -> None:
    """Request size and number of operations."""
    async with (
        LocalServer(tmp_path, max_request_bytes=1000, max_txn_operations=2) as server,
        EtcdClient(server.endpoint) as client,
    ):
        assert (await client.call(*put(b"a", b"v" * 990))).code == "INVALID_ARGUMENT"
        assert (await client.call(*txn(None, [get(b"a")] * 3))).code == "INVALID_ARGUMENT"
        assert (await client.call(*txn(None, [get(b"a")] * 2))).succeeded
        assert (await client.call(*put(b"a", b"v" * (1000 + 512 * 1024)))).code == "RESOURCE_EXHAUSTED"


async def test_reads_wait_while_the_state_is_replaced(server: LocalServer, client: EtcdClient) -> None:
    """No read sees a half restored store; all are answered from the new one."""
    await client.call(*put(b"a", b"old"))
    view = server.machine.begin_snapshot()
    image = io.BytesIO()
    view.write(image)
    view.close()
    await client.call(*put(b"a", b"newer"))
    await server.node.flush()
    job = server.machine.begin_restore(io.BytesIO(image.getvalue()), view.index)
    calls = [
        asyncio.create_task(client.call(*call))
        for call in (
            get(b"a"),
            get(b"a", serializable=True),
            txn(None, [get(b"a")]),
            ("Maintenance.Status", rpc.StatusRequest()),
            ("Maintenance.HashKV", rpc.HashKVRequest()),
        )
    ]
    done, _ = await asyncio.wait(calls, timeout=0.1)
    assert not done
    await carry_out(job, asyncio.get_running_loop(), None)
    answers = await asyncio.gather(*calls)
    assert [answer.header.revision for answer in answers] == [2] * 5
    assert answers[0].kvs[0].value == answers[1].kvs[0].value == b"old"


async def test_snapshots_sent_at_a_time_are_few(client: EtcdClient) -> None:
    """Clients that do not take their snapshot cannot pin more and more of the database."""
    for number in range(40):
        await client.call(*put(b"k%d" % number, b"v" * 60_000))
    streams = []
    for _ in range(MAX_SNAPSHOTS):
        stream = client._channel.unary_stream("/etcdserverpb.Maintenance/Snapshot")(b"")
        assert await stream.read()
        streams.append(stream)
    answers = [answer async for answer in client.stream("Maintenance.Snapshot", rpc.SnapshotRequest())]
    assert answers == [Failure("RESOURCE_EXHAUSTED", "etcdserver: too many requests")]
    hashed = await client.call("Maintenance.HashKV", rpc.HashKVRequest())
    assert hashed.hash
    for stream in streams:
        stream.cancel()
    loop = asyncio.get_running_loop()
    deadline = loop.time() + 10
    while True:
        answers = [answer async for answer in client.stream("Maintenance.Snapshot", rpc.SnapshotRequest())]
        if len(answers) > 1:
            break
        assert loop.time() < deadline


async def test_what_is_missing_says_so(client: EtcdClient) -> None:
    """Every method of etcd's API is either there or UNIMPLEMENTED with a text that names it."""
    served = {
        "KV.Range", "KV.Put", "KV.DeleteRange", "KV.Txn", "KV.Compact", "Cluster.MemberList", "Cluster.MemberAdd",
        "Cluster.MemberRemove", "Cluster.MemberUpdate", "Cluster.MemberPromote", "Maintenance.Alarm",
        "Maintenance.Status", "Maintenance.Defragment", "Maintenance.Hash", "Maintenance.HashKV",
        "Maintenance.Snapshot", "Maintenance.MoveLeader",
    }  # fmt: skip
    texts = set()
    for path, method in every_method().items():
        name = f"{method.containing_service.name}.{method.name}"
        if name in served:
            continue
        stub = client._channel.stream_stream(path)
        failure = None
        try:
            async for _ in stub(iter([b""]), timeout=5):
                pytest.fail(f"{path} answered")
        except Exception as error:  # noqa: BLE001 - its type depends on the client library
            failure = error
        assert failure.code().name == "UNIMPLEMENTED", path  # type: ignore[union-attr]
        texts.add(failure.details())  # type: ignore[union-attr]
    assert texts == {
        f"oarlock: {what} is not implemented yet"
        for what in (
            "Watch", "Lease", "Auth", "Lock", "Election", "Downgrade",
        )
    }  # fmt: skip
    assert lock_pb2.DESCRIPTOR
    assert election_pb2.DESCRIPTOR


async def test_health_over_grpc(server: LocalServer, client: EtcdClient) -> None:
    """The whole server is SERVING until it stops, which watchers are told; other services are unknown."""
    path = "/grpc.health.v1.Health/"
    response = health_pb2.HealthCheckResponse.FromString
    check = client._channel.unary_unary(path + "Check", response_deserializer=response)
    assert (await check(b"")).status == health_pb2.HealthCheckResponse.SERVING
    with pytest.raises(Exception, match="unknown service"):
        await check(health_pb2.HealthCheckRequest(service="etcdserverpb.KV").SerializeToString())
    watch = client._channel.unary_stream(path + "Watch", response_deserializer=response)
    stream = watch(b"")
    assert (await stream.read()).status == health_pb2.HealthCheckResponse.SERVING
    server.server._health.stop_serving()
    assert (await stream.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
    assert (await check(b"")).status == health_pb2.HealthCheckResponse.NOT_SERVING
    unknown = watch(health_pb2.HealthCheckRequest(service="x").SerializeToString())
    assert (await unknown.read()).status == health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
    unknown.cancel()


async def test_member_ids_are_etcds() -> None:
    """The ids of a known cluster, as etcd computes them."""
    from oarlock.etcd.services.cluster import cluster_id, member_id

    assert f"{member_id(['http://localhost:2380'], 'etcd-cluster'):x}" == "8e9e05c52164694d"
    assert f"{cluster_id([0x8E9E05C52164694D]):x}" == "cdf818194e3a8c32"
