"""Where bits rot: each region of what a server keeps on its disk, so that each can be struck and counted by itself."""

import random
from collections.abc import Iterator
from typing import Final, Literal, NamedTuple

import msgspec

from oarlock.sim.disk import SimDisk
from oarlock.sim.inode import Inode
from oarlock.storage.records import (
    HEADER_BYTES,
    RecordHeader,
    RecordType,
    decode_batches,
    decode_header,
    decode_start,
)

Region = Literal["log_header", "log_body", "hard_state", "log_tail", "last_record", "snapshot", "identity", "boot"]
"""Of the files; the store's database is a region of its own."""

_HARD_STATE_BYTES: Final = 6
"""A body begins with two array headers and its first batch's hard state; so much of that is there in any case."""

Place = tuple[Inode, int, int]
"""A file, and where in it a stretch begins and ends."""


class Record(NamedTuple):
    """A record of the log, as the device holds it."""

    inode: Inode
    offset: int
    header: RecordHeader


def rot(disk: SimDisk, region: Region) -> bool:
    """Flip a bit on the device, and in what of it is cached; whether there was anything of the kind."""
    places = list(_places(disk, region))
    if not places:
        return False
    inode, start, end = disk.rng.choice(places)
    flip_bit(inode.device, disk.rng.randrange(start, end), disk.rng)
    if inode.is_clean:
        inode.cache = bytearray(inode.device)
    disk.strikes.hit(f"rot.{region}")
    return True


def flip_bit(data: bytearray, at: int, rng: random.Random) -> None:
    """Change one bit of a byte."""
    data[at] ^= 1 << rng.randrange(8)


def records(disk: SimDisk) -> list[Record]:
    """The log's sound records, in order."""
    found = []
    for path, inode in disk.files():
        if not path.endswith(".wal"):
            continue
        offset = 0
        while (header := decode_header(bytes(inode.device[offset : offset + HEADER_BYTES]))) is not None:
            found.append(Record(inode, offset, header))
            offset += header.record_bytes
    return found


def _places(disk: SimDisk, region: Region) -> Iterator[Place]:
    if region in {"snapshot", "identity", "boot"}:
        ending = {"snapshot": ".snap", "identity": "/identity", "boot": "/boot"}[region]
        for path, inode in disk.files():
            if path.endswith(ending) and inode.device:
                yield inode, 0, len(inode.device)
        return
    log = records(disk)
    if region in {"log_tail", "last_record"}:
        if log:
            yield from _at_the_end(log, region)
        return
    for record in log[:-1]:
        yield from _within(record, region)


def _at_the_end(log: list[Record], region: Region) -> Iterator[Place]:
    """The last record, or what is behind it. The record is nobody's promise if it is a seal."""
    last = log[-1]
    first = next(record for record in log if record.inode is last.inode)
    body = first.offset + HEADER_BYTES
    try:
        start = decode_start(bytes(last.inode.device[body : body + first.header.length]))
    except msgspec.MsgspecError:
        return  # it was damaged before
    end = last.offset + last.header.record_bytes
    # What was durable when the file got its name cannot be taken for a torn write.
    is_in_doubt = last.offset >= first.header.record_bytes + start.carried_bytes
    is_seal = last.header.type == RecordType.SEAL
    if region == "last_record":
        if is_in_doubt and not is_seal:
            yield last.inode, last.offset, last.offset + HEADER_BYTES + last.header.length
    else:
        begin = last.offset if is_in_doubt and is_seal else end
        if begin < len(last.inode.device):
            yield last.inode, begin, len(last.inode.device)


def _within(record: Record, region: Region) -> Iterator[Place]:
    """The stretch of a record that something is proved to follow."""
    start = record.offset + HEADER_BYTES
    length = record.header.length
    if region == "log_header":
        yield record.inode, record.offset, start
    elif length and region == "log_body":
        yield record.inode, start, start + length
    elif region == "hard_state" and record.header.type == RecordType.APPEND and _has_hard_state(record):
        yield record.inode, start, start + _HARD_STATE_BYTES


def _has_hard_state(record: Record) -> bool:
    start = record.offset + HEADER_BYTES
    try:
        batches = decode_batches(bytes(record.inode.device[start : start + record.header.length]))
    except msgspec.MsgspecError:
        return False
    return batches[0].hard_state is not None
