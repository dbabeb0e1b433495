"""Turns a result into Markdown: medians over the rounds, and ratios with their range.

A ratio is always subject / reference, taken round by round, so that a slow minute of the machine falls on
both; for operations a second more is better, for latencies less.
"""

import statistics
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

OPERATION_NAMES = {"put": "put", "get": "linearizable get", "sget": "serializable get", "mix": "put and get"}
Cell = dict[str, Any]
Result = dict[str, Any]


class Ratio(NamedTuple):
    """Subject / reference: the median of the rounds, and their extremes."""

    median: float
    lowest: float
    highest: float

    def __str__(self) -> str:
        """Such as "1.32 (1.20-1.41)"."""
        return f"{self.median:.2f} ({self.lowest:.2f}-{self.highest:.2f})"


def markdown(result: Result) -> str:
    """All tables for which the result holds measurements."""
    parts = [_heading(result)]
    if "rounds" in result:
        tables = (_throughput_table, _latency_table, _cost_table, _memory_table)
        parts += [table(result) for table in tables]
    if "recovery" in result:
        parts.append(_recovery_table(result))
    if "pysyncobj" in result:
        parts.append(pysyncobj_table(result["pysyncobj"]))
    goals = list(_goals(result))
    if goals:
        parts.append("### Goals\n\n" + _table(["goal", "measured", "reached"], goals))
    return "\n\n".join(parts)


def cell_line(cell: Cell) -> str:
    """One measurement in one line, for the progress shown while it runs."""
    head = f"{cell['op']:5} clients={cell['clients']:<4}"
    if not cell["ops"]:
        return f"{head} nothing succeeded; errors={cell['errors']} {cell.get('first_error', '')}"
    line = f"{head} {cell['ops_per_second']:8.0f}/s  p50 {cell['p50_ms']:7.2f} ms"
    errors = f"  ERRORS={cell['errors']} {cell.get('first_error', '')}" if cell["errors"] else ""
    return f"{line}  p99 {cell['p99_ms']:7.2f} ms{errors}"


def pysyncobj_table(cells: Sequence[Cell]) -> str:
    """PySyncObj's own figures."""
    rows = [[str(cell["clients"]), *_figures(cell), str(cell["errors"])] for cell in cells]
    head = ["outstanding", "ops/s", "p50 ms", "p99 ms", "errors"]
    return "### PySyncObj, proposed on its leader, no fsync\n\n" + _table(head, rows)


def _heading(result: Result) -> str:
    facts, plan, work = result["machine"], result["plan"], result["work"]
    versions = ", ".join(f"{side} {result['versions'][side]}" for side in result["sides"])
    return (
        f"{versions}; commit {result['commit']}; {facts['processors']} x {facts['processor']}, "
        f"{facts['memory_gib']} GiB, {facts['system']}, {facts['file_system']}, fdatasync of 4 KiB "
        f"{facts['fdatasync_4_kib_p50_ms']} ms, load average before {facts['load_average_before']}; "
        f"{plan['rounds']} rounds of {plan['seconds']:g} s a cell, {work['size']}-byte values, "
        f"{work['keys']} keys, three servers and the load on this machine, fsync on. "
        f"`{result['command']}`"
    )


def _cells(result: Result, side: str) -> dict[tuple[str, int], list[Cell]]:
    """The cells of one side by operation and clients, in the order of the rounds."""
    grouped: dict[tuple[str, int], list[Cell]] = {}
    for measured in result["rounds"]:
        if measured["side"] == side:
            for cell in measured["cells"]:
                grouped.setdefault((cell["op"], cell["clients"]), []).append(cell)
    return grouped


def _median(cells: Iterable[Cell], name: str) -> float:
    values = [cell[name] for cell in cells if cell["ops"]]
    return statistics.median(values) if values else float("nan")


def ratio(references: Sequence[Cell], subjects: Sequence[Cell], name: str) -> Ratio:
    """Compares one figure of cells of the same rounds."""
    each = [
        subject[name] / reference[name]
        for reference, subject in zip(references, subjects, strict=True)
        if subject["ops"] and reference["ops"] and reference[name]
    ]
    if not each:
        return Ratio(float("nan"), float("nan"), float("nan"))
    return Ratio(statistics.median(each), min(each), max(each))


def _throughput_table(result: Result) -> str:
    reference, subject = result["sides"]
    left, right = _cells(result, reference), _cells(result, subject)
    rows = []
    for (operation, clients), cells in left.items():
        others = right[operation, clients]
        rows.append(
            [
                OPERATION_NAMES[operation],
                str(clients),
                f"{_median(cells, 'ops_per_second'):,.0f}",
                f"{_median(others, 'ops_per_second'):,.0f}",
                str(ratio(cells, others, "ops_per_second")),
                f"{sum(cell['errors'] for cell in cells)} / {sum(cell['errors'] for cell in others)}",
            ]
        )
    head = ["work", "clients", f"{reference} ops/s", f"{subject} ops/s", "ratio (min-max)", "errors"]
    return "### Throughput (ratio above 1: faster)\n\n" + _table(head, rows)


