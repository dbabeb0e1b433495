"""The replicated state machine: etcd's requests applied to the multi-version store, in log order, once each."""

import asyncio
from collections.abc import Callable, Mapping
from typing import BinaryIO, Final, TypeVar, cast

import msgspec

from oarlock.etcd import errors
from oarlock.etcd.errors import ApiError
from oarlock.etcd.proto.rpc_pb2 import (
    AlarmMember,
    AlarmRequest,
    AlarmType,
    CompactionRequest,
    DeleteRangeRequest,
    Member,
    PutRequest,
    TxnRequest,
)
from oarlock.etcd.ranges import pairs_field
from oarlock.etcd.requests import Kind, is_read_only, txn_cost_bytes
from oarlock.etcd.transactions import (
    Branch,
    check,
    check_put_against,
    choose,
    delete_range,
    execute,
    put,
)
from oarlock.machine.exactly_once import ExactlyOnce
from oarlock.machine.interface import FlushPostponed, Job
from oarlock.mvcc.errors import (
    CompactedError,
    CorruptSnapshotError,
    FutureRevisionError,
    StorageBusyError,
    StorageFullError,
)
from oarlock.mvcc.jobs import Commit, Restore
from oarlock.mvcc.snapshot import write_snapshot
from oarlock.mvcc.store import Store
from oarlock.mvcc.view import View
from oarlock.raft.types import Index, ServerId

Outcome = tuple[int, bytes] | ApiError
"""What applying gives: the revision for the header and the response's other fields, or an error."""

_SESSIONS: Final = "sessions"
_ALARMS: Final = "alarms"
_MEMBERS: Final = "members"

_Item = TypeVar("_Item")
_MAX_ALARMS: Final = 1024
_MAX_MEMBERS: Final = 1024
_NOTHING: Final = (0, b"")


class UnknownCommand(Exception):
    """The log holds a command of a kind that this version does not know."""


