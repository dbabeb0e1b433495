"""What a run of puts came to."""

from typing import Any


def put_summary(outstanding: int, latencies_ms: list[float], elapsed_s: float, errors: int) -> dict[str, Any]:
    """Counts, the rate, and percentiles of the latencies.

    Args:
        outstanding: How many were in flight.
        latencies_ms: Of those that succeeded, in any order.
        elapsed_s: The time in which they did.
        errors: How many did not.
    """
    latencies = sorted(latencies_ms)
    summary: dict[str, Any] = {"op": "put", "clients": outstanding, "ops": len(latencies), "errors": errors}
    if latencies:
        summary["ops_per_second"] = len(latencies) / elapsed_s
        for percent in (50, 90, 99):
            summary[f"p{percent}_ms"] = latencies[len(latencies) * percent // 100]
        summary["max_ms"] = latencies[-1]
    return summary
