"""etcdctl, as people use it: Debian's 3.4 and 3.5.1 against a server of ours."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.support.etcd_process import EtcdProcess, etcd_3_5, etcdctl_3_4, etcdctl_3_5, etcdutl_3_5
from tests.support.etcdctl import Ran, etcdctl
from tests.support.local_server import LocalServer


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[LocalServer]:
    """A server of our own."""
    async with LocalServer(tmp_path / "ours") as server:
        yield server


@pytest.fixture(params=["3.4", "3.5"])
def program(request: pytest.FixtureRequest) -> list[str]:
    """Both releases of etcdctl."""
    return etcdctl_3_4() if request.param == "3.4" else etcdctl_3_5()


async def run(program: list[str], server: LocalServer, *arguments: str, stdin: str = "") -> Ran:
    return await etcdctl(program, server.endpoint, *arguments, stdin=stdin)


async def test_keys(program: list[str], server: LocalServer) -> None:
    """put, get with its options, del."""
    for key, value in (("app/a", "1"), ("app/b", "2"), ("app/c", "3"), ("zoo", "4")):
        assert (await run(program, server, "put", key, value)).output == "OK\n"
    assert (await run(program, server, "put", "zoo", "5", "--prev-kv")).output == "OK\nzoo\n4\n"
    assert (await run(program, server, "get", "app/a")).output == "app/a\n1\n"
    everything = await run(program, server, "get", "--prefix", "app/", "--order=DESCEND", "--sort-by=KEY")
    assert everything.output == "app/c\n3\napp/b\n2\napp/a\n1\n"
    assert (await run(program, server, "get", "--prefix", "app/", "--keys-only", "--limit=1")).output == "app/a\n\n"
    assert (await run(program, server, "get", "app/a", "--print-value-only", "--consistency=s")).output == "1\n"
    counted = json.loads((await run(program, server, "get", "--from-key", "app/b", "-w", "json")).output)
    assert counted["count"] == 3
    assert (await run(program, server, "del", "--prefix", "app/", "--prev-kv")).output.startswith("3\napp/a\n1\n")
    assert (await run(program, server, "get", "", "--prefix")).output == "zoo\n5\n"


async def test_transactions(program: list[str], server: LocalServer) -> None:
    """Txn -i, both branches."""
    await run(program, server, "put", "user", "old")
    script = 'value("user") = "old"\n\nput user new\nget user\n\nput user none\n\n'
    first = await run(program, server, "txn", "--interactive", stdin=script)
    assert "SUCCESS" in first.output
    assert first.output.endswith("user\nnew\n")
    second = await run(program, server, "txn", "--interactive", stdin=script)
    assert "FAILURE" in second.output
    assert (await run(program, server, "get", "user")).output == "user\nnone\n"


async def test_compaction(program: list[str], server: LocalServer) -> None:
    """compact, and the error of reading what it took."""
    for number in range(4):
        await run(program, server, "put", "k", str(number))
    assert (await run(program, server, "compact", "4", "--physical")).output == "compacted revision 4\n"
    assert (await run(program, server, "get", "k", "--rev=4")).output == "k\n2\n"
    old = await run(program, server, "get", "k", "--rev=3")
    assert old.status != 0
    assert "etcdserver: mvcc: required revision has been compacted" in old.complaint
    again = await run(program, server, "compact", "4")
    assert "etcdserver: mvcc: required revision has been compacted" in again.complaint


async def test_status_members_and_alarms(program: list[str], server: LocalServer) -> None:
    """Endpoint status, endpoint health, endpoint hashkv, member list, alarm list and disarm."""
    await run(program, server, "put", "k", "v")
    status = json.loads((await run(program, server, "endpoint", "status", "-w", "json")).output)
    assert status[0]["Status"]["version"] == "3.5.21"
    assert status[0]["Status"]["header"]["revision"] == 2
    table = (await run(program, server, "endpoint", "status", "-w", "table")).output
    assert "3.5.21" in table
    assert "true" in table
    assert "is healthy" in "".join((await run(program, server, "endpoint", "health"))[1:])
    hashed = json.loads((await run(program, server, "endpoint", "hashkv", "-w", "json")).output)
    assert hashed[0]["HashKV"]["hash"] > 0
    members = await run(program, server, "member", "list")
    assert members.output == "a11ce, started, ours, http://127.0.0.1:2380, http://127.0.0.1:2379, false\n"
    assert (await run(program, server, "alarm", "list")).output == ""
    assert (await run(program, server, "alarm", "disarm")).status == 0
    assert "Finished defragmenting" in "".join((await run(program, server, "defrag"))[1:])


async def test_what_is_missing_fails_clearly(program: list[str], server: LocalServer) -> None:
    """A command that needs what is not there yet says so."""
    answer = await run(program, server, "lease", "grant", "10")
    assert answer.status != 0
    assert "oarlock: Lease is not implemented yet" in answer.complaint


async def test_snapshots(program: list[str], server: LocalServer, tmp_path: Path) -> None:
    """Snapshot save and status, and a real etcd that is started from it."""
    for number in range(30):
        await run(program, server, "put", f"key{number:02}", "v" * (number * 500))
    await run(program, server, "del", "key07")
    saved = tmp_path / "saved.db"
    assert (await run(program, server, "snapshot", "save", str(saved))).status == 0
    status = json.loads((await etcdctl(program, "", "snapshot", "status", str(saved), "-w", "json")).output)
    assert status["revision"] == 32
    # As etcd counts: every record of the database's buckets.
    assert status["totalKey"] >= 31

    restored = await etcdctl(
        etcdutl_3_5(),
        "",
        "snapshot", "restore", str(saved), f"--data-dir={tmp_path / 'data'}", "--name=oracle",
        "--initial-cluster=oracle=http://127.0.0.1:1", "--initial-advertise-peer-urls=http://127.0.0.1:1",
    )  # fmt: skip
    assert restored.status == 0, restored.complaint
    with EtcdProcess(etcd_3_5(), tmp_path) as etcd:
        there = await etcdctl(program, etcd.endpoint, "get", "", "--prefix", "-w", "json")
        here = await run(program, server, "get", "", "--prefix", "-w", "json")
        assert json.loads(there.output)["kvs"] == json.loads(here.output)["kvs"]
