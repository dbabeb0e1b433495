"""Ready objects from threads, by way of the blocking twin: nothing of them is written twice."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Empty
from typing import Any

import pytest
from tests.support.object_cluster import SETTINGS
from tests.support.ports import free_ports

from oarlock.blocking import Node, blocking
from oarlock.replica.objects import ReplicatedBarrier, ReplicatedDict, ReplicatedLock, ReplicatedQueue

DEADLINE_S = 30.0


def _until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_threads_wait_hold_and_read(tmp_path: Path) -> None:
    """A lock excludes threads, a queue and a barrier make them wait, a mapping reads as one, and errors are Python's."""
    address = f"127.0.0.1:{free_ports(1)[0]}"
    objects: list[Any] = [ReplicatedDict("d"), ReplicatedLock("l"), ReplicatedQueue("q"), ReplicatedBarrier("b", 3)]
    with (
        Node(address, data_dir=tmp_path, peers=[address], objects=objects, settings=SETTINGS),
        ThreadPoolExecutor(3) as pool,
    ):
        d, lock, queue, barrier = (blocking(one) for one in objects)
        d.update({"a": [1], "b": 2})
        assert (d["a"], "b" in d, len(d), sorted(d), d.get("c")) == ([1], True, 2, ["a", "b"], None)
        assert d.read("get", "b") == 2
        with pytest.raises(KeyError, match="c"):
            d.delete("c")

        inside = 0
        most = 0
        tokens = []

        def work(_number: int) -> None:
            nonlocal inside, most
            with lock.hold(lease_ms=10_000) as lease:
                inside += 1
                most = max(most, inside)
                tokens.append(lease.token)
                threading.Event().wait(0.01)
                assert lease.is_held()
                inside -= 1

        list(pool.map(work, range(6)))
        assert most == 1
        assert tokens == sorted(set(tokens))

        with pytest.raises(Empty, match="nothing came in time"):
            queue.get(timeout_s=0.01)
        waiting = pool.submit(queue.get)
        queue.put("item")
        assert waiting.result(DEADLINE_S) == "item"
        parties = [pool.submit(barrier.wait) for _ in range(2)]
        _until(lambda: barrier.n_waiting == 2)
        assert sorted([barrier.wait(), *(party.result(DEADLINE_S) for party in parties)]) == [0, 1, 2]
