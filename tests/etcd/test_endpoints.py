"""The plain HTTP endpoints, beside a real etcd's where it has them."""

import asyncio
import http.client
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.support.etcd_process import EtcdProcess, etcd_3_5
from tests.support.grpc_client import EtcdClient
from tests.support.local_server import LocalServer
from tests.support.pair import get, put

from oarlock.etcd.proto import rpc_pb2 as rpc
from oarlock.node.errors import ReadTimeout


class Page:
    """An HTTP answer."""

    def __init__(self, endpoint: str, path: str, method: str = "GET") -> None:
        connection = http.client.HTTPConnection(endpoint, timeout=10)
        connection.request(method, path)
        answer = connection.getresponse()
        self.status = answer.status
        self.body = answer.read().decode()
        self.content_type = answer.headers["Content-Type"]
        connection.close()


async def page(server: LocalServer, path: str, method: str = "GET") -> Page:
    """Ask for a page while this loop goes on serving."""
    return await asyncio.to_thread(Page, server.endpoint, path, method)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[LocalServer]:
    """A server of our own."""
    async with LocalServer(tmp_path) as server:
        yield server


async def raise_alarm(server: LocalServer, alarm: int) -> None:
    async with EtcdClient(server.endpoint) as client:
        request = rpc.AlarmRequest(action=rpc.AlarmRequest.ACTIVATE, memberID=1, alarm=alarm)  # type: ignore[arg-type]
        await client.call("Maintenance.Alarm", request)


async def test_version(server: LocalServer) -> None:
    """Two strictly dotted versions of etcd 3.5, as JSON without blanks."""
    answer = await page(server, "/version")
    assert answer.body == '{"etcdserver":"3.5.21","etcdcluster":"3.5.0"}'
    assert answer.content_type == "application/json"


async def test_healthy(server: LocalServer) -> None:
    """All probes say so."""
    for path in ("/health", "/health?serializable=true", "/health?exclude=NOSPACE"):
        answer = await page(server, path)
        assert (answer.status, answer.body) == (200, '{"health":"true","reason":""}')
    for path in ("/livez", "/readyz", "/readyz/linearizable_read", "/livez?exclude=serializable_read"):
        answer = await page(server, path)
        assert (answer.status, answer.body, answer.content_type) == (200, "ok\n", "text/plain; charset=utf-8")


async def test_verbose_probes(server: LocalServer) -> None:
    """Each check has its line; excluded ones have none."""
    assert (await page(server, "/livez?verbose")).body == "[+]serializable_read ok\nok\n"
    answer = await page(server, "/readyz?verbose&exclude=non_learner&exclude=data_corruption")
    assert answer.body == "[+]disk_space ok\n[+]linearizable_read ok\n[+]serializable_read ok\nok\n"


async def test_no_leader(server: LocalServer) -> None:
    """Without a leader the server is alive but neither healthy nor ready."""
    server.node.leader_id = None
    server.node.failure = ReadTimeout("no leader")
    answer = await page(server, "/health")
    assert (answer.status, answer.body) == (503, '{"health":"false","reason":"RAFT NO LEADER"}\n')
    assert (await page(server, "/health?serializable=true")).status == 200
    assert (await page(server, "/livez")).status == 200
    answer = await page(server, "/readyz")
    assert answer.status == 503
    assert "[-]linearizable_read failed: etcdserver: request timed out\n" in answer.body
    assert (await page(server, "/readyz?exclude=linearizable_read")).status == 200
    server.node.leader_id = 1
    answer = await page(server, "/health")
    assert answer.body == '{"health":"false","reason":"RANGE ERROR:etcdserver: request timed out"}\n'
    server.node.failure = None


