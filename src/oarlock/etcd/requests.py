"""Requests on their way into the log: what etcd checks before proposing, and how a command is encoded.

A command is one byte that says its kind, and the request's protobuf bytes as the client sent them. Everything
that is not a function of the store (ids, times, limits of this server) is decided before it is proposed.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from enum import IntEnum
from typing import Final, TypeVar

from google.protobuf.message import DecodeError, Message

from oarlock.etcd import errors
from oarlock.etcd.errors import ApiError
from oarlock.etcd.grpc.status import RpcError, Status
from oarlock.etcd.proto.rpc_pb2 import (
    DeleteRangeRequest,
    PutRequest,
    RangeRequest,
    RequestOp,
    TxnRequest,
)

_Request = TypeVar("_Request", bound=Message)

RAFT_OVERHEAD_BYTES: Final = 18
"""What etcd's own wrapping (request id, field tag and length) adds to a request before its size is checked."""

PAIR_COST_BYTES: Final = 256
"""What etcd charges a put against the quota beside key and value."""


class Kind(IntEnum):
    """What a command asks of the state machine; the numbers are in logs and must stay."""

    PUT = 1
    DELETE_RANGE = 2
    TXN = 3
    COMPACT = 4
    ALARM = 5
    MEMBER_ATTRIBUTES = 6
    """A `Member` with the name and client URLs that a server tells the cluster when it starts."""


_PREFIX: Final = {kind: bytes((kind,)) for kind in Kind}


def encode_command(kind: Kind, request: bytes) -> bytes:
    """A command for the log.

    Args:
        kind: What is asked.
        request: The protobuf bytes of the kind's request.
    """
    return _PREFIX[kind] + request


def parse(kind: type[_Request], data: bytes) -> _Request:
    """Parse a request as a gRPC server does.

    Raises:
        RpcError: INTERNAL, with grpc-go's text, when the bytes are not such a message.
    """
    try:
        return kind.FromString(data)
    except DecodeError as error:
        raise RpcError(Status.INTERNAL, f"grpc: error unmarshalling request: {error}") from None


def check_size(request: bytes, max_request_bytes: int) -> ApiError | None:
    """Refuse what would be too large for the log.

    Args:
        request: The protobuf bytes.
        max_request_bytes: The server's limit on a proposal.
    """
    if len(request) + RAFT_OVERHEAD_BYTES > max_request_bytes:
        return errors.REQUEST_TOO_LARGE
    return None


def check_range(request: RangeRequest) -> ApiError | None:
    """What is wrong with a range request that can be told without the store."""
    return None if request.key else errors.EMPTY_KEY


def check_put(request: PutRequest) -> ApiError | None:
    """What is wrong with a put request that can be told without the store."""
    if not request.key:
        return errors.EMPTY_KEY
    if request.ignore_value and request.value:
        return errors.VALUE_PROVIDED
    if request.ignore_lease and request.lease:
        return errors.LEASE_PROVIDED
    return None


def check_delete_range(request: DeleteRangeRequest) -> ApiError | None:
    """What is wrong with a delete request that can be told without the store."""
    return None if request.key else errors.EMPTY_KEY


def check_txn(request: TxnRequest, max_operations: int) -> ApiError | None:
    """What is wrong with a transaction that can be told without the store.

    Args:
        request: The transaction, with those nested in it.
        max_operations: Bounds compares, success and failure operations each; what the largest of them uses is
            taken off for the transactions nested below.
    """
    return (
        _check_operations(request, max_operations)
        or _check_overlaps(request.success)[2]
        or _check_overlaps(request.failure)[2]
    )


def _check_operations(request: TxnRequest, max_operations: int) -> ApiError | None:
    count = max(len(request.compare), len(request.success), len(request.failure))
    if count > max_operations:
        return errors.TOO_MANY_OPERATIONS
    if not all(compare.key for compare in request.compare):
        return errors.EMPTY_KEY
    for operations in (request.success, request.failure):
        for operation in operations:
            if error := _check_operation(operation, max_operations - count):
                return error
    return None


