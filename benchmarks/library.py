"""The library beside PySyncObj in one run on this machine: `python -m benchmarks.library`.

Both replicate a dictionary that the user's own process holds, and are driven inside the leader's process, without a
network front: so many commands outstanding, each answer proposing the next. Oarlock syncs its log to the disk before
it answers; PySyncObj writes a journal that it never syncs. Rounds alternate, and the two never run at once.
"""

import argparse
import dataclasses
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from benchmarks import library_node, library_report, machine, pysyncobj_bench, report
from benchmarks.servers import cpu_seconds, free_ports

HERE = Path(__file__).parent
Server: TypeAlias = "subprocess.Popen[str]"
Start = Callable[[Path, Sequence[str]], list[Server]]
SIDES: dict[str, Start] = {
    "pysyncobj": pysyncobj_bench.start_nodes,
    "oarlock": library_node.start_nodes,
    "oarlock-same-loop": partial(library_node.start_nodes, own_thread=False),
}
DEFAULT_SIDES = ("pysyncobj", "oarlock")
"""Reference and subject."""


@dataclass(frozen=True)
class Plan:
    """How much is measured."""

    rounds: int
    seconds: float
    outstanding: tuple[int, ...] = (1, 64, 256)
    nodes: tuple[int, ...] = (3, 5)
    sizes: tuple[int, ...] = (16, 256, 4096, 65536)


FULL = Plan(rounds=3, seconds=3.0)
QUICK = Plan(rounds=2, seconds=1.5, nodes=(3,), sizes=(16, 65536))


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the comparison, prints the tables and writes the result."""
    options = _parse(arguments)
    plan = _plan(options)
    data = options.data_dir or HERE / "build" / "data"
    result: dict[str, Any] = {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": machine.command_line("benchmarks.library"),
        "commit": machine.commit(),
        "machine": machine.facts(data),
        "packages": machine.packages(),
        "plan": dataclasses.asdict(plan),
        "sides": list(options.sides),
    }
    result["rounds"] = [
        {"round": number, "side": side, "nodes": nodes, "cells": measure(side, nodes, plan, data / "library")}
        for number in range(1, plan.rounds + 1)
        for nodes in plan.nodes
        for side in options.sides
    ]
    result["seconds_taken"] = round(time.time() - datetime.fromisoformat(result["started"]).timestamp())
    print()
    print(library_report.markdown(result))
    stamp = result["started"][:16].replace(":", "")
    output = options.output or HERE / "build" / f"{stamp}-library.json"
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(result, indent=1) + "\n")
    print(f"\nresult: {os.path.relpath(output)}")
    return 0


def measure(side: str, nodes: int, plan: Plan, root: Path) -> list[dict[str, Any]]:
    """Measures every size with every number of outstanding commands on one freshly started cluster."""
    cells = []
    with _cluster(SIDES[side], nodes, root) as (processes, leader):
        for size in plan.sizes:
            for outstanding in plan.outstanding:
                request = {"outstanding": outstanding, "seconds": plan.seconds, "size": size}
                before = _cpu_seconds(processes)
                cell = pysyncobj_bench.ask(leader, request) | {"size": size}
                # The warm-up is in it.
                cell["cpu_seconds"] = round(_cpu_seconds(processes) - before, 2)
                print(f"{side:9} {nodes} nodes {size:6} B  {report.cell_line(cell)}", file=sys.stderr, flush=True)
                cells.append(cell)
    return cells


@contextmanager
def _cluster(start: Start, nodes: int, root: Path) -> "Iterator[tuple[list[Server], Server]]":
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    processes = start(root, [f"127.0.0.1:{port}" for port in free_ports(nodes)])
    try:
        yield processes, pysyncobj_bench.wait_for_leader(processes)
    finally:
        for process in processes:
            process.kill()
        for process in processes:
            process.communicate()
        shutil.rmtree(root)


def _cpu_seconds(processes: Sequence[Server]) -> float:
    return sum(cpu_seconds(process.pid) for process in processes)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.library", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a minute only, with more noise")
    parser.add_argument(
        "--sides", nargs="+", default=list(DEFAULT_SIDES), choices=list(SIDES), help="reference, subjects"
    )
    parser.add_argument("--rounds", type=int, help="rounds of each side")
    parser.add_argument("--seconds", type=float, help="measured seconds of a cell")
    parser.add_argument("--outstanding", nargs="+", type=int, help="commands in flight")
    parser.add_argument("--nodes", nargs="+", type=int, help="servers of a cluster")
    parser.add_argument("--sizes", nargs="+", type=int, help="bytes of a value")
    parser.add_argument("--data-dir", type=Path, help="the servers' data; default benchmarks/build/data")
    parser.add_argument("--output", type=Path, help="result file; default below benchmarks/build/")
    return parser.parse_args(arguments)


def _plan(options: argparse.Namespace) -> Plan:
    names = [field.name for field in dataclasses.fields(Plan)]
    given = {name: value for name in names if (value := getattr(options, name)) is not None}
    changes = {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}
    return dataclasses.replace(QUICK if options.quick else FULL, **changes)


if __name__ == "__main__":
    sys.exit(main())
