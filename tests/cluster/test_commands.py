"""`oarlock serve` and `oarlock up` as processes, used as a newcomer would."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.support.grpc_client import EtcdClient, Failure
from tests.support.ports import free_ports
from tests.support.process_cluster import until

from oarlock.etcd.proto.rpc_pb2 import PutRequest, RangeRequest
from oarlock.trace.loaded import load
from oarlock.trace.schema import Kind

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(120)]

ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("ETCD_")}


def free_base() -> int:
    """A port such that it and those `up` derives from it for three servers are free."""
    while True:
        (base,) = free_ports(1)
        if base + 21 > 65535:
            continue
        try:
            for offset in (0, 1, 10, 11, 20, 21):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", base + offset))
        except OSError:
            continue
        return base


class Up:
    """A running `oarlock up --json`."""

    def __init__(self, data_dir: Path, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "oarlock.cli.main", "up", "--json", "--data-dir", str(data_dir), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=ENVIRONMENT,
        )

    async def event(self, name: str) -> dict[str, Any]:
        """Read events until the one named."""
        assert self.process.stdout is not None
        while True:
            line = await asyncio.wait_for(asyncio.to_thread(self.process.stdout.readline), 60)
            assert line, self.process.communicate()[1]
            event: dict[str, Any] = json.loads(line)
            if event["event"] == name:
                return event

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        self.process.communicate(timeout=60)


def alive(pid: int) -> bool:
    """Whether a process is there, and not just waiting to be reaped."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def test_up_heals_and_persists(tmp_path: Path) -> None:
    """`up` starts three servers; one that is killed is started again; Ctrl-C stops all; the data are there next time."""
    base = free_base()
    up = Up(tmp_path / "data", "--port", str(base))
    try:
        ready = await up.event("ready")
        servers = ready["servers"]
        assert [server["client_url"] for server in servers] == [f"http://127.0.0.1:{base + 10 * at}" for at in range(3)]
        async with EtcdClient(f"127.0.0.1:{base}") as client:
            answer = await client.call("KV.Put", PutRequest(key=b"hello", value=b"world"))
            assert not isinstance(answer, Failure), answer
        os.kill(servers[1]["pid"], signal.SIGKILL)
        died = await up.event("died")
        assert died["server"] == "s2"
        assert died["reason"] == "was killed by SIGKILL"
        started = await up.event("started")
        assert started["pid"] != servers[1]["pid"]
        async with EtcdClient(f"127.0.0.1:{base + 10}") as client:

            async def answers() -> bool:
                answer = await client.call("KV.Range", RangeRequest(key=b"hello"), timeout_s=2)
                return not isinstance(answer, Failure) and answer.kvs[0].value == b"world"

            await until(answers, "the server started again answers")
    finally:
        up.end()
    assert up.process.returncode == 0
    assert not any(alive(server["pid"]) for server in servers)
    up = Up(tmp_path / "data")
    try:
        await up.event("ready")
        async with EtcdClient(f"127.0.0.1:{base + 20}") as client:
            answer = await client.call("KV.Range", RangeRequest(key=b"hello"))
            assert answer.kvs[0].value == b"world"
    finally:
        up.end()


async def test_up_leaves_no_orphans(tmp_path: Path) -> None:
    """Even where `up` itself is killed with kill -9, its servers end."""
    up = Up(tmp_path / "data", "--port", str(free_base()), "--servers", "1")
    try:
        ready = await up.event("ready")
    finally:
        up.process.kill()
        up.process.communicate()
    pid = ready["servers"][0]["pid"]
    await until(lambda: not alive(pid), "the server has ended")


async def test_up_records_every_server(tmp_path: Path) -> None:
    """`--trace` names a directory, and each server gets a file there."""
    up = Up(tmp_path / "data", "--port", str(free_base()), "--servers", "1", "--trace", str(tmp_path / "traces"))
    try:
        await up.event("ready")
    finally:
        up.end()
    recorded = load(tmp_path / "traces" / "s1.jsonl")
    assert list(recorded.header.nodes.values()) == ["s1"]
    assert recorded.events[0].k is Kind.RESTART


def serve(*arguments: str, timeout_s: float = 30) -> subprocess.CompletedProcess[str]:
    """Run `oarlock serve` to its end."""
    return subprocess.run(
        [sys.executable, "-m", "oarlock.cli.main", "serve", *arguments],
        capture_output=True,
        text=True,
        timeout=timeout_s,
        env=ENVIRONMENT,
        check=False,
    )


def serving(arguments: list[str]) -> "subprocess.Popen[str]":
    """Start `oarlock serve` and wait until it says that it is ready."""
    running = subprocess.Popen(
        [sys.executable, "-m", "oarlock.cli.main", "serve", *arguments],
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
    )
    assert running.stderr is not None
    while "ready to serve client requests" not in running.stderr.readline():
        assert running.poll() is None
    return running


def one_server(directory: Path, client_port: int, peer_port: int) -> list[str]:
    client, peer = f"http://127.0.0.1:{client_port}", f"http://127.0.0.1:{peer_port}"
    return [
        *(f"--data-dir={directory}", f"--listen-client-urls={client}", f"--advertise-client-urls={client}"),
        *(f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}", "--log-format=console"),
    ]


async def test_serve_that_cannot_start(tmp_path: Path) -> None:
    """A busy port, a directory in use, another cluster's data: status 1 and one line that names it."""
    client_port, peer_port, other_port, another_port = free_ports(4)
    arguments = one_server(tmp_path / "data", client_port, peer_port)
    running = await asyncio.to_thread(serving, arguments)
    try:
        for flags, message in (
            (one_server(tmp_path / "other", other_port, peer_port), f"cannot listen on 127.0.0.1:{peer_port}: address"),
            (
                one_server(tmp_path / "third", client_port, other_port),
                f"cannot listen on 127.0.0.1:{client_port}: address",
            ),
            (one_server(tmp_path / "data", other_port, peer_port), f"is in use by process {running.pid}"),
        ):
            ended = await asyncio.to_thread(serve, *flags)
            assert ended.returncode == 1
            assert message in ended.stderr.splitlines()[-1], ended.stderr
            assert "Traceback" not in ended.stderr
    finally:
        running.send_signal(signal.SIGTERM)
        running.communicate(timeout=30)
    assert running.returncode == 0
    ended = await asyncio.to_thread(serve, *one_server(tmp_path / "data", client_port, another_port))
    assert ended.returncode == 1
    assert "belongs to cluster" in ended.stderr.splitlines()[-1]


async def test_second_signal_ends_at_once(tmp_path: Path) -> None:
    """A second SIGINT does not wait for what is under way."""
    running = await asyncio.to_thread(serving, one_server(tmp_path, *free_ports(2)))
    running.send_signal(signal.SIGSTOP)
    running.send_signal(signal.SIGINT)
    running.send_signal(signal.SIGTERM)
    running.send_signal(signal.SIGCONT)
    _, log = await asyncio.to_thread(running.communicate, timeout=30)
    assert running.returncode in (128 + signal.SIGTERM, 128 + signal.SIGINT)
    assert "second signal" in log