class EtcdMachine:
    """etcd's state: the store, the alarms, what members say of themselves, and the table of applied proposals."""

    def __init__(self, store: Store, server_id: ServerId) -> None:
        """Take a store into use.

        Args:
            store: Where everything is kept; nothing else may write to it.
            server_id: This server; results are made for its own proposals only.

        Raises:
            ValueError: What the store holds beside the data is not what this machine writes.
        """
        self.store = store
        self.alarms: dict[tuple[int, int], None] = {}
        """Raised alarms as (type, member)."""
        self.members: dict[ServerId, Member] = {}
        """What each member has published, its name and client URLs; whoever published last stands last."""
        self.restored: asyncio.Future[None] | None = None
        """Set while an image replaces the state: reads must wait for it."""
        self.commits = 0
        """Commits of the store, for the metrics."""
        self.commit_seconds = 0.0
        """What they took."""
        self._once = ExactlyOnce(server_id)
        self._compacted: list[tuple[int, asyncio.Future[None]]] = []
        self._execute: dict[int, Callable[[bytes, bool], Outcome]] = {
            Kind.PUT: self._put,
            Kind.DELETE_RANGE: self._delete_range,
            Kind.TXN: self._txn,
            Kind.COMPACT: self._compact,
            Kind.ALARM: self._alarm,
            Kind.MEMBER_ATTRIBUTES: self._member_attributes,
        }
        self._apply_alarms()
        self._load()
        store.meta_source = self._beside

    # Applying

    def apply(self, index: Index, command: bytes) -> object:
        """Apply one committed command; see `StateMachine.apply`.

        Returns:
            An `Outcome`, or `AlreadyApplied` for a proposal that was applied before.
        """
        result = self._once.apply(index, command, self._dispatch)
        self.store.set_applied(index)
        return result

    def _dispatch(self, command: bytes, wanted: bool) -> Outcome:
        handler = self._execute.get(command[0] if command else 0)
        if handler is None:
            raise UnknownCommand(f"a command of kind {command[:1].hex() or 'none'} in the log")
        return handler(command[1:], wanted)

    def _put(self, data: bytes, _wanted: bool) -> Outcome:
        if self._refuses_puts is not None:
            return self._refuses_puts
        request = PutRequest.FromString(data)
        if request.lease:
            return errors.LEASE_NOT_FOUND  # before the key, unlike inside a transaction
        if (request.ignore_value or request.ignore_lease) and (error := check_put_against(self.store, request)):
            return error
        writer = self.store.begin_write()
        fields = put(writer, request)
        return writer.end(), fields

    def _delete_range(self, data: bytes, wanted: bool) -> Outcome:
        if self._refuses_all is not None:
            return self._refuses_all
        request = DeleteRangeRequest.FromString(data)
        if not wanted:
            request.prev_kv = False
        writer = self.store.begin_write()
        fields = delete_range(writer, request)
        return writer.end(), fields

    def _txn(self, data: bytes, wanted: bool) -> Outcome:
        if self._refuses_all is not None:
            return self._refuses_all
        request = TxnRequest.FromString(data)
        if self._refuses_puts is not None and txn_cost_bytes(request):
            return self._refuses_puts
        branch = self._decide(request)
        if isinstance(branch, ApiError):
            return branch
        writer = self.store.begin_write()
        fields = execute(writer, branch, wanted=wanted)
        return writer.end(), fields

    def _decide(self, request: TxnRequest) -> Branch | ApiError:
        store = self.store
        branch = choose(store, request)
        return (
            check(
                store,
                branch,
                current_revision=store.current_revision,
                compact_revision=store.compact_revision,
            )
            or branch
        )

    def read_txn(self, request: TxnRequest) -> Outcome:
        """Answer a transaction that writes nothing, from this server's own state.

        Args:
            request: One for which `is_read_only` holds.
        """
        assert is_read_only(request)  # noqa: S101
        branch = self._decide(request)
        if isinstance(branch, ApiError):
            return branch
        reader = self.store.begin_write()  # that writes nothing, and so is no write
        fields = execute(reader, branch, wanted=True)
        return reader.end(), fields

    def _compact(self, data: bytes, _wanted: bool) -> Outcome:
        if self._refuses_all is not None:
            return self._refuses_all
        try:
            self.store.compact(CompactionRequest.FromString(data).revision)
        except CompactedError:
            return errors.COMPACTED
        except FutureRevisionError:
            return errors.FUTURE_REVISION
        return self.store.current_revision, b""

    # Alarms and members

    def _alarm(self, data: bytes, _wanted: bool) -> Outcome:
        request = AlarmRequest.FromString(data)
        alarm = (request.alarm, request.memberID)
        answered: list[tuple[int, int]] = []
        if request.action == AlarmRequest.ACTIVATE:
            if alarm not in self.alarms and len(self.alarms) >= _MAX_ALARMS:
                return errors.TOO_MANY_REQUESTS
            self.alarms[alarm] = None
            answered = [alarm]
        elif request.action == AlarmRequest.DEACTIVATE and alarm in self.alarms:
            del self.alarms[alarm]
            answered = [alarm]
        elif request.action == AlarmRequest.GET:
            answered = self.raised(request.alarm)
        if request.action != AlarmRequest.GET:
            self._apply_alarms()
        return self.store.current_revision, alarm_fields(answered)

    def raised(self, alarm: int) -> list[tuple[int, int]]:
        """The raised alarms of one type, or of every type for 0 (`NONE`), sorted."""
        return [raised for raised in sorted(self.alarms) if alarm in (AlarmType.NONE, raised[0])]

    def _apply_alarms(self) -> None:
        """Note what the alarms forbid."""
        kinds = {alarm for alarm, _ in self.alarms}
        self._refuses_all = errors.CORRUPT if AlarmType.CORRUPT in kinds else None
        self._refuses_puts = self._refuses_all or (errors.NO_SPACE if AlarmType.NOSPACE in kinds else None)

    def _member_attributes(self, data: bytes, _wanted: bool) -> Outcome:
        member = Member.FromString(data)
        self.members.pop(member.ID, None)
        self.members[member.ID] = member
        if len(self.members) > _MAX_MEMBERS:
            del self.members[next(iter(self.members))]  # most likely of one that was removed long ago
        return _NOTHING

    # What is kept beside the data

    def _beside(self) -> Mapping[str, bytes]:
        """Asked for with each commit and each image, so that these never stand apart from the data."""
        encode = msgspec.msgpack.encode
        return {
            _SESSIONS: encode(self._once.dump()),
            _ALARMS: encode(sorted(self.alarms)),
            _MEMBERS: encode([member.SerializeToString() for member in self.members.values()]),
        }

    def _load(self) -> None:
        sessions = self._decode(_SESSIONS, list[tuple[int, int, int, int, list[int]]])
        alarms = self._decode(_ALARMS, list[tuple[int, int]])
        members = [Member.FromString(data) for data in self._decode(_MEMBERS, list[bytes])]
        self._once.load(sessions)
        self.alarms = dict.fromkeys(alarms)
        self.members = {member.ID: member for member in members}
        self._apply_alarms()

    def _decode(self, name: str, kind: type[list[_Item]]) -> list[_Item]:
        data = self.store.get_extra(name)
        if data is None:
            return []
        try:
            return msgspec.msgpack.decode(data, type=kind)
        except msgspec.MsgspecError as error:
            raise ValueError(f"the store's {name!r} cannot be read: {error}") from None

    # Durability

    def applied_index(self) -> Index:
        """See `StateMachine.applied_index`."""
        return self.store.applied_index

    def durable_index(self) -> Index:
        """See `StateMachine.durable_index`."""
        return self.store.durable_index

    def begin_flush(self) -> Job | None:
        """See `StateMachine.begin_flush`; while records of a compaction are still to go there is more to flush."""
        store = self.store
        if store.applied_index == store.durable_index and not store.compaction_pending:
            return None
        commit = store.begin_commit()
        return _Flush(self, commit) if commit is not None else None

    def compacted(self, revision: int) -> asyncio.Future[None]:
        """Done once every record that a compaction at `revision` gives up is durably gone."""
        done = asyncio.get_running_loop().create_future()
        if self.store.finished_compaction >= revision:
            done.set_result(None)
        else:
            self._compacted.append((revision, done))
        return done

    def flushed(self) -> None:
        """For the jobs: wake those who wait for a compaction."""
        finished = self.store.finished_compaction
        for revision, done in self._compacted:
            if revision <= finished and not done.done():
                done.set_result(None)
        self._compacted = [waiting for waiting in self._compacted if not waiting[1].done()]

    def begin_snapshot(self) -> "MachineView":
        """See `StateMachine.begin_snapshot`."""
        return MachineView(self.store.begin_view())

    def begin_restore(self, source: BinaryIO, index: Index) -> Job:
        """See `StateMachine.begin_restore`; reads wait for `restored` meanwhile."""
        restore = self.store.begin_restore(source)
        self.restored = asyncio.get_running_loop().create_future()
        return _Restore(self, restore, index)

    def end_restore(self) -> None:
        """For the job: the state is whole again, new or old."""
        self._load()
        waiting, self.restored = self.restored, None
        if waiting is not None:
            waiting.set_result(None)
        self.flushed()


