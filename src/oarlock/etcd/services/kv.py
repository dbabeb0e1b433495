"""etcdserverpb.KV: ranges, puts, deletes, transactions, compactions."""

from collections.abc import Awaitable
from functools import partial

from oarlock.etcd import errors
from oarlock.etcd.errors import ApiError
from oarlock.etcd.grpc import GrpcServer, RpcContext
from oarlock.etcd.proto.rpc_pb2 import (
    CompactionRequest,
    DeleteRangeRequest,
    PutRequest,
    RangeRequest,
    TxnRequest,
)
from oarlock.etcd.ranges import get_fields, is_plain_get, range_fields
from oarlock.etcd.requests import (
    Kind,
    check_delete_range,
    check_put,
    check_range,
    check_size,
    check_txn,
    is_read_only,
    parse,
    put_cost_bytes,
    txn_cost_bytes,
)
from oarlock.etcd.services.calls import Calls
from oarlock.etcd.services.quota import Quota
from oarlock.mvcc.errors import CompactedError, FutureRevisionError


class KvService:
    """Handlers of the KV service."""

    def __init__(self, calls: Calls, quota: Quota) -> None:
        self._calls = calls
        self._machine = calls.machine
        self._store = calls.machine.store
        self._headers = calls.headers
        self._quota = quota
        self._max_request_bytes = calls.limits.max_request_bytes
        self._max_txn_operations = calls.limits.max_txn_operations

    def register(self, server: GrpcServer) -> None:
        """Add the handlers to a server."""
        ranges = self._calls.with_leader(self.range, lambda data: parse(RangeRequest, data).serializable)
        server.add_unary("/etcdserverpb.KV/Range", ranges)
        for name, handler in (
            ("Put", self.put),
            ("DeleteRange", self.delete_range),
            ("Txn", self.txn),
            ("Compact", self.compact),
        ):
            server.add_unary(f"/etcdserverpb.KV/{name}", self._calls.with_leader(handler))

    def range(self, data: bytes, context: RpcContext) -> bytes | Awaitable[bytes]:
        """Range: linearizable behind a read barrier, or at once from this server's own state."""
        request = parse(RangeRequest, data)
        if error := check_range(request):
            raise error.exception()
        # The value of one key is small or soon read; a range is not made before there is room for its answer.
        is_get = is_plain_get(request)
        handle = partial(self._get if is_get else self._range, request)
        make = partial(context.make_answer, handle, self._calls.read_local, cheap=is_get)
        return self._calls.read_local(make) if request.serializable else self._calls.read(context, make)

    def _get(self, request: RangeRequest) -> bytes:
        store = self._store
        return self._headers.field(store.current_revision) + get_fields(store, request.key)

    def _range(self, request: RangeRequest) -> bytes:
        try:
            revision, fields = range_fields(self._store, request)
        except CompactedError:
            raise errors.COMPACTED.exception() from None
        except FutureRevisionError:
            raise errors.FUTURE_REVISION.exception() from None
        return self._headers.field(revision) + fields

    def put(self, data: bytes, context: RpcContext) -> Awaitable[bytes]:
        """Put."""
        request = parse(PutRequest, data)
        if not self._quota.allows(put_cost_bytes(request)):
            return self._quota.refuse(context)
        self._check(check_put(request), data)
        return self._calls.propose(Kind.PUT, data, context)

    def delete_range(self, data: bytes, context: RpcContext) -> Awaitable[bytes]:
        """DeleteRange."""
        self._check(check_delete_range(parse(DeleteRangeRequest, data)), data)
        context.require_room(partial(self.delete_range, data, context))
        return self._calls.propose(Kind.DELETE_RANGE, data, context)

    def txn(self, data: bytes, context: RpcContext) -> bytes | Awaitable[bytes]:
        """Txn: proposed if it might write, else a linearizable read."""
        request = parse(TxnRequest, data)
        if (cost := txn_cost_bytes(request)) and not self._quota.allows(cost):
            return self._quota.refuse(context)
        if error := check_txn(request, self._max_txn_operations):
            raise error.exception()
        if is_read_only(request):
            make = partial(context.make_answer, partial(self._read_txn, request), self._calls.read_local)
            return self._calls.read(context, make)
        self._check(None, data)
        context.require_room(partial(self.txn, data, context))
        return self._calls.propose(Kind.TXN, data, context)

    def _read_txn(self, request: TxnRequest) -> bytes:
        outcome = self._machine.read_txn(request)
        if isinstance(outcome, ApiError):
            raise outcome.exception()
        revision, fields = outcome
        return self._headers.field(revision) + fields

    def compact(self, data: bytes, context: RpcContext) -> Awaitable[bytes]:
        """Compact; a physical one is answered when the records are gone from this server's disk."""
        request = parse(CompactionRequest, data)
        self._check(None, data)
        answer = self._calls.propose(Kind.COMPACT, data, context)
        return self._after_compaction(answer, request.revision) if request.physical else answer

    async def _after_compaction(self, answer: Awaitable[bytes], revision: int) -> bytes:
        response = await answer
        await self._machine.compacted(revision)
        return response

    def _check(self, error: ApiError | None, data: bytes) -> None:
        if error := error or check_size(data, self._max_request_bytes):
            raise error.exception()
