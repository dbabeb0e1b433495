"""What recording costs a live cluster: `python -m benchmarks.trace_cost`.

Rounds alternate between three servers that record (`--trace`) and three that do not, each on empty directories.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import load_generator
from benchmarks.compare import WORK
from benchmarks.servers import Cluster, find_product

HERE = Path(__file__).parent
CELLS = (("put", 1), ("put", 64), ("get", 64))


@dataclass
class TracedCluster(Cluster):
    """Three servers that record."""

    def __post_init__(self) -> None:
        """Adds the flag to each server's."""
        super().__post_init__()
        for number, flags in enumerate(self._flags, 1):
            flags += ["--trace", str(self.root / f"m{number}.jsonl")]

    def trace_bytes(self) -> int:
        """All that was recorded so far."""
        return sum(path.stat().st_size for path in self.root.glob("m*.jsonl"))


def measure_round(traced: bool, seconds: float, root: Path) -> dict[tuple[str, int], dict[str, float]]:
    """One cluster from its start to its end, cell by cell."""
    cluster = (TracedCluster if traced else Cluster)(find_product("oarlock"), root)
    found: dict[tuple[str, int], dict[str, float]] = {}
    with cluster:
        load_generator.run(cluster.client_addresses, "fill", 64, **WORK)
        for operation, clients in CELLS:
            cpu_seconds, written = cluster.usage().cpu_seconds, _written(cluster)
            result: dict[str, Any] = load_generator.run(
                cluster.client_addresses, operation, clients, secs=seconds, warmup=0.5, **WORK
            )
            if result["errors"]:
                raise SystemExit(f"{operation} with {clients} clients failed: {result['first_error']}")
            # The warm-up counts too in what servers used, and not in the operations.
            done = result["ops"] * (seconds + 0.5) / seconds
            found[operation, clients] = {
                "ops_s": result["ops_per_second"],
                "p50_ms": result["p50_ms"],
                "p99_ms": result["p99_ms"],
                "cpu_us": (cluster.usage().cpu_seconds - cpu_seconds) / done * 1e6,
                "bytes": (_written(cluster) - written) / done,
            }
    return found


def _written(cluster: Cluster) -> int:
    return cluster.trace_bytes() if isinstance(cluster, TracedCluster) else 0


def main() -> None:
    """Measures, and prints a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.trace_cost", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="of each side (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each cell (default: %(default)s)")
    options = parser.parse_args()
    load_generator.build()
    rounds: dict[bool, list[dict[tuple[str, int], dict[str, float]]]] = {False: [], True: []}
    for number in range(options.rounds):
        for traced in (False, True) if number % 2 == 0 else (True, False):
            rounds[traced].append(measure_round(traced, options.seconds, HERE / "build" / "data" / "trace"))
    print("| work | clients | trace | ops/s | p50 ms | p99 ms | processor µs/op | trace bytes/op |")
    print("|-|-|-|-|-|-|-|-|")
    for cell in CELLS:
        for traced, each in rounds.items():
            names = ("ops_s", "p50_ms", "p99_ms", "cpu_us", "bytes")
            ops_s, p50_ms, p99_ms, cpu_us, size = (median(one[cell][name] for one in each) for name in names)
            state = "on" if traced else "off"
            print(
                f"| {cell[0]} | {cell[1]} | {state} | {ops_s:,.0f} | {p50_ms:.1f} | {p99_ms:.1f} | {cpu_us:.0f} "
                f"| {size:,.0f} |"
            )


if __name__ == "__main__":
    main()
