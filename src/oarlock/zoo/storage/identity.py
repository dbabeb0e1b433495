"""The identity of a data directory under faults: it is nobody's, or this server's, and never another's.

And the note of how it came to that.
"""

import random
from pathlib import Path
from typing import Final

from oarlock.sim.disk import SimDisk
from oarlock.sim.files import PowerLoss
from oarlock.sim.rot import rot
from oarlock.sim.strikes import Strikes
from oarlock.storage.errors import CorruptIdentity, DiskFull, NewerFormat, ReadFailed, WriteFailed, WrongIdentity
from oarlock.storage.identity import Identity, load_identity, load_or_create_identity
from oarlock.storage.origin import GivenUp, Recovered, Restored, load_origin, write_origin
from oarlock.zoo.core.broken import Broken, require
from oarlock.zoo.storage.troubles import calm, disturb

DIRECTORY: Final = Path("/data")
_OWN: Final = Identity(0xABCDEF0123456789, 0xFEDCBA9876543210)
_TRIES: Final = 12
_NOTE: Final = "a note is what was noted"


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


def run_origin(rng: random.Random) -> None:
    """Notes of how the directory came to its cluster, some of which cannot be written; then one is damaged.

    Raises:
        Broken: A note is not what was written, or damage to it passes for one.
    """
    disk = SimDisk(rng, Strikes())
    disk.mkdir(DIRECTORY)
    disk.fsync_directory(DIRECTORY.parent)
    held: Recovered | Restored | None = None
    for _ in range(_TRIES // 2):
        origin = _origin(rng)
        _trouble(rng, disk)
        allowed: tuple[Recovered | Restored | None, ...] = (held, origin)
        try:
            write_origin(disk, DIRECTORY, origin)
        except PowerLoss:
            disk.lose_power()
        except (DiskFull, WriteFailed):
            _end(rng, disk)
        else:
            allowed = (origin,)
            _end(rng, disk)
        _clear(disk)
        held = load_origin(disk, DIRECTORY, _OWN.cluster_id)
        require(held in allowed, _NOTE, f"it is {held}, not {' or '.join(map(str, allowed))}")
        require(load_origin(disk, DIRECTORY, _OWN.cluster_id + 1) is None, _NOTE, "it is of another cluster, too")
    if held is not None:
        _damage_origin(rng, disk, held)


def _origin(rng: random.Random) -> Recovered | Restored:
    index = rng.randrange(1 << 20)
    if rng.random() < 0.5:
        return Restored(
            cluster_id=_OWN.cluster_id, server_id=_OWN.server_id, at="now", source="a", sha256="00", revision=index
        )
    return Recovered(
        cluster_id=_OWN.cluster_id,
        previous_cluster_id=1,
        server_id=_OWN.server_id,
        at="now",
        index=index,
        term=2,
        committed_index=index // 2,
        given_up=(GivenUp(3, True, ("a:1", "b:2")),),
    )


def _damage_origin(rng: random.Random, disk: SimDisk, held: Recovered | Restored) -> None:
    """A bit of the note turns."""
    path = DIRECTORY / f"origin-{_OWN.cluster_id:016x}"
    file = disk.open(path)
    at = rng.randrange(file.size())
    file.pwrite(bytes([file.pread(1, at)[0] ^ (1 << rng.randrange(8))]), at)
    file.close()
    try:
        found = load_origin(disk, DIRECTORY, _OWN.cluster_id)
    except CorruptIdentity:
        return
    require(found == held, "damage is noticed", f"the note is {found}")


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
