"""All scenarios, in the labs' order: importing this fills the table."""

from typing import Final

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
    shard_controller,
    shard_kv,
    shard_moves,
    shard_rivals,
    snapshots,
)
from oarlock.lab.suite.table import SCENARIOS

__all__ = [
    "PARTS",
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
    "shard_controller",
    "shard_kv",
    "shard_moves",
    "shard_rivals",
    "snapshots",
]

PARTS: Final = ("3A", "3B", "3C", "3D", "4A", "4B", "4C", "SC", "SK", "5A", "5B", "5C")
"""Raft; replicated machine and key-value service as in 2025; shard controller and sharded service as from 2021 to 2024;
the sharded service as in 2025."""

for _id in sorted(SCENARIOS, key=lambda name: PARTS.index(SCENARIOS[name].part)):
    SCENARIOS[_id] = SCENARIOS.pop(_id)
