"""The blocking twin: the same objects for threads."""

import asyncio
import threading
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import pytest
from tests.support.ports import free_ports
from tests.support.replicated import Journal, Register

import oarlock
from oarlock.blocking import Blocking, Node, blocking
from oarlock.blocking import deadline as blocking_deadline
from oarlock.replica.objects.dictionary import ReplicatedDict
from oarlock.replica.objects.locks import ReplicatedLock
from oarlock.replica.objects.queues import ReplicatedQueue
from oarlock.storage.errors import DirectoryLocked
from oarlock.testing.clusters import SETTINGS


def test_many_threads_share_one_node(tmp_path: Path) -> None:
    """Commands called from threads block until they are carried out, and none is lost; errors are the method's own."""
    address = f"127.0.0.1:{free_ports(1)[0]}"
    register, settings, lock = Register(), ReplicatedDict("settings"), ReplicatedLock("lock")
    objects = [register, settings, lock]
    with Node(address, data_dir=tmp_path, peers=[address], objects=objects, settings=SETTINGS) as node:
        twin = blocking(register)
        with ThreadPoolExecutor(8) as threads:
            list(threads.map(lambda _: twin.add(1), range(80)))
        assert twin.read("get") == 80
        assert twin.value == 80
        with pytest.raises(KeyError, match="missing"):
            twin.fail("key")
        with pytest.raises(oarlock.NotEncodable):
            twin.set({1, 2})
        held = blocking(settings)
        held.set("a", 1)
        held.set("b", 2)
        assert (len(held), "a" in held, held["b"], list(held), dict(held.items())) == (
            2,
            True,
            2,
            ["a", "b"],
            {"a": 1, "b": 2},
        )
        with blocking(lock).hold(lease_ms=5000) as lease:
            assert blocking(lock).locked()
            assert lease.is_held()
        assert not blocking(lock).locked()
        session = node.open_session()
        assert isinstance(session, Blocking)
        assert [session.call(register.add, 1, serial=1) for _ in range(2)] == [81, 81]
        assert node.status().role == "leader"
        assert node.is_leader
        assert node.read(register.get) == 81


def test_a_machine_in_threads(tmp_path: Path) -> None:
    """A whole state machine works alike, and a deadline is kept where nothing can be committed."""
    addresses = [f"127.0.0.1:{port}" for port in free_ports(2)]
    with Node(addresses[0], data_dir=tmp_path / "a", peers=addresses, machine=Journal(), settings=SETTINGS) as node:
        with blocking_deadline(0.1), pytest.raises(oarlock.NoLeader):
            node.propose("alone")
        other = Node(addresses[1], data_dir=tmp_path / "b", peers=addresses, machine=Journal(), settings=SETTINGS)
        with other:
            assert node.propose("together") == [1, 1]
            assert other.propose("again") == [2, 1]


def test_it_ends_its_threads(tmp_path: Path) -> None:
    """Nothing of a node that was stopped, or could not start, goes on."""
    before = set(threading.enumerate())
    address = f"127.0.0.1:{free_ports(1)[0]}"
    arguments: dict[str, Any] = {"peers": [address], "settings": SETTINGS}
    with (
        Node(address, data_dir=tmp_path, objects=[Register()], **arguments),
        pytest.raises(DirectoryLocked),
    ):
        Node(address, data_dir=tmp_path, objects=[Register()], **arguments).start()
    assert {thread for thread in threading.enumerate() if not thread.name.startswith("asyncio")} <= before


async def test_blocking_the_own_loop_is_refused(tmp_path: Path) -> None:
    """On the loop itself it would wait for itself for ever."""
    address = f"127.0.0.1:{free_ports(1)[0]}"
    register = Register()
    async with oarlock.Node(address, data_dir=tmp_path, peers=[address], objects=[register], settings=SETTINGS):
        with pytest.raises(RuntimeError, match="await, instead of blocking"):
            blocking(register).add(1)
        assert await asyncio.to_thread(lambda: blocking(register).add(1)) == 1


def test_threads_that_wait_are_let_go_at_the_end(tmp_path: Path) -> None:
    """A thread that waits for an item, and whoever calls after the end, get `Stopped`, and no thread is left waiting."""
    address = f"127.0.0.1:{free_ports(1)[0]}"
    queue = ReplicatedQueue[int]("queue")
    node = Node(address, data_dir=tmp_path, peers=[address], objects=[queue], settings=SETTINGS)
    node.start()
    twin = blocking(queue)
    with ThreadPoolExecutor(4) as threads:
        waiting = [threads.submit(twin.get) for _ in range(4)]
        twin.put(1)
        wait(waiting, timeout=20.0, return_when=FIRST_COMPLETED)
        node.stop()
        ends = sorted(type(future.exception(20.0)).__name__ for future in waiting)
    assert ends == ["NoneType", "Stopped", "Stopped", "Stopped"]
    for call in (lambda: twin.get(), lambda: len(twin), lambda: node.status()):  # noqa: PLW0108 - looked up as well
        with pytest.raises(oarlock.Stopped, match="the node has stopped"):
            call()
