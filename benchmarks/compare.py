"""Compares Oarlock with etcd and PySyncObj in one run on this machine: `python -m benchmarks.compare`.

Rounds alternate: a cluster of the one is started on an empty directory, measured and stopped, then a cluster
of the other; never both at once. Load and servers share the machine's processors.
"""

import argparse
import dataclasses
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks import load_generator, machine, pysyncobj_bench, report
from benchmarks.servers import Cluster, Product, find_product

HERE = Path(__file__).parent
OPERATIONS = ("put", "get", "sget")
PARTS = ("cells", "recovery", "pysyncobj")
WORK = {"keys": 10_000, "size": 256, "conns": 4}
"""What all measurements share, by the load generator's names: distinct keys, bytes of a value, connections."""


@dataclass(frozen=True)
class Plan:
    """How much is measured."""

    rounds: int
    seconds: float
    warmup_seconds: float
    clients: tuple[int, ...]
    recovery_entries: int
    recovery_rounds: int
    pysyncobj_seconds: float


FULL = Plan(
    rounds=5,
    seconds=4.0,
    warmup_seconds=1.0,
    clients=(1, 64, 256),
    recovery_entries=100_000,
    recovery_rounds=3,
    pysyncobj_seconds=8.0,
)
QUICK = Plan(
    rounds=2,
    seconds=1.5,
    warmup_seconds=0.5,
    clients=(1, 64, 256),
    recovery_entries=20_000,
    recovery_rounds=1,
    pysyncobj_seconds=3.0,
)


@dataclass(frozen=True)
class Side:
    """One of the two that are compared; the label tells them apart when both are the same product."""

    label: str
    product: Product


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the comparison, prints the tables and writes the result."""
    options = _parse(arguments)
    plan = _plan(options)
    load_generator.build()
    products = [find_product(name) for name in options.sides]
    labels = list(options.sides)
    if labels[0] == labels[1]:
        labels = [f"{labels[0]} (1)", f"{labels[1]} (2)"]
    sides = [Side(label, product) for label, product in zip(labels, products, strict=True)]
    data = options.data_dir or HERE / "build" / "data"
    result: dict[str, Any] = {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": machine.command_line("benchmarks.compare"),
        "commit": machine.commit(),
        "machine": machine.facts(data),
        "versions": {side.label: side.product.version for side in sides} | {"packages": machine.packages()},
        "plan": dataclasses.asdict(plan),
        "work": {"servers": 3, "fsync": True, **WORK},
        "sides": [side.label for side in sides],
    }
    if "cells" in options.parts:
        result["rounds"] = [
            measure_round(side, plan, data, number, options.operations)
            for number in range(1, plan.rounds + 1)
            for side in sides
        ]
    if "recovery" in options.parts:
        result["recovery"] = [measure_recovery(side, plan, data) for _ in range(plan.recovery_rounds) for side in sides]
    if "pysyncobj" in options.parts:
        seconds = plan.pysyncobj_seconds
        result["pysyncobj"] = pysyncobj_bench.measure(data / "pysyncobj", plan.clients, seconds)
    result["seconds_taken"] = round(time.time() - datetime.fromisoformat(result["started"]).timestamp())
    print()
    print(report.markdown(result))
    output = options.output or _default_output(result, plan)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(result, indent=1) + "\n")
    print(f"\nresult: {os.path.relpath(output)}")
    return 0


def measure_round(side: Side, plan: Plan, data: Path, number: int, operations: Sequence[str]) -> dict[str, Any]:
    """Measures every operation with every number of clients on one freshly started cluster."""
    cells = []
    with Cluster(side.product, data / "cluster") as cluster:
        # Every key exists before the first read, whatever is measured first.
        load_generator.run(cluster.client_addresses, "fill", 64, **WORK)
        for operation in operations:
            for clients in plan.clients:
                before = cluster.usage().cpu_seconds
                cell = load_generator.run(
                    cluster.client_addresses,
                    operation,
                    clients,
                    secs=plan.seconds,
                    warmup=plan.warmup_seconds,
                    **WORK,
                )
                cluster.check_alive()
                # The warm-up is in it, for servers and load alike.
                cell["server_cpu_seconds"] = cluster.usage().cpu_seconds - before
                cells.append(cell)
                _progress(f"round {number} {side.label:8} {report.cell_line(cell)}")
        usage = cluster.usage()
        disk_mib = cluster.disk_mib()
    return {
        "round": number,
        "side": side.label,
        "cells": cells,
        "peak_rss_mib": [round(mib, 1) for mib in usage.peak_rss_mib],
        "anonymous_mib": [round(mib, 1) for mib in usage.anonymous_mib],
        "disk_mib": round(disk_mib, 1),
    }


def measure_recovery(side: Side, plan: Plan, data: Path) -> dict[str, Any]:
    """Writes a log, kills all servers at once, starts them again and waits for linearizable reads."""
    entries = plan.recovery_entries
    with Cluster(side.product, data / "cluster") as cluster:
        filled = load_generator.run(cluster.client_addresses, "fill", 256, **{**WORK, "keys": entries})
        cluster.kill()
        cluster.start()
        needed = cluster.wait_for_reads(timeout_s=300)
        usage = cluster.usage()
    recovery = {
        "side": side.label,
        "entries": filled["ops"],
        "errors": filled["errors"],
        "first_read_seconds": round(min(needed), 3),
        "all_read_seconds": round(max(needed), 3),
        "cpu_seconds": round(usage.cpu_seconds, 2),
    }
    _progress(f"recovery {side.label:8} {entries} entries: first read {min(needed):.2f} s, all {max(needed):.2f} s")
    return recovery


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compare", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few minutes only, with more noise")
    sides_help = "reference and subject; `--sides etcd etcd` shows the noise"
    parser.add_argument("--sides", nargs=2, default=["etcd", "oarlock"], metavar="PRODUCT", help=sides_help)
    parser.add_argument("--parts", nargs="+", default=list(PARTS), choices=PARTS, help="what to measure")
    parser.add_argument("--operations", nargs="+", default=list(OPERATIONS), choices=(*OPERATIONS, "mix"))
    parser.add_argument("--clients", nargs="+", type=int, help="operations in flight")
    parser.add_argument("--rounds", type=int, help="rounds of each side")
    parser.add_argument("--seconds", type=float, help="measured seconds of a cell")
    parser.add_argument("--recovery-entries", type=int, help="entries of the log to recover")
    parser.add_argument("--data-dir", type=Path, help="the servers' data; default benchmarks/build/data")
    parser.add_argument("--output", type=Path, help="result file; default below benchmarks/")
    return parser.parse_args(arguments)


def _plan(options: argparse.Namespace) -> Plan:
    given = {
        "rounds": options.rounds,
        "seconds": options.seconds,
        "clients": options.clients and tuple(options.clients),
        "recovery_entries": options.recovery_entries,
    }
    changes = {name: value for name, value in given.items() if value is not None}
    return dataclasses.replace(QUICK if options.quick else FULL, **changes)


def _default_output(result: dict[str, Any], plan: Plan) -> Path:
    """Full runs are kept with the source; anything shorter is only of passing interest."""
    stamp = result["started"][:16].replace(":", "")
    directory = HERE / "results" if plan == FULL else HERE / "build" / "results"
    return directory / f"{stamp}-compare.json"


def _progress(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