async def test_alarms(server: LocalServer) -> None:
    """They make `/health` fail unless excluded; corruption makes the server unready."""
    await raise_alarm(server, rpc.NOSPACE)
    answer = await page(server, "/health")
    assert (answer.status, answer.body) == (503, '{"health":"false","reason":"ALARM NOSPACE"}\n')
    assert (await page(server, "/health?exclude=NOSPACE")).status == 200
    assert (await page(server, "/readyz")).status == 200
    await raise_alarm(server, rpc.CORRUPT)
    assert (await page(server, "/health?exclude=NOSPACE")).body == '{"health":"false","reason":"ALARM CORRUPT"}\n'
    answer = await page(server, "/readyz/data_corruption")
    assert (answer.status, answer.body) == (503, "[-]data_corruption failed: alarm activated: CORRUPT\n\n")


async def test_full_disk(server: LocalServer) -> None:
    """A server that lacks space is alive and healthy, but not ready, and its metrics say why."""
    assert "\noarlock_disk_full 0.0\n" in (await page(server, "/metrics")).body
    server.node.disk_full = True
    answer = await page(server, "/readyz")
    assert answer.status == 503
    assert "[-]disk_space failed: the disk is full, or nearly so\n" in answer.body
    assert (await page(server, "/readyz?exclude=disk_space")).status == 200
    for path in ("/health", "/livez"):
        assert (await page(server, path)).status == 200
    assert "\noarlock_disk_full 1.0\n" in (await page(server, "/metrics")).body


async def test_methods_and_paths(server: LocalServer) -> None:
    """Only GET, only these paths."""
    assert (await page(server, "/health", "POST")).status == 405
    assert (await page(server, "/readyz/nothing")).status == 404


async def test_the_pages_of_a_real_etcd_are_the_same(server: LocalServer, tmp_path: Path) -> None:
    """Status, content type and body of the pages that etcd 3.5.1 has."""
    with EtcdProcess(etcd_3_5(), tmp_path) as etcd:
        for path, method in (
            ("/health", "GET"),
            ("/health?serializable=true", "GET"),
            ("/health", "POST"),
            ("/nothing", "GET"),
        ):
            theirs = await asyncio.to_thread(Page, etcd.endpoint, path, method)
            ours = await page(server, path, method)
            assert (ours.status, ours.body, ours.content_type) == (theirs.status, theirs.body, theirs.content_type)
        theirs = await asyncio.to_thread(Page, etcd.endpoint, "/version")
        assert theirs.content_type == (await page(server, "/version")).content_type
        await compare_metrics(server, etcd)


async def compare_metrics(server: LocalServer, etcd: EtcdProcess) -> None:
    """Metrics under etcd's names have etcd's types and labels."""
    async with EtcdClient(server.endpoint) as client:
        await client.call(*put(b"a", b"1"))
        await client.call(*get(b""))
    theirs = {
        family.name: family
        for family in text_string_to_metric_families((await asyncio.to_thread(Page, etcd.endpoint, "/metrics")).body)
    }
    ours = {family.name: family for family in text_string_to_metric_families((await page(server, "/metrics")).body)}
    for name, family in ours.items():
        if name.startswith("oarlock_") or name in NOT_SHOWN:
            continue
        assert name in theirs, name
        assert family.type == theirs[name].type, name
        if family.samples and theirs[name].samples and name not in LABELLED_OTHERWISE:
            assert family.samples[0].labels.keys() == theirs[name].samples[0].labels.keys(), name
    calls = {
        (sample.labels["grpc_method"], sample.labels["grpc_code"]): sample.value
        for sample in ours["grpc_server_handled"].samples
    }
    assert calls["Put", "OK"] == 1
    assert calls["Range", "InvalidArgument"] == 1
    values = {sample.name: sample.value for family in ours.values() for sample in family.samples}
    assert values["etcd_server_has_leader"] == values["etcd_server_is_leader"] == 1
    assert values["etcd_mvcc_db_total_size_in_bytes"] >= values["etcd_mvcc_db_total_size_in_use_in_bytes"] > 0
    assert values["etcd_network_client_grpc_received_bytes_total"] > 0
    assert values["process_resident_memory_bytes"] > 0


NOT_SHOWN = {"etcd_network_peer_sent_bytes", "etcd_network_peer_received_bytes"}
"""Metrics that etcd shows only once it has peers."""

LABELLED_OTHERWISE = {"etcd_server_version"}
"""Ours tells our own version too."""
