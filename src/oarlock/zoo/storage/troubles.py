"""Errors of a disk that come once, and soon."""

import random

from oarlock.sim.disk import SimDisk


def disturb(rng: random.Random, disk: SimDisk) -> None:
    """One of the next operations fails: a write, a sync or a read."""
    kind = rng.choice(("write", "sync", "read"))
    if kind == "write":
        disk.write_errors = 1
    elif kind == "sync":
        disk.sync_errors = 1
    else:
        disk.read_fault = "error"


def calm(disk: SimDisk) -> None:
    """None fails."""
    disk.read_fault = ""
    disk.write_errors = disk.sync_errors = 0
