"""The data directory of a server of ours that was stopped, written without running one."""

from pathlib import Path

from oarlock.etcd.proto.rpc_pb2 import Member, PutRequest
from oarlock.etcd.requests import Kind, encode_command
from oarlock.etcd.server import open_machine
from oarlock.machine.exactly_once import seal
from oarlock.raft.types import Configuration, Entry, EntryKind, HardState, SnapshotMetadata
from oarlock.storage.disk import PosixDisk
from oarlock.storage.identity import Identity, write_identity
from oarlock.storage.wal import WriteAheadLog

CLUSTER_ID, SERVER_ID = 0xAB, 3
SEGMENT_BYTES = 1 << 14
TERM = 5


def write_server(
    directory: Path,
    *,
    puts: int = 5,
    unapplied: int = 2,
    peers: dict[int, str] | None = None,
    wal_dir: Path | None = None,
) -> None:
    """Write server 3 of a cluster of three, as it was when its power failed.

    Args:
        directory: The data directory.
        puts: Of keys k0, k1, ...; committed and in the database.
        unapplied: More of them, in the log only.
        peers: The peer URLs of servers 1 and 2, where not at ports that nobody uses.
        wal_dir: Where the log is, if elsewhere.
    """
    disk = PosixDisk()
    urls = {1: "http://127.0.0.1:1", 2: "http://127.0.0.1:2", 3: "http://127.0.0.1:3"} | (peers or {})
    configuration = Configuration(
        voters=frozenset(urls), addresses=tuple((server_id, (url,)) for server_id, url in urls.items())
    )
    names = [Member(ID=server_id, name=f"s{server_id}") for server_id in urls]
    commands = [encode_command(Kind.MEMBER_ATTRIBUTES, member.SerializeToString()) for member in names]
    for number in range(puts + unapplied):
        put = PutRequest(key=b"k%d" % number, value=b"v%d" % number)
        commands.append(encode_command(Kind.PUT, put.SerializeToString()))
    sealed = [seal(1, 1, sequence, sequence, command) for sequence, command in enumerate(commands, 1)]
    entries = [Entry(index, TERM, EntryKind.COMMAND, data) for index, data in enumerate(sealed, 1)]
    wal, _ = WriteAheadLog.open(disk, wal_dir or directory / "wal", segment_bytes=SEGMENT_BYTES, log_id=SERVER_ID)
    wal.append(base=SnapshotMetadata(configuration=configuration))
    wal.append(hard_state=HardState(TERM, 1), entries=entries)
    wal.close()
    write_identity(disk, directory, Identity(CLUSTER_ID, SERVER_ID))
    machine = open_machine(directory / "db", SERVER_ID)
    for entry in entries[: len(entries) - unapplied]:
        machine.apply(entry.index, entry.data)
    machine.store.commit()
    machine.store.close()
