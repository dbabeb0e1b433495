"""etcdserverpb.Maintenance: what operators ask one member."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import Executor
from functools import partial
from typing import Final, TypeVar, cast

from oarlock.etcd import errors
from oarlock.etcd.endpoints import SERVER_VERSION
from oarlock.etcd.grpc import GrpcServer, RequestStream, RpcContext
from oarlock.etcd.machine import alarm_fields, alarm_member
from oarlock.etcd.proto.rpc_pb2 import (
    AlarmRequest,
    AlarmType,
    HashKVRequest,
    HashKVResponse,
    HashResponse,
    MoveLeaderRequest,
    SnapshotRequest,
    SnapshotResponse,
    StatusResponse,
)
from oarlock.etcd.requests import Kind, parse
from oarlock.etcd.services.calls import Calls, failure_of
from oarlock.etcd.services.members import member_buckets
from oarlock.mvcc.bbolt import BboltImage
from oarlock.mvcc.errors import CompactedError, CorruptStoreError, FutureRevisionError, StorageFailedError
from oarlock.mvcc.hashing import hash_kv, hash_view
from oarlock.mvcc.view import View
from oarlock.node.errors import NodeError

SNAPSHOT_BLOB_BYTES: Final = 32 * 1024

MAX_SNAPSHOTS: Final = 4
"""Sent at a time; each pins the pages of its view until the client has taken it."""

_Result = TypeVar("_Result")


class MaintenanceService:
    """Handlers of the Maintenance service.

    What reads the whole store pins a view of it and works in a thread. Hashes and defragmentations wait for each
    other, and only a few snapshots are sent at a time, so that pinned views stay few however many clients ask.
    """

    def __init__(self, calls: Calls, executor: Executor) -> None:
        """Prepare.

        Args:
            calls: What the services share.
            executor: For what reads the whole store.
        """
        self._calls = calls
        self._machine = calls.machine
        self._store = calls.machine.store
        self._headers = calls.headers
        self._executor = executor
        self._one_at_a_time = asyncio.Lock()
        self._snapshots = 0

    def register(self, server: GrpcServer) -> None:
        """Add the handlers to a server."""
        status = self._calls.with_leader(self.status, learner_may=lambda _request: True)
        server.add_unary("/etcdserverpb.Maintenance/Status", status)
        for name, handler in (
            ("Alarm", self.alarm),
            ("Hash", self.hash),
            ("HashKV", self.hash_kv),
            ("Defragment", self.defragment),
            ("MoveLeader", self.move_leader),
        ):
            server.add_unary(f"/etcdserverpb.Maintenance/{name}", self._calls.with_leader(handler))
        server.add_stream("/etcdserverpb.Maintenance/Snapshot", self.snapshot, kind="server_stream")

    def status(self, _data: bytes, _context: RpcContext) -> bytes | Awaitable[bytes]:
        """Status."""
        return self._calls.read_local(self._status)

    def _status(self) -> bytes:
        status = self._calls.cluster.status()
        complaints = [] if status.leader_id else [errors.NO_LEADER.message]
        complaints += [
            f"memberID:{member} alarm:{_alarm_name(alarm)} "  # etcd prints the message, blank included
            for alarm, member in self._machine.raised(AlarmType.NONE)
        ]
        response = StatusResponse(
            version=SERVER_VERSION,
            dbSize=self._store.size(),
            dbSizeInUse=self._store.size_in_use(),
            leader=status.leader_id or 0,
            raftIndex=status.commit_index,
            raftTerm=status.term,
            raftAppliedIndex=status.applied_index,
            errors=complaints,
            isLearner=status.is_learner,
        )
        return self._headers.field(self._store.current_revision) + response.SerializeToString()

    def alarm(self, data: bytes, context: RpcContext) -> bytes | Awaitable[bytes]:
        """Alarm: GET is a linearizable read, the others are proposed."""
        request = parse(AlarmRequest, data)
        if request.action == AlarmRequest.GET:
            return self._calls.read(context, partial(self._alarms, request.alarm))
        return self._calls.propose(Kind.ALARM, data, context)

    def _alarms(self, alarm: int) -> bytes:
        return self._headers.field(self._store.current_revision) + alarm_fields(self._machine.raised(alarm))

    async def hash(self, _data: bytes, _context: RpcContext) -> bytes:
        """Hash: over everything that all members share."""
        revision, number = await self._in_view(lambda view: (view.current_revision, hash_view(view)))
        return self._headers.field(revision) + HashResponse(hash=number).SerializeToString()

    async def hash_kv(self, data: bytes, _context: RpcContext) -> bytes:
        """HashKV: etcd's, bit for bit."""
        revision = parse(HashKVRequest, data).revision
        try:
            result = await self._in_view(lambda view: hash_kv(view, revision))
        except CompactedError:
            raise errors.COMPACTED.exception() from None
        except FutureRevisionError:
            raise errors.FUTURE_REVISION.exception() from None
        response = HashKVResponse(hash=result.hash, compact_revision=result.compact_revision)
        return self._headers.field(result.current_revision) + response.SerializeToString()

    async def _in_view(self, work: Callable[[View], _Result]) -> _Result:
        async with self._one_at_a_time:
            await self._whole()
            view = self._store.begin_view()
            try:
                return await self._in_thread(lambda: work(view))
            finally:
                view.close()

    async def _whole(self) -> None:
        while (restored := self._machine.restored) is not None:
            await asyncio.shield(restored)

    async def _in_thread(self, work: Callable[[], _Result]) -> _Result:
        """Run something blocking; a caller that is cancelled still waits for it, since it uses a pinned view."""
        running = self._calls.loop.run_in_executor(self._executor, work)
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            await asyncio.wait([running])
            raise
        except (CorruptStoreError, StorageFailedError) as error:
            raise self._calls.damaged(error) from error

    async def defragment(self, _data: bytes, _context: RpcContext) -> bytes:
        """Defragment: this server's database is rewritten; the answer is empty."""
        async with self._one_at_a_time:
            await self._whole()
            await self._in_thread(self._store.backend.defragment)
        return b""

    async def move_leader(self, data: bytes, context: RpcContext) -> bytes:
        """MoveLeader: asked of the leader, done when the other one leads; the answer is empty."""
        to = parse(MoveLeaderRequest, data).targetID
        try:
            await self._calls.cluster.transfer_leadership(to, self._calls.timeout_s(context))
        except NodeError as error:
            raise failure_of(error).exception() from error
        return b""

    async def snapshot(self, requests: RequestStream, _context: RpcContext) -> AsyncIterator[bytes]:
        """Snapshot: a bbolt file in blobs, then its SHA-256."""
        async for data in requests:
            parse(SnapshotRequest, data)
        if self._snapshots >= MAX_SNAPSHOTS:
            raise errors.TOO_MANY_REQUESTS.exception()
        self._snapshots += 1
        try:
            await self._whole()
            view = self._store.begin_view()
            try:
                buckets = self._buckets()
                image = await self._in_thread(lambda: BboltImage(view, buckets))
                blobs = _blobs(image.pages())
                digest = hashlib.sha256()
                remaining = image.size_bytes
                while (blob := await self._in_thread(lambda: next(blobs, None))) is not None:
                    digest.update(blob)
                    remaining -= len(blob)
                    yield SnapshotResponse(remaining_bytes=remaining, blob=blob).SerializeToString()
            finally:
                view.close()
        finally:
            self._snapshots -= 1
        yield SnapshotResponse(blob=digest.digest()).SerializeToString()

    def _buckets(self) -> dict[str, dict[bytes, bytes]]:
        """What the file holds beside keys, as etcd keeps it; a restore names new members in place of these."""
        return {
            "alarm": {alarm_member(*alarm).SerializeToString(): b"" for alarm in self._machine.raised(AlarmType.NONE)},
            "cluster": {b"clusterVersion": b"3.5.0"},
            **member_buckets(self._calls),
        }


def _alarm_name(alarm: int) -> str:
    return AlarmType.Name(cast("AlarmType", alarm)) if alarm in AlarmType.values() else str(alarm)


def _blobs(pages: Iterator[bytes]) -> Iterator[bytes]:
    """The same bytes in blobs of the size that etcd sends."""
    gathered = bytearray()
    for page in pages:
        gathered += page
        while len(gathered) >= SNAPSHOT_BLOB_BYTES:
            yield bytes(gathered[:SNAPSHOT_BLOB_BYTES])
            del gathered[:SNAPSHOT_BLOB_BYTES]
    if gathered:
        yield bytes(gathered)
