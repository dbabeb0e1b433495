"""The identity of a data directory under faults: it is nobody's, or this server's, and never another's."""

import random
from pathlib import Path
from typing import Final

from oarlock.sim.disk import SimDisk
from oarlock.sim.files import PowerLoss
from oarlock.sim.rot import rot
from oarlock.sim.strikes import Strikes
from oarlock.storage.errors import CorruptIdentity, DiskFull, NewerFormat, ReadFailed, WriteFailed, WrongIdentity
from oarlock.storage.identity import Identity, load_identity, load_or_create_identity
from oarlock.zoo.core.broken import Broken, require
from oarlock.zoo.storage.troubles import calm, disturb

DIRECTORY: Final = Path("/data")
_OWN: Final = Identity(0xABCDEF0123456789, 0xFEDCBA9876543210)
_TRIES: Final = 12


def run_identity(rng: random.Random) -> None:
    """Starts of a server, some of which fail, and of others that have no business here.

    Raises:
        Broken: The directory is not whose it must be.
    """
    disk = SimDisk(rng, Strikes())
    is_known = False
    for _ in range(_TRIES):
        _trouble(rng, disk)
        try:
            identity = load_or_create_identity(disk, DIRECTORY, _OWN.cluster_id, _OWN.server_id)
        except PowerLoss:
            disk.lose_power()
        except (DiskFull, ReadFailed, WriteFailed) as error:
            hits = disk.strikes
            caused = sum(hits[f"disk.{name}"] for name in ("full", "read_error", "write_error", "sync_error"))
            require(caused, "fails only with its disk", str(error))
            _end(rng, disk)
        else:
            require(identity == _OWN, "a directory is one server's", f"it is {identity}")
            is_known = True
            _end(rng, disk)
        _clear(disk)
        found = load_identity(disk, DIRECTORY)
        allowed = (_OWN,) if is_known else (_OWN, None)
        require(found in allowed, "a directory is one server's", f"it is {found}")
        if found is not None:
            _refuse_others(disk)
    if load_identity(disk, DIRECTORY) is not None:
        _rot(disk)


def _trouble(rng: random.Random, disk: SimDisk) -> None:
    kind = rng.random()
    if kind < 0.5:
        disk.fail_after = rng.randint(0, 14)
    elif kind < 0.7:
        disturb(rng, disk)
    elif kind < 0.8:
        disk.full = True


def _clear(disk: SimDisk) -> None:
    disk.fail_after, disk.full = None, False
    calm(disk)


def _end(rng: random.Random, disk: SimDisk) -> None:
    if rng.random() < 0.6:
        disk.lose_power()
    else:
        disk.end_process()


def _refuse_others(disk: SimDisk) -> None:
    for cluster_id, server_id in ((_OWN.cluster_id + 1, _OWN.server_id), (_OWN.cluster_id, _OWN.server_id + 1)):
        try:
            load_or_create_identity(disk, DIRECTORY, cluster_id, server_id)
        except WrongIdentity:
            continue
        raise Broken("a directory is one server's", "another server took it")


def _rot(disk: SimDisk) -> None:
    """A bit turns: it is noticed, or does not matter."""
    rot(disk, "identity")
    try:
        found = load_identity(disk, DIRECTORY)
    except (CorruptIdentity, NewerFormat):
        return
    require(found == _OWN, "damage is noticed", f"the directory is {found}")
