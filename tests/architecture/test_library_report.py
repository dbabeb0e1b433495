"""The arithmetic of the library's benchmark."""

from typing import Any

from benchmarks import library_report


def _round(side: str, per_second: float, p50_ms: float) -> dict[str, Any]:
    cell = {
        "op": "put",
        "clients": 256,
        "size": 16,
        "ops": 1000,
        "errors": 0,
        "ops_per_second": per_second,
        "p50_ms": p50_ms,
        "p99_ms": 2 * p50_ms,
        "cpu_seconds": 0.1,
    }
    return {"round": 1, "side": side, "nodes": 3, "cells": [cell, cell | {"clients": 1}]}


def _result(*rounds: dict[str, Any]) -> dict[str, Any]:
    return {
        "commit": "0000000",
        "command": "python -m benchmarks.library",
        "packages": {"pysyncobj": "0.3.17"},
        "machine": {
            "processors": 2,
            "processor": "any",
            "memory_gib": 1,
            "system": "any",
            "file_system": "ext4",
            "fdatasync_512_b_p50_ms": 0.2,
            "load_average_before": 0.0,
        },
        "plan": {"rounds": 2, "seconds": 3.0},
        "sides": ["pysyncobj", "oarlock"],
        "rounds": list(rounds),
    }


def test_report_gives_medians_ratios_cost_and_goals() -> None:
    """Ratios are taken round by round; processor time is per command, without the warm-up's share; goals are judged."""
    text = library_report.markdown(
        _result(
            _round("pysyncobj", 1000, 100),
            _round("oarlock", 20_000, 1.5),
            _round("pysyncobj", 2000, 100),
            _round("oarlock", 30_000, 1.5),
        )
    )
    assert "| 3 | 16 | 256 | 1,500 | 25,000 | 100.00 | 1.50 |" in text
    assert "| 75 | 75 | 17.50 (15.00-20.00) | 0.01 (0.01-0.01) | 0 / 0 |" in text
    assert "three fdatasync and 1 ms, 1.60 ms | 1.50 ms | yes |" in text
    assert "at least 20,000 commands/s | 25,000 | yes |" in text
