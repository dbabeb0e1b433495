"""PySyncObj on three processes: `python -m benchmarks.pysyncobj_bench`.

Its own benchmark, since it has no network front: commands are proposed inside the leader's process, with a
journal file (which it never syncs) and `appendEntriesUseBatch`, so that many at once share a message. Each
callback of a committed command proposes the next; the leader is the fastest place to propose from.
"""

import argparse
import json
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pysyncobj import FAIL_REASON, SyncObj, SyncObjConf, replicated

from benchmarks import report
from benchmarks.latencies import put_summary
from benchmarks.servers import free_ports

WARMUP_SECONDS = 1.0
READY_TIMEOUT_S = 30
VALUE_BYTES = 256
KEYS = 10_000


class Store(SyncObj):  # type: ignore[misc]
    """A replicated dictionary."""

    def __init__(self, own: str, others: list[str], journal: str) -> None:
        """Joins the cluster; `journal` is the file of its log."""
        super().__init__(own, others, SyncObjConf(journalFile=journal, appendEntriesUseBatch=True))
        self._values: dict[str, str] = {}

    @replicated
    def put(self, key: str, value: str) -> None:
        """Sets `key`, on every node."""
        self._values[key] = value


class Drive:
    """Keeps a number of commands outstanding for a while and notes how long each took to commit."""

    def __init__(self, store: Store, outstanding: int, seconds: float, size: int) -> None:
        """Takes measurements of values of `size` bytes from after the warm-up for `seconds`."""
        self._store = store
        self._value = "v" * size
        self._running = outstanding
        self._outstanding = outstanding
        self._begin = time.perf_counter() + WARMUP_SECONDS
        self._end = self._begin + seconds
        self._done = threading.Event()
        self._latencies_ms: list[float] = []
        self._errors = 0

    def run(self) -> dict[str, Any]:
        """Runs to the end and sums up."""
        for number in range(self._outstanding):
            self._propose(number)
        self._done.wait()
        elapsed = time.perf_counter() - self._begin
        return put_summary(self._outstanding, self._latencies_ms, elapsed, self._errors)

    def _propose(self, number: int) -> None:
        start = time.perf_counter()

        def committed(_result: object, error: int) -> None:
            # Runs in PySyncObj's own thread, one call at a time.
            now = time.perf_counter()
            if error != FAIL_REASON.SUCCESS:
                self._errors += 1
            elif start >= self._begin:
                self._latencies_ms.append((now - start) * 1e3)
            if now < self._end:
                self._propose(number + self._outstanding)
                return
            self._running -= 1
            if self._running == 0:
                self._done.set()

        self._store.put(f"key{number % KEYS:08d}", self._value, callback=committed)


def measure(root: Path, outstanding: Sequence[int], seconds: float) -> list[dict[str, Any]]:
    """Starts three nodes, and measures with each number of outstanding commands, driven from the leader."""
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    addresses = [f"127.0.0.1:{port}" for port in free_ports(3)]
    nodes = []
    try:
        nodes += start_nodes(root, addresses)
        leader = wait_for_leader(nodes)
        cells = []
        for number in outstanding:
            cell = ask(leader, {"outstanding": number, "seconds": seconds, "size": VALUE_BYTES})
            print(f"PySyncObj        {report.cell_line(cell)}", file=sys.stderr, flush=True)
            cells.append(cell)
        return cells
    finally:
        for node in nodes:
            node.kill()
        for node in nodes:
            node.communicate()
        shutil.rmtree(root)


def start_nodes(root: Path, addresses: Sequence[str]) -> "list[subprocess.Popen[str]]":
    """Starts a process for each address, with its journal below `root`."""
    return [
        _start_node(own, [other for other in addresses if other != own], root / f"journal-{i}")
        for i, own in enumerate(addresses)
    ]


def _start_node(own: str, others: list[str], journal: Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "benchmarks.pysyncobj_bench"]
    command += ["--node", own, *others, "--journal", str(journal)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def ask(node: "subprocess.Popen[str]", request: dict[str, Any]) -> dict[str, Any]:
    """Sends a node a line, and gives its answer; an empty request asks whether it leads."""
    if node.stdin is None or node.stdout is None:
        raise ValueError("the node was started without pipes")
    node.stdin.write(json.dumps(request) + "\n")
    node.stdin.flush()
    line = node.stdout.readline()
    if not line:
        raise RuntimeError(f"a PySyncObj node ended with status {node.wait()}")
    answer: dict[str, Any] = json.loads(line)
    return answer


def wait_for_leader(nodes: "list[subprocess.Popen[str]]") -> "subprocess.Popen[str]":
    """Gives the one node that leads, once all are ready."""
    deadline = time.monotonic() + READY_TIMEOUT_S
    while time.monotonic() < deadline:
        answers = [ask(node, {}) for node in nodes]
        leaders = [node for node, answer in zip(nodes, answers, strict=True) if answer["leader"]]
        if len(leaders) == 1 and all(answer["ready"] for answer in answers):
            return leaders[0]
        time.sleep(0.05)
    raise SystemExit(f"PySyncObj elected no leader within {READY_TIMEOUT_S} s")


def serve_node(own: str, others: list[str], journal: str) -> None:
    """Is one node: answers a line of JSON for each on standard input, until that ends."""
    store = Store(own, others, journal)
    for line in sys.stdin:
        request = json.loads(line)
        if request:
            answer = Drive(store, request["outstanding"], request["seconds"], request["size"]).run()
        else:
            answer = {"leader": store.getStatus()["leader"] == store.selfNode, "ready": store.isReady()}
        print(json.dumps(answer), flush=True)


def main() -> None:
    """Measures, or is one node."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pysyncobj_bench", description=__doc__)
    parser.add_argument("--seconds", type=float, default=8.0, help="measured seconds of a cell")
    parser.add_argument("--outstanding", type=int, nargs="+", default=[1, 64, 256], help="commands in flight")
    parser.add_argument("--node", nargs="+", metavar="ADDRESS", help=argparse.SUPPRESS)
    parser.add_argument("--journal", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.node:
        serve_node(options.node[0], options.node[1:], options.journal)
        return
    root = Path(__file__).parent / "build" / "data" / "pysyncobj"
    cells = measure(root, options.outstanding, options.seconds)
    print(report.pysyncobj_table(cells))


if __name__ == "__main__":
    main()