def _check_operation(operation: RequestOp, max_operations: int) -> ApiError | None:
    match operation.WhichOneof("request"):
        case "request_range":
            return check_range(operation.request_range)
        case "request_put":
            return check_put(operation.request_put)
        case "request_delete_range":
            return check_delete_range(operation.request_delete_range)
        case "request_txn":
            return _check_operations(operation.request_txn, max_operations)
        case _:
            return errors.KEY_NOT_FOUND  # etcd's answer to an operation that asks for nothing


class _KeyRanges:
    """A union of half-open key ranges, kept sorted and disjoint."""

    __slots__ = ("_ends", "_starts")

    def __init__(self) -> None:
        self._starts: list[bytes] = []
        self._ends: list[bytes] = []

    def add(self, start: bytes, end: bytes) -> None:
        """Add [start, end); an end at or before the start adds nothing."""
        if end <= start:
            return
        first = bisect_right(self._ends, start)
        last = bisect_right(self._starts, end)
        if first < last:
            start = min(start, self._starts[first])
            end = max(end, self._ends[last - 1])
        self._starts[first:last] = [start]
        self._ends[first:last] = [end]

    def update(self, other: "_KeyRanges") -> None:
        """Add every range of another union."""
        for start, end in other:
            self.add(start, end)

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        return zip(self._starts, self._ends, strict=True)

    def __contains__(self, key: bytes) -> bool:
        at = bisect_right(self._starts, key) - 1
        return at >= 0 and key < self._ends[at]


_Overlaps = tuple[set[bytes], _KeyRanges, ApiError | None]
"""The keys put, the ranges deleted, and the error where they collide."""


def _check_overlaps(operations: Iterable[RequestOp]) -> _Overlaps:
    """Refuse a key put twice, or put and deleted, by operations that may all take effect.

    The order of the checks is etcd's: a put is compared with the deletes of its own level and with those of
    nested transactions before it, not of those after it. An open end (a zero byte) is an ordinary key here,
    before every other, so that such a delete overlaps with nothing: etcd lets it pass, and the operations
    apply in order.
    """
    deletes = _KeyRanges()
    puts: set[bytes] = set()
    nested: list[TxnRequest] = []
    own_puts: list[bytes] = []
    for operation in operations:
        match operation.WhichOneof("request"):
            case "request_delete_range":
                delete = operation.request_delete_range
                deletes.add(delete.key, delete.range_end or delete.key + b"\0")
            case "request_txn":
                nested.append(operation.request_txn)
            case "request_put":
                own_puts.append(operation.request_put.key)
    for txn in nested:
        puts_then, deletes_then, error_then = _check_overlaps(txn.success)
        puts_else, deletes_else, error_else = _check_overlaps(txn.failure)
        if error := error_then or error_else:
            return puts, deletes, error
        either = puts_then | puts_else  # only one branch is taken, so the same key in both is no collision
        if not puts.isdisjoint(either) or any(key in deletes for key in either):
            return puts, deletes, errors.DUPLICATE_KEY
        puts |= either
        deletes.update(deletes_then)
        deletes.update(deletes_else)
    for key in own_puts:
        if key in puts or key in deletes:
            return puts, deletes, errors.DUPLICATE_KEY
        puts.add(key)
    return puts, deletes, None


def is_read_only(request: TxnRequest) -> bool:
    """Whether no branch, nested ones included, could change the store."""
    for operations in (request.success, request.failure):
        for operation in operations:
            match operation.WhichOneof("request"):
                case "request_range":
                    pass
                case "request_txn":
                    if not is_read_only(operation.request_txn):
                        return False
                case _:
                    return False
    return True


def put_cost_bytes(request: PutRequest) -> int:
    """What a put is charged against the space quota."""
    return PAIR_COST_BYTES + len(request.key) + len(request.value)


def txn_cost_bytes(request: TxnRequest) -> int:
    """What a transaction is charged against the space quota: the dearer branch; 0 when it puts nothing.

    etcd leaves out nested transactions, which lets them by a full database; they are counted here.
    """
    return max(_operations_cost(request.success), _operations_cost(request.failure))


def _operations_cost(operations: Iterable[RequestOp]) -> int:
    cost = 0
    for operation in operations:
        match operation.WhichOneof("request"):
            case "request_put":
                cost += put_cost_bytes(operation.request_put)
            case "request_txn":
                cost += txn_cost_bytes(operation.request_txn)
    return cost
