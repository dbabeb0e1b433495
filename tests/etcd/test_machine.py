"""The state machine: deterministic, once each, durable as one with its data, and movable in snapshots."""

import asyncio
import io
from collections.abc import Iterator
from pathlib import Path

import pytest

from oarlock.etcd import errors
from oarlock.etcd.machine import EtcdMachine, UnknownCommand
from oarlock.etcd.proto.rpc_pb2 import (
    AlarmRequest,
    AlarmType,
    CompactionRequest,
    DeleteRangeRequest,
    Member,
    PutRequest,
    RangeRequest,
    RequestOp,
    TxnRequest,
    TxnResponse,
)
from oarlock.etcd.requests import Kind, encode_command
from oarlock.etcd.server import open_machine
from oarlock.machine.exactly_once import AlreadyApplied, seal
from oarlock.machine.interface import carry_out

ORIGIN, OTHER = 1, 2


class Log:
    """Seals commands as server `ORIGIN` would and applies them to machines."""

    def __init__(self) -> None:
        self.entries: list[bytes] = []

    def add(self, kind: Kind, request: bytes) -> bytes:
        sequence = len(self.entries) + 1
        self.entries.append(seal(ORIGIN, 1, sequence, sequence, encode_command(kind, request)))
        return self.entries[-1]

    def put(self, key: bytes, value: bytes = b"", **options: bool) -> bytes:
        return self.add(Kind.PUT, PutRequest(key=key, value=value, **options).SerializeToString())

    def replay(self, machine: EtcdMachine) -> list[object]:
        start = machine.applied_index()
        return [machine.apply(index, entry) for index, entry in enumerate(self.entries[start:], start=start + 1)]


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[EtcdMachine]:
    """A fresh machine of the server that proposes everything."""
    machine = open_machine(tmp_path / "own", ORIGIN)
    yield machine
    machine.store.close()


@pytest.fixture
def other(tmp_path: Path) -> Iterator[EtcdMachine]:
    """A fresh machine of another server."""
    machine = open_machine(tmp_path / "other", OTHER)
    yield machine
    machine.store.close()


def everything() -> Log:
    """A log with every kind of command."""
    log = Log()
    log.put(b"a", b"1")
    log.put(b"b", b"2", prev_kv=True)
    log.put(b"missing", ignore_value=True)
    operations = [
        RequestOp(request_put=PutRequest(key=b"c", value=b"3")),
        RequestOp(request_range=RangeRequest(key=b"a", range_end=b"\0")),
        RequestOp(request_delete_range=DeleteRangeRequest(key=b"b", prev_kv=True)),
    ]
    log.add(Kind.TXN, TxnRequest(success=operations).SerializeToString())
    log.add(Kind.DELETE_RANGE, DeleteRangeRequest(key=b"a", range_end=b"b", prev_kv=True).SerializeToString())
    log.add(Kind.COMPACT, CompactionRequest(revision=3).SerializeToString())
    alarm = AlarmRequest(action=AlarmRequest.ACTIVATE, memberID=ORIGIN, alarm=AlarmType.NOSPACE)
    log.add(Kind.ALARM, alarm.SerializeToString())
    log.put(b"refused")
    log.add(Kind.MEMBER_ATTRIBUTES, Member(ID=ORIGIN, name="m1", clientURLs=["http://h:1"]).SerializeToString())
    return log


async def flush(machine: EtcdMachine) -> None:
    while (job := machine.begin_flush()) is not None:
        await carry_out(job, asyncio.get_running_loop(), None)


async def test_every_server_comes_to_the_same_state(machine: EtcdMachine, other: EtcdMachine) -> None:
    """Whether or not a server makes the answers, data, alarms, members and sessions are equal."""
    log = everything()
    results = log.replay(machine)
    log.replay(other)
    assert results[2] == errors.KEY_NOT_FOUND
    assert results[7] == errors.NO_SPACE
    assert machine.store.hash() == other.store.hash()
    assert machine.alarms == other.alarms == {(AlarmType.NOSPACE, ORIGIN): None}
    assert machine.members[ORIGIN].name == other.members[ORIGIN].name == "m1"


async def test_only_the_proposer_makes_answers(machine: EtcdMachine, other: EtcdMachine) -> None:
    """Where nobody waits, ranges inside transactions and deleted pairs are not read."""
    log = everything()
    _, fields = log.replay(machine)[3]  # type: ignore[misc]
    assert len(TxnResponse.FromString(fields).responses) == 3
    assert log.replay(other)[3:5] == [(4, b""), (5, b"\x10\x01")]


async def test_a_retried_put_takes_one_revision(machine: EtcdMachine) -> None:
    """The second copy of a proposal in the log is answered with the first one's result."""
    log = Log()
    entry = log.put(b"a", b"1")
    first = machine.apply(1, entry)
    assert machine.apply(2, entry) == AlreadyApplied(first)
    assert machine.store.current_revision == 2
    assert machine.applied_index() == 2


