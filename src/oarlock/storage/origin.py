"""How a data directory got its cluster's id, where that was by a person's decision: it was recovered, or restored.

The note is kept under the id that it explains, so that writing it changes nothing before the identity bears that id.
It stays: each start can tell of it, and whoever finds two clusters with the same data can see which one goes on.
"""

from pathlib import Path
from typing import Final

import google_crc32c
import msgspec

from oarlock.raft.types import Index, ServerId, Term
from oarlock.storage.disk import Disk
from oarlock.storage.errors import CorruptIdentity
from oarlock.storage.small_file import read_small_file, replace_small_file

_LIMIT_BYTES: Final = 1 << 20


class GivenUp(msgspec.Struct, frozen=True):
    """A member that a recovery left behind."""

    server_id: ServerId
    had_vote: bool
    addresses: tuple[str, ...]


class Recovered(msgspec.Struct, frozen=True, kw_only=True, tag="recovered", tag_field="by"):
    """The server was made the only voter, as the majority of its cluster was lost."""

    cluster_id: int
    previous_cluster_id: int
    server_id: ServerId
    at: str
    """When, in UTC, as ISO 8601."""
    index: Index
    """Of the entry that makes it the only voter; it follows the log as it was found."""
    term: Term
    """Of that entry."""
    committed_index: Index
    """Up to where what the log held was known to be committed; what follows was kept all the same."""
    given_up: tuple[GivenUp, ...]


class Restored(msgspec.Struct, frozen=True, kw_only=True, tag="restored", tag_field="by"):
    """The directory was made from a snapshot file."""

    cluster_id: int
    server_id: ServerId
    at: str
    """When, in UTC, as ISO 8601."""
    source: str
    """The file's name."""
    sha256: str
    """Of what the file holds, in hexadecimal."""
    revision: int
    """Of the data."""


class _File(msgspec.Struct, frozen=True):
    """The file: JSON, so that an operator can read it."""

    origin: msgspec.Raw
    crc32c: str


def load_origin(disk: Disk, directory: Path, cluster_id: int) -> Recovered | Restored | None:
    """How a directory came to be of a cluster; None where nobody decided that.

    Args:
        disk: where the directory is.
        directory: the data directory.
        cluster_id: the one in its identity.

    Raises:
        CorruptIdentity: the note is damaged.
        ReadFailed: the disk refuses.
    """
    path = _path(directory, cluster_id)
    data = read_small_file(disk, path, _LIMIT_BYTES)
    if data is None:
        return None
    try:
        file = msgspec.json.decode(data, type=_File)
        origin = msgspec.json.decode(file.origin, type=Recovered | Restored)
    except msgspec.MsgspecError as error:
        raise CorruptIdentity(f"{path} is damaged: {error}") from error
    if file.crc32c != _checksum(bytes(file.origin)) or origin.cluster_id != cluster_id:
        raise CorruptIdentity(f"{path} is damaged: its checksum does not match")
    return origin


def write_origin(disk: Disk, directory: Path, origin: Recovered | Restored) -> None:
    """Note how a directory comes to be of a cluster, before its identity says so; durable on return.

    Raises:
        DiskFull, WriteFailed: it could not be written.
    """
    content = msgspec.json.encode(origin)
    file = _File(msgspec.Raw(content), _checksum(content))
    replace_small_file(disk, _path(directory, origin.cluster_id), msgspec.json.encode(file) + b"\n")


def _path(directory: Path, cluster_id: int) -> Path:
    return directory / f"origin-{cluster_id:016x}"


def _checksum(content: bytes) -> str:
    return f"{google_crc32c.value(content):08x}"
