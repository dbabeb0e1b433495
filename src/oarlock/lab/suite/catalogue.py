"""All scenarios, in the labs' order: importing this fills the table."""

from oarlock.lab.suite import (
    agreement,
    backup,
    churn,
    election,
    figure8,
    kv,
    kv_snapshots,
    persistence,
    rsm,
    snapshots,
)
from oarlock.lab.suite.table import SCENARIOS

__all__ = [
    "SCENARIOS",
    "agreement",
    "backup",
    "churn",
    "election",
    "figure8",
    "kv",
    "kv_snapshots",
    "persistence",
    "rsm",
    "snapshots",
]
