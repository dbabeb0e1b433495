"""Turns a result of `benchmarks.library` into Markdown: medians over the rounds, and ratios with their range."""

import statistics
from collections.abc import Iterable, Sequence
from typing import Any

from benchmarks.library_node import WARMUP_SECONDS
from benchmarks.report import Cell, ratio

Result = dict[str, Any]
Key = tuple[int, int, int]
"""Servers, bytes of a value, commands outstanding."""


def markdown(result: Result) -> str:
    """All that was measured."""
    parts = [_heading(result), _table(result)]
    goals = list(_goals(result))
    if goals:
        parts.append("### Goals\n\n" + _rows(["goal", "measured", "reached"], goals))
    return "\n\n".join(parts)


def _heading(result: Result) -> str:
    facts, plan = result["machine"], result["plan"]
    return (
        f"Commit {result['commit']}; PySyncObj {result['packages']['pysyncobj']}; {facts['processors']} x "
        f"{facts['processor']}, {facts['memory_gib']} GiB, {facts['system']}, {facts['file_system']}, fdatasync of "
        f"512 B {facts['fdatasync_512_b_p50_ms']} ms, load average before {facts['load_average_before']}; "
        f"{plan['rounds']} rounds of {plan['seconds']:g} s a cell; all servers and the load on this machine; fsync on "
        f"for Oarlock, none in PySyncObj. `{result['command']}`"
    )


def cells_of(result: Result, side: str) -> dict[Key, list[Cell]]:
    """The cells of one side, in the order of the rounds."""
    grouped: dict[Key, list[Cell]] = {}
    for measured in result["rounds"]:
        if measured["side"] == side:
            for cell in measured["cells"]:
                grouped.setdefault((measured["nodes"], cell["size"], cell["clients"]), []).append(cell)
    return grouped


def median(cells: Iterable[Cell], name: str) -> float:
    """The median of one figure over those rounds in which anything succeeded."""
    values = [cell[name] for cell in cells if cell["ops"]]
    return statistics.median(values) if values else float("nan")


def _cpu_us(cells: Iterable[Cell], seconds: float) -> float:
    """Processor time of all servers for one command, the load in the leader's process included."""
    share = seconds / (seconds + WARMUP_SECONDS)
    values = [cell["cpu_seconds"] * share / cell["ops"] * 1e6 for cell in cells if cell["ops"]]
    return statistics.median(values) if values else float("nan")


def _table(result: Result) -> str:
    sides = result["sides"]
    by_side = [cells_of(result, side) for side in sides]
    head = ["servers", "bytes", "outstanding", *(f"{side} commands/s" for side in sides)]
    head += [f"{side} {name} ms" for name in ("p50", "p99") for side in sides]
    head += [f"{side} CPU µs/command" for side in sides]
    if len(sides) == 2:
        head += ["commands/s, ratio (min-max)", "p50, ratio (min-max)"]
    head.append("errors")
    rows = []
    for key in by_side[0]:
        each = [cells[key] for cells in by_side]
        row = [str(part) for part in key]
        row += [f"{median(cells, 'ops_per_second'):,.0f}" for cells in each]
        row += [f"{median(cells, name):.2f}" for name in ("p50_ms", "p99_ms") for cells in each]
        row += [f"{_cpu_us(cells, result['plan']['seconds']):,.0f}" for cells in each]
        if len(sides) == 2:
            row += [str(ratio(each[0], each[1], name)) for name in ("ops_per_second", "p50_ms")]
        row.append(" / ".join(str(sum(cell["errors"] for cell in cells)) for cells in each))
        rows.append(row)
    return _rows(head, rows)


def _goals(result: Result) -> Iterable[list[str]]:
    """What the library set out to reach, beside what was measured."""
    if "oarlock" not in result["sides"]:
        return
    cells = cells_of(result, "oarlock")
    alone, many = cells.get((3, 16, 1)), cells.get((3, 16, 256))
    if alone:
        sync_ms = result["machine"]["fdatasync_512_b_p50_ms"]
        p50_ms, limit_ms = median(alone, "p50_ms"), 3 * sync_ms + 1
        text = f"p50 of one outstanding command of 16 B: under three fdatasync and 1 ms, {limit_ms:.2f} ms"
        yield [text, f"{p50_ms:.2f} ms", "yes" if p50_ms < limit_ms else "no"]
    if many:
        per_second = median(many, "ops_per_second")
        text = "16 B, 256 outstanding: at least 20,000 commands/s"
        yield [text, f"{per_second:,.0f}", "yes" if per_second >= 20_000 else "no"]


def _rows(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "-|" * len(head)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines)