def _latency_table(result: Result) -> str:
    reference, subject = result["sides"]
    left, right = _cells(result, reference), _cells(result, subject)
    rows = []
    for (operation, clients), cells in left.items():
        others = right[operation, clients]
        row = [OPERATION_NAMES[operation], str(clients)]
        for name in ("p50_ms", "p99_ms"):
            row += [f"{_median(each, name):.2f}" for each in (cells, others)]
            row.append(str(ratio(cells, others, name)))
        rows.append(row)
    head = ["work", "clients"]
    for name in ("p50", "p99"):
        head += [f"{reference} {name} ms", f"{subject} {name} ms", f"{name} ratio (min-max)"]
    return "### Latency (ratio below 1: faster)\n\n" + _table(head, rows)


def _cost_table(result: Result) -> str:
    """Processor time of the three servers, which is what bounds all on a machine with few processors."""
    reference, subject = result["sides"]
    left, right = _cells(result, reference), _cells(result, subject)
    share = result["plan"]["seconds"] / (result["plan"]["seconds"] + result["plan"]["warmup_seconds"])

    def cost(cell: Cell) -> float:
        if not cell["ops"]:
            return float("nan")
        return float(cell["server_cpu_seconds"]) * share / int(cell["ops"]) * 1e6

    rows = [
        [
            OPERATION_NAMES[operation],
            str(clients),
            f"{statistics.median(map(cost, cells)):.0f}",
            f"{statistics.median(map(cost, right[operation, clients])):.0f}",
        ]
        for (operation, clients), cells in left.items()
    ]
    head = ["work", "clients", f"{reference} µs/op", f"{subject} µs/op"]
    return "### Processor time of the three servers together, for one operation\n\n" + _table(head, rows)


def _memory_table(result: Result) -> str:
    rows = []
    for side in result["sides"]:
        rounds = [measured for measured in result["rounds"] if measured["side"] == side]
        rows.append(
            [
                side,
                f"{statistics.median(max(measured['peak_rss_mib']) for measured in rounds):.0f}",
                f"{statistics.median(sum(measured['peak_rss_mib']) for measured in rounds):.0f}",
                f"{statistics.median(sum(measured['anonymous_mib']) for measured in rounds):.0f}",
                f"{statistics.median(measured['disk_mib'] for measured in rounds):.0f}",
            ]
        )
    head = ["servers", "peak RSS, largest", "peak RSS, all", "anonymous at the end, all", "disk, all"]
    return "### Memory and disk of a round, MiB\n\n" + _table(head, rows)


def _recovery_table(result: Result) -> str:
    rows = []
    for side in result["sides"]:
        runs = [run for run in result["recovery"] if run["side"] == side]
        rows.append(
            [
                side,
                f"{runs[0]['entries']:,}",
                _spread(run["first_read_seconds"] for run in runs),
                _spread(run["all_read_seconds"] for run in runs),
                _spread(run["cpu_seconds"] for run in runs),
            ]
        )
    head = ["servers", "entries", "first linearizable read, s", "through every server, s", "CPU of all, s"]
    title = "### Recovery: all killed at once, started again; median (min-max)\n\n"
    return title + _table(head, rows)


def _spread(values: Iterable[float]) -> str:
    each = list(values)
    return f"{statistics.median(each):.2f} ({min(each):.2f}-{max(each):.2f})"


def _goals(result: Result) -> Iterable[list[str]]:
    """What the project set out to reach, beside what was measured; only for Oarlock against etcd."""
    if result["sides"] != ["etcd", "oarlock"] or "rounds" not in result:
        return
    left, right = _cells(result, "etcd"), _cells(result, "oarlock")

    def goal(text: str, cell: tuple[str, int], name: str, is_met: Callable[[float], bool]) -> Iterable[list[str]]:
        if cell in left:
            measured = ratio(left[cell], right[cell], name)
            yield [text, str(measured), "yes" if is_met(measured.median) else "no"]

    def at_least_1(value: float) -> bool:
        return value >= 1

    def at_most_1(value: float) -> bool:
        return value <= 1

    for clients in (64, 256):
        text = f"put, {clients} clients: at least etcd's ops/s"
        yield from goal(text, ("put", clients), "ops_per_second", at_least_1)
        yield from goal(f"put, {clients} clients: p99 no worse", ("put", clients), "p99_ms", at_most_1)
    for clients in (1, 64, 256):
        text = f"linearizable get, {clients} clients: at least etcd's ops/s"
        yield from goal(text, ("get", clients), "ops_per_second", at_least_1)
    yield from goal("put, 1 client: p50 no worse", ("put", 1), "p50_ms", at_most_1)
    alone = [cell for cell in result.get("pysyncobj", []) if cell["clients"] == 1 and cell["ops"]]
    if alone and ("put", 1) in right:
        # Ours holds gRPC, the client and an fsync; theirs only the commit, in memory.
        times = alone[0]["p50_ms"] / _median(right["put", 1], "p50_ms")
        text = "commit latency p50, one at a time: 50 times shorter than PySyncObj's"
        yield [text, f"{times:.0f} times", "yes" if times >= 50 else "no"]


def _figures(cell: Cell) -> list[str]:
    if not cell["ops"]:
        return ["-"] * 3
    return [f"{cell['ops_per_second']:,.0f}", f"{cell['p50_ms']:.2f}", f"{cell['p99_ms']:.2f}"]


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "-|" * len(head)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines)
