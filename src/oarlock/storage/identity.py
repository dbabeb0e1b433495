"""Whose directory this is: a small file that refuses another cluster, another server, or a newer format.

It also tells this directory from every other that the server may have had, or will have.
"""

from pathlib import Path

import google_crc32c
import msgspec

from oarlock.raft.types import DiskId, ServerId
from oarlock.storage.disk import Disk
from oarlock.storage.errors import CorruptIdentity, NewerFormat, WrongIdentity
from oarlock.storage.small_file import read_small_file, replace_small_file

FORMAT_VERSION = 2
"""Of the directory as a whole; a later one is refused. The first had no disk id."""

_NAME = "identity"
_LIMIT_BYTES = 4096


class Identity(msgspec.Struct, frozen=True):
    """A server's place in the world; ids are 64-bit and shown in hexadecimal."""

    cluster_id: int
    server_id: ServerId
    format_version: int = FORMAT_VERSION
    disk_id: DiskId = 0
    """Of this directory; 0 in one of the first format."""


class _File(msgspec.Struct, frozen=True):
    """The file: JSON, so that an operator can read it."""

    format_version: int
    cluster_id: str
    server_id: str
    crc32c: str
    disk_id: str = ""

    def checksum(self) -> str:
        """What `crc32c` must be."""
        text = f"{self.format_version} {self.cluster_id} {self.server_id} {self.disk_id}".rstrip()
        return f"{google_crc32c.value(text.encode()):08x}"


def load_identity(disk: Disk, directory: Path) -> Identity | None:
    """The identity of a data directory; None where it has none yet.

    Raises:
        CorruptIdentity: the file is damaged.
        NewerFormat: a later version wrote the directory.
        ReadFailed: the disk refuses.
    """
    path = directory / _NAME
    data = read_small_file(disk, path, _LIMIT_BYTES)
    if data is None:
        return None
    try:
        content = msgspec.json.decode(data, type=_File)
        identity = Identity(
            int(content.cluster_id, 16),
            int(content.server_id, 16),
            content.format_version,
            int(content.disk_id or "0", 16),
        )
    except (msgspec.MsgspecError, ValueError) as error:
        raise CorruptIdentity(f"{path} is damaged: {error}") from error
    if content.crc32c != content.checksum():
        raise CorruptIdentity(f"{path} is damaged: its checksum does not match")
    if identity.format_version > FORMAT_VERSION:
        raise NewerFormat(
            f"{directory} has format {identity.format_version}; this version knows up to {FORMAT_VERSION}"
        )
    return identity


def load_or_create_identity(
    disk: Disk, directory: Path, cluster_id: int, server_id: ServerId, new_disk_id: DiskId = 0
) -> Identity:
    """Check that a data directory is this server's, or make it so if it is nobody's.

    A directory of the first format is taken over to this one.

    Args:
        disk: where the directory is.
        directory: the data directory; made if missing.
        cluster_id: the cluster's 64-bit id.
        server_id: this server's 64-bit id.
        new_disk_id: what to call a directory that has no disk id: a random number, never used before.

    Raises:
        WrongIdentity: it belongs to another cluster or server.
        CorruptIdentity, NewerFormat, ReadFailed: see `load_identity`.
        DiskFull, WriteFailed: it could not be written.
    """
    identity = load_identity(disk, directory)
    if identity is None:
        identity = Identity(cluster_id, server_id, disk_id=new_disk_id)
        write_identity(disk, directory, identity)
    if identity.cluster_id != cluster_id:
        raise WrongIdentity(
            f"{directory} belongs to cluster {identity.cluster_id:x}, but this server is of cluster {cluster_id:x}"
        )
    if identity.server_id != server_id:
        raise WrongIdentity(f"{directory} belongs to server {identity.server_id:x}, but this is server {server_id:x}")
    if not identity.disk_id and new_disk_id:
        identity = Identity(cluster_id, server_id, disk_id=new_disk_id)
        write_identity(disk, directory, identity)
    return identity


def write_identity(disk: Disk, directory: Path, identity: Identity) -> None:
    """Make a data directory a server's, whosever it was before; durable on return.

    Raises:
        DiskFull, WriteFailed: it could not be written.
    """
    content = _File(
        identity.format_version,
        f"{identity.cluster_id:016x}",
        f"{identity.server_id:016x}",
        "",
        f"{identity.disk_id:016x}" if identity.disk_id else "",
    )
    data = msgspec.json.encode(msgspec.structs.replace(content, crc32c=content.checksum())) + b"\n"
    replace_small_file(disk, directory / _NAME, data)
