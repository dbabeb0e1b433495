"""Versions of the server that may run side by side in one cluster, told apart by what they send, understand and write.

There has been one release, so these are not other programs: each is the one that runs here, with what distinguishes it
taken away from, or added to, its messages and its data directory.
"""

from enum import IntEnum
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import structs

from oarlock.node.config import NodeConfig
from oarlock.sim.strikes import Strikes
from oarlock.storage.disk import Disk
from oarlock.storage.errors import CorruptIdentity, NewerFormat
from oarlock.storage.identity import FORMAT_VERSION, Identity, write_identity
from oarlock.storage.small_file import read_small_file
from oarlock.trace.stamps import Stamp, add_stamp


class Version(IntEnum):
    """Which version a server's next process is of."""

    CURRENT = 0
    BEFORE = 1
    """Knows of no disk ids, and of no questions whether a server was removed; its data are of the first format."""
    STAMPING = 2
    """Puts a stamp behind each message, as a server does that records its life."""
    NEXT = 3
    """Puts a field behind each message that nobody else knows; its data are of a format that nobody else reads."""


_NAMES_DISK: Final = frozenset((2, 4, 6, 8))
"""Tags of the messages whose last field is the sender's disk."""
_NEWER: Final = frozenset((68, 69, 70))
"""Tags of the messages that the first version did not know."""
_FIXARRAY: Final = 0x90
_MOST: Final = 15
"""Elements of an array whose length is in its first byte."""
_NIL: Final = b"\xc0"
_UNKNOWN: Final = b"\x7f"
"""A tag that no message has."""
_LIMIT_BYTES: Final = 4096


def outgoing(version: Version, payload: bytes, strikes: Strikes | None = None) -> bytes | None:
    """What a server of that version sends instead of a payload; None for nothing."""
    if version is Version.BEFORE:
        tag = payload[1] if len(payload) > 1 else 0
        if tag in _NAMES_DISK:
            fields: list[Any] = msgspec.msgpack.decode(payload)
            payload = msgspec.msgpack.encode(fields[:-1])
        elif tag in _NEWER:
            return None
    elif payload[0] < _FIXARRAY + _MOST:
        if version is Version.STAMPING:
            payload = add_stamp(payload, Stamp(1, 1, 1))
        elif version is Version.NEXT:
            payload = bytes((payload[0] + 1,)) + payload[1:] + _NIL
    if strikes is not None:
        strikes.hit(f"version.sent_by_{version.name.lower()}")
    return payload


def incoming(version: Version, payload: bytes, strikes: Strikes) -> bytes:
    """What a payload is to a server of that version: what came later, it does not know."""
    if version is Version.BEFORE and len(payload) > 1 and payload[1] in _NEWER:
        strikes.hit("version.unknown_message")
        return payload[:1] + _UNKNOWN + payload[2:]
    return payload


def take_over(version: Version, config: NodeConfig, disk: Disk) -> None:
    """See whether a server of that version can use a data directory, before it is opened; blocking.

    Raises:
        NewerFormat: It cannot. The current version notices by itself.
    """
    directory = Path(config.data_dir)
    identity = _identity(disk, directory)
    if identity is None:
        return
    if version is Version.NEXT:
        write_identity(disk, directory, structs.replace(identity, format_version=FORMAT_VERSION))
    elif version is Version.BEFORE and identity.disk_id:
        raise NewerFormat(f"{directory} has format {FORMAT_VERSION}; this version knows up to {FORMAT_VERSION - 1}")


def leave_behind(version: Version, config: NodeConfig, disk: Disk) -> None:
    """Label a data directory as one that a server of that version has opened; blocking."""
    directory = Path(config.data_dir)
    identity = _identity(disk, directory)
    if version is Version.NEXT and identity is not None:
        write_identity(disk, directory, structs.replace(identity, format_version=FORMAT_VERSION + 1))


def _identity(disk: Disk, directory: Path) -> Identity | None:
    """Whose a directory is, whatever its format."""
    data = read_small_file(disk, directory / "identity", _LIMIT_BYTES)
    if data is None:
        return None
    try:
        content = msgspec.json.decode(data)
        return Identity(
            int(content["cluster_id"], 16),
            int(content["server_id"], 16),
            int(content["format_version"]),
            int(content.get("disk_id") or "0", 16),
        )
    except (msgspec.MsgspecError, LookupError, TypeError, ValueError) as error:
        raise CorruptIdentity(f"{directory} has a damaged identity: {error}") from error