async def test_a_retry_is_recognised_after_a_restart(tmp_path: Path) -> None:
    """The table of applied proposals is durable with the data it speaks of."""
    log = everything()
    machine = open_machine(tmp_path, ORIGIN)
    log.replay(machine)
    await flush(machine)
    expected = machine.store.hash()
    machine.store.close()

    again = open_machine(tmp_path, ORIGIN)
    assert again.durable_index() == again.applied_index() == len(log.entries)
    assert again.store.hash() == expected
    assert again.alarms == machine.alarms
    assert again.members == machine.members
    assert again.apply(len(log.entries) + 1, log.entries[0]) == AlreadyApplied(None)
    assert again.store.current_revision == machine.store.current_revision
    again.store.close()


async def test_what_was_not_flushed_comes_back_from_the_log(tmp_path: Path) -> None:
    """A crash leaves the state of the last flush, and applying the rest again gives the state before."""
    log = everything()
    machine = open_machine(tmp_path, ORIGIN)
    for index, entry in enumerate(log.entries, start=1):
        machine.apply(index, entry)
        if index == 4:
            await flush(machine)
    expected = machine.store.hash()
    machine.store.close()

    again = open_machine(tmp_path, ORIGIN)
    assert again.applied_index() == 4
    log.replay(again)
    assert again.store.hash() == expected
    again.store.close()


async def test_a_snapshot_carries_everything(machine: EtcdMachine, other: EtcdMachine) -> None:
    """An image stands at the index where it was pinned, applies going on, and replaces all that was there."""
    log = everything()
    log.replay(machine)
    before = machine.store.hash()
    view = machine.begin_snapshot()
    await flush(machine)
    machine.apply(len(log.entries) + 1, seal(ORIGIN, 1, 100, 100, encode_command(Kind.DELETE_RANGE, b"\x0a\x01c")))
    image = io.BytesIO()
    view.write(image)
    view.close()

    other.apply(1, seal(OTHER, 9, 1, 1, encode_command(Kind.PUT, PutRequest(key=b"x").SerializeToString())))
    image.seek(0)
    job = other.begin_restore(image, view.index)
    reading = other.restored
    assert reading is not None
    await carry_out(job, asyncio.get_running_loop(), None)
    assert reading.done()
    assert other.restored is None
    assert other.applied_index() == other.durable_index() == view.index == len(log.entries)
    assert other.store.hash() == before
    assert other.alarms == machine.alarms
    assert other.apply(view.index + 1, log.entries[0]) == AlreadyApplied(None)


async def test_a_damaged_snapshot_changes_nothing(machine: EtcdMachine, other: EtcdMachine) -> None:
    """The old state goes on."""
    everything().replay(machine)
    view = machine.begin_snapshot()
    image = io.BytesIO()
    view.write(image)
    view.close()
    Log().replay(other)
    other.apply(1, Log().put(b"x", b"kept"))
    job = other.begin_restore(io.BytesIO(image.getvalue()[:-3]), view.index)
    with pytest.raises(ValueError, match="damaged"):
        await carry_out(job, asyncio.get_running_loop(), None)
    assert other.restored is None
    assert other.store.get(b"x") is not None


async def test_a_compaction_is_waited_for(machine: EtcdMachine) -> None:
    """A physical compaction is over when the records are gone from the disk."""
    log = Log()
    for number in range(20):
        log.put(b"a", b"%d" % number)
    log.add(Kind.COMPACT, CompactionRequest(revision=15).SerializeToString())
    log.replay(machine)
    done = machine.compacted(15)
    assert not done.done()
    await flush(machine)
    assert done.done()
    view = machine.store.begin_view()
    assert len(list(view.records())) == 7
    view.close()


async def test_a_command_of_the_future_stops_the_server(machine: EtcdMachine) -> None:
    """Going on without it would let this server's state differ from the others'."""
    with pytest.raises(UnknownCommand, match="kind ee"):
        machine.apply(1, seal(ORIGIN, 1, 1, 1, b"\xee"))
    with pytest.raises(UnknownCommand, match="none"):
        machine.apply(1, seal(ORIGIN, 1, 2, 2, b""))


async def test_alarms_and_members_are_bounded(machine: EtcdMachine) -> None:
    """Nobody can make the state grow by inventing members."""
    log = Log()
    for number in range(1100):
        alarm = AlarmRequest(action=AlarmRequest.ACTIVATE, memberID=number, alarm=7)  # type: ignore[arg-type]
        log.add(Kind.ALARM, alarm.SerializeToString())
    for number in range(1100):
        log.add(Kind.MEMBER_ATTRIBUTES, Member(ID=number + 1).SerializeToString())
    results = log.replay(machine)
    assert results[1023] != errors.TOO_MANY_REQUESTS
    assert results[1024] == results[1099] == errors.TOO_MANY_REQUESTS
    assert (len(machine.alarms), len(machine.members)) == (1024, 1024)
    assert (min(machine.members), max(machine.members)) == (77, 1100), "who published longest ago is forgotten"


async def test_state_of_an_unknown_form_is_refused(tmp_path: Path) -> None:
    """A store whose sessions cannot be read is an error that says so, not an empty table."""
    machine = open_machine(tmp_path, ORIGIN)
    machine.store.meta_source = None
    machine.store.set_extra("sessions", b"\xc1")
    machine.store.commit()
    machine.store.close()
    with pytest.raises(ValueError, match="'sessions' cannot be read"):
        open_machine(tmp_path, ORIGIN)
