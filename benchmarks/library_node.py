"""One server of the library in a process of its own, driven from inside: `python -m benchmarks.library_node`.

It answers a line of JSON for each on standard input, as `benchmarks.pysyncobj_bench` does: an empty request says
whether it leads, another one measures.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import uvloop

from benchmarks.latencies import put_summary
from oarlock import Node, ReplicatedObject, Settings, replicated

WARMUP_SECONDS = 1.0
KEYS = 10_000


class Store(ReplicatedObject):
    """A replicated dictionary, as PySyncObj's side has it."""

    def __init__(self) -> None:
        super().__init__("store")
        self.values: dict[str, str] = {}

    @replicated
    def put(self, key: str, value: str) -> None:
        """Sets `key`, on every server."""
        self.values[key] = value

    def snapshot(self) -> object:
        return self.values

    def restore(self, image: dict[str, str]) -> None:
        self.values = image


class Drive:
    """Keeps a number of commands outstanding for a while and notes how long each took."""

    def __init__(self, store: Store, outstanding: int, seconds: float, size: int) -> None:
        self._store = store
        self._outstanding = outstanding
        self._value = "v" * size
        self._loop = asyncio.get_running_loop()
        self._done = self._loop.create_future()
        self._running = outstanding
        self._begin = time.perf_counter() + WARMUP_SECONDS
        self._end = self._begin + seconds
        self._latencies_ms: list[float] = []
        self._errors: dict[str, int] = {}

    async def run(self) -> dict[str, Any]:
        """Runs to the end and sums up."""
        before = time.process_time()
        for number in range(self._outstanding):
            self._propose(number)
        await self._done
        elapsed = time.perf_counter() - self._begin
        summary = put_summary(self._outstanding, self._latencies_ms, elapsed, sum(self._errors.values()))
        summary["leader_cpu_seconds"] = time.process_time() - before
        if self._errors:
            summary["first_error"] = next(iter(self._errors))
        return summary

    def _propose(self, number: int) -> None:
        start = time.perf_counter()

        def answered(future: asyncio.Future[None]) -> None:
            now = time.perf_counter()
            if (error := future.exception()) is not None:
                self._errors[repr(error)] = self._errors.get(repr(error), 0) + 1
            elif start >= self._begin:
                self._latencies_ms.append((now - start) * 1e3)
            if now < self._end:
                self._propose(number + self._outstanding)
                return
            self._running -= 1
            if self._running == 0:
                self._done.set_result(None)

        self._store.put(f"key{number % KEYS:08d}", self._value).add_done_callback(answered)


def start_nodes(root: Path, addresses: Sequence[str], *, own_thread: bool = True) -> "list[subprocess.Popen[str]]":
    """Starts a process for each address, with its data below `root`."""
    command = [sys.executable, "-m", "benchmarks.library_node", "--peers", *addresses]
    command += ["--own-thread"] if own_thread else []
    return [
        subprocess.Popen(
            [*command, "--own", own, "--data-dir", str(root / f"node-{number}")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number, own in enumerate(addresses)
    ]


async def serve(own: str, peers: Sequence[str], data_dir: Path, *, own_thread: bool) -> None:
    """Is one server until standard input ends."""
    loop = asyncio.get_running_loop()
    store = Store()
    node = Node(own, peers=peers, data_dir=data_dir, objects=[store], settings=Settings(own_thread=own_thread))
    await node.start()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        request = json.loads(line)
        if request:
            answer = await Drive(store, request["outstanding"], request["seconds"], request["size"]).run()
        else:
            answer = {"leader": node.is_leader, "ready": node.leader is not None}
        print(json.dumps(answer), flush=True)
    await node.stop()


def main() -> None:
    """Is one server."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.library_node", description=__doc__)
    parser.add_argument("--own", required=True, metavar="ADDRESS")
    parser.add_argument("--peers", required=True, nargs="+", metavar="ADDRESS")
    parser.add_argument("--data-dir", required=True, type=Path)
    parser.add_argument("--own-thread", action="store_true", help="the Raft in a thread of its own, as by default")
    options = parser.parse_args()
    uvloop.run(serve(options.own, options.peers, options.data_dir, own_thread=options.own_thread))


if __name__ == "__main__":
    main()