class MachineView:
    """An image of the machine: the store's, which carries everything else beside its data."""

    def __init__(self, view: View) -> None:
        self.view = view

    @property
    def index(self) -> Index:
        """See `SnapshotView.index`."""
        return self.view.applied_index

    def write(self, out: BinaryIO) -> None:
        """See `SnapshotView.write`."""
        write_snapshot(self.view, out)

    def close(self) -> None:
        """See `SnapshotView.close`."""
        self.view.close()


class _Flush:
    """A commit of the store, with the machine told of its end."""

    def __init__(self, machine: EtcdMachine, commit: Commit) -> None:
        self._machine = machine
        self._commit = commit
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()

    def run(self) -> None:
        try:
            self._commit.run()
        except (StorageFullError, StorageBusyError) as error:
            raise FlushPostponed(str(error)) from error

    def finish(self) -> None:
        self._commit.finish()
        self._machine.commits += 1
        self._machine.commit_seconds += self._loop.time() - self._began
        self._machine.flushed()

    def abandon(self) -> None:
        self._commit.abandon()


class _Restore:
    """A restore of the store, with the machine's own state loaded from it afterwards."""

    def __init__(self, machine: EtcdMachine, restore: Restore, index: Index) -> None:
        self._machine = machine
        self._restore = restore
        self._index = index

    def run(self) -> None:
        try:
            self._restore.run()
        except CorruptSnapshotError as error:
            raise ValueError(f"the image for index {self._index} is damaged: {error}") from error

    def finish(self) -> None:
        self._restore.finish()
        self._machine.end_restore()

    def abandon(self) -> None:
        self._restore.abandon()
        self._machine.end_restore()


def alarm_member(alarm: int, member: int) -> AlarmMember:
    """One raised alarm; its type may be one that this version has no name for."""
    return AlarmMember(memberID=member, alarm=cast("AlarmType", alarm))


def alarm_fields(alarms: list[tuple[int, int]]) -> bytes:
    """Alarms as the `alarms` field of an AlarmResponse."""
    return b"".join(pairs_field(b"\x12", [alarm_member(*alarm).SerializeToString() for alarm in alarms]))
