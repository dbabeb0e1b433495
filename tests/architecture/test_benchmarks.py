"""The benchmark's arithmetic, and results without a machine's paths."""

import json
import re
import sys
from typing import Any

import pytest
from benchmarks import machine, report
from tests.support.source_tree import ROOT


def _cell(ops_per_second: float, p50_ms: float) -> dict[str, Any]:
    return {
        "op": "put",
        "clients": 64,
        "ops": 100,
        "errors": 0,
        "ops_per_second": ops_per_second,
        "p50_ms": p50_ms,
        "p99_ms": 2 * p50_ms,
        "server_cpu_seconds": 0.5,
    }


def _result(reference: list[dict[str, Any]], subject: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "commit": "0000000",
        "command": "python -m benchmarks.compare",
        "sides": ["etcd", "oarlock"],
        "versions": {"etcd": "3.4.23", "oarlock": "0.1.0"},
        "machine": {
            "processors": 2,
            "processor": "any",
            "memory_gib": 1,
            "system": "any",
            "file_system": "ext4",
            "fdatasync_4_kib_p50_ms": 0.3,
            "load_average_before": 0.0,
        },
        "plan": {"rounds": len(reference), "seconds": 4.0, "warmup_seconds": 1.0},
        "work": {"keys": 10, "size": 256},
        "rounds": [
            {
                "side": side,
                "cells": [cell],
                "peak_rss_mib": [1.0, 2.0, 3.0],
                "anonymous_mib": [1.0, 1.0, 1.0],
                "disk_mib": 9.0,
            }
            for pair in zip(reference, subject, strict=True)
            for side, cell in zip(("etcd", "oarlock"), pair, strict=True)
        ],
    }


def test_ratios_are_taken_round_by_round() -> None:
    """A round in which the whole machine is slow leaves the ratio as it is."""
    reference = [_cell(1000, 10), _cell(100, 100), _cell(1000, 10)]
    subject = [_cell(2000, 5), _cell(200, 50), _cell(3000, 5)]
    assert report.ratio(reference, subject, "ops_per_second") == report.Ratio(2.0, 2.0, 3.0)
    assert report.ratio(reference, subject, "p50_ms") == report.Ratio(0.5, 0.5, 0.5)


def test_report_states_medians_ratio_and_goal() -> None:
    """The table shows both medians, the ratio with its range, and whether the goal is reached."""
    text = report.markdown(_result([_cell(1000, 10)] * 2, [_cell(900, 9), _cell(1100, 9)]))
    assert "| put | 64 | 1,000 | 1,000 | 1.00 (0.90-1.10) | 0 / 0 |" in text
    assert "| put, 64 clients: at least etcd's ops/s | 1.00 (0.90-1.10) | yes |" in text
    assert "| put, 64 clients: p99 no worse | 0.90 (0.90-0.90) | yes |" in text


def test_failed_cell_leaves_the_rest_of_the_report() -> None:
    """A measurement in which nothing succeeded is shown with its error, and ruins no other figure."""
    failed = {"op": "put", "clients": 64, "ops": 0, "errors": 3, "first_error": "gone", "server_cpu_seconds": 0.0}
    text = report.markdown(_result([_cell(1000, 10)] * 2, [failed, _cell(500, 10)]))
    assert "| put | 64 | 1,000 | 500 | 0.50 (0.50-0.50) | 0 / 3 |" in text
    assert "nothing succeeded; errors=3 gone" in report.cell_line(failed)


def test_command_line_holds_no_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a path that was given, only its last part is recorded."""
    monkeypatch.setattr(sys, "argv", ["compare", "--rounds", "2", "--data-dir", "/mnt/secret/disk", "--output=/a/b"])
    assert machine.command_line("benchmarks.compare") == "python -m benchmarks.compare --rounds 2 --data-dir disk b"


def test_results_hold_no_path() -> None:
    """Kept results are JSON, and no absolute path of a machine is in them."""
    for path in (ROOT / "benchmarks" / "results").glob("*.json"):
        text = path.read_text()
        json.loads(text)
        assert not re.search(r'"/|[ =]/\w', text), path
