"""KV.Txn: decide, check, then do (etcd, server/etcdserver/apply.go).

First every compare of the tree is evaluated against the state before the transaction, which fixes the
branches taken. Then everything on those branches that could fail is checked against the same state. What is
left cannot fail, so a transaction takes effect whole or not at all.
"""

from collections.abc import Iterator, Sequence
from typing import Protocol

from oarlock.etcd import errors
from oarlock.etcd.errors import ApiError
from oarlock.etcd.header import revision_header
from oarlock.etcd.proto.kv_pb2 import KeyValue
from oarlock.etcd.proto.rpc_pb2 import (
    Compare,
    DeleteRangeRequest,
    PutRequest,
    RangeRequest,
    RequestOp,
    TxnRequest,
)
from oarlock.etcd.ranges import View, get_fields, is_plain_get, pairs_field, range_fields
from oarlock.mvcc.keyvalue import varint
from oarlock.mvcc.ranges import DEFAULT_OPTIONS


class Writer(View, Protocol):
    """A view that can be changed."""

    @property
    def revision(self) -> int:
        """The revision that a read sees now."""

    def put(self, key: bytes, value: bytes, lease: int = 0) -> None:
        """Write a new version of a key."""

    def delete_range(self, key: bytes, range_end: bytes = b"") -> int:
        """Delete every key of a range; gives their number."""


class Branch:
    """The operations that a transaction's compares chose, and the branches chosen in those nested in it."""

    __slots__ = ("nested", "operations", "succeeded")

    def __init__(self, succeeded: bool, operations: Sequence[RequestOp], nested: list["Branch"]) -> None:
        self.succeeded = succeeded
        self.operations = operations
        self.nested = nested
        """One for each nested transaction among the operations, in order."""


def choose(view: View, request: TxnRequest) -> Branch:
    """Evaluate every compare on the path taken; nothing may change the view meanwhile."""
    succeeded = all(_holds(view, compare) for compare in request.compare)
    operations = request.success if succeeded else request.failure
    nested = [choose(view, operation.request_txn) for operation in operations if operation.HasField("request_txn")]
    return Branch(succeeded, operations, nested)


def _holds(view: View, compare: Compare) -> bool:
    if compare.range_end:
        found = view.range(compare.key, compare.range_end, DEFAULT_OPTIONS).kvs
    else:
        one = view.get(compare.key)
        found = [one] if one is not None else []
    if not found:
        # Nothing stands for a missing value, so a compare of it never holds; numbers of a missing key are 0.
        return compare.target != Compare.VALUE and _compare(compare, KeyValue())
    return all(_compare(compare, KeyValue.FromString(pair)) for pair in found)


def _compare(compare: Compare, pair: KeyValue) -> bool:
    left: int | bytes
    right: int | bytes
    match compare.target:
        case Compare.VALUE:
            left, right = pair.value, compare.value
        case Compare.VERSION:
            left, right = pair.version, compare.version
        case Compare.CREATE:
            left, right = pair.create_revision, compare.create_revision
        case Compare.MOD:
            left, right = pair.mod_revision, compare.mod_revision
        case Compare.LEASE:
            left, right = pair.lease, compare.lease
        case _:
            left = right = 0  # etcd takes a target it does not know as equal
    match compare.result:
        case Compare.EQUAL:
            return left == right
        case Compare.NOT_EQUAL:
            return left != right
        case Compare.GREATER:
            return left > right  # type: ignore[operator]
        case Compare.LESS:
            return left < right  # type: ignore[operator]
        case _:
            return True


def check(view: View, branch: Branch, *, current_revision: int, compact_revision: int) -> ApiError | None:
    """What on the branches taken would fail: first of all the puts, then of all the ranges.

    Args:
        view: The state before the transaction.
        branch: From `choose`.
        current_revision: The store's revision.
        compact_revision: The store's compact revision, -1 before the first compaction.
    """
    for operation in _flatten(branch):
        if operation.HasField("request_put") and (error := check_put_against(view, operation.request_put)):
            return error
    for operation in _flatten(branch):
        if operation.HasField("request_range") and (revision := operation.request_range.revision):
            if revision > current_revision:
                return errors.FUTURE_REVISION
            if revision < compact_revision:
                return errors.COMPACTED
    return None


def check_put_against(view: View, request: PutRequest) -> ApiError | None:
    """What is wrong with a put, given the state that it meets."""
    if (request.ignore_value or request.ignore_lease) and view.get(request.key) is None:
        return errors.KEY_NOT_FOUND
    if request.lease:
        return errors.LEASE_NOT_FOUND
    return None


def _flatten(branch: Branch) -> Iterator[RequestOp]:
    nested = iter(branch.nested)
    for operation in branch.operations:
        if operation.HasField("request_txn"):
            yield from _flatten(next(nested))
        else:
            yield operation


def execute(writer: Writer, branch: Branch, *, wanted: bool) -> bytes:
    """Do what was chosen and checked.

    Args:
        writer: Where.
        branch: From `choose`.
        wanted: Whether anyone reads the answer; what only reads is left out otherwise.

    Returns:
        The fields of a TxnResponse after its header; empty when not wanted.
    """
    parts = [b"\x10\x01"] if branch.succeeded else []
    nested = iter(branch.nested)
    for operation in branch.operations:
        match operation.WhichOneof("request"):
            case "request_range":
                if not wanted:
                    continue
                tag, answer = b"\x0a", _range(writer, operation.request_range)
            case "request_put":
                tag, answer = b"\x12", put(writer, operation.request_put)
                answer = revision_header(writer.revision) + answer
            case "request_delete_range":
                tag, answer = b"\x1a", delete_range(writer, operation.request_delete_range)
                answer = revision_header(writer.revision) + answer
            case _:
                tag, answer = b"\x22", b"\x0a\x00" + execute(writer, next(nested), wanted=wanted)
        if wanted:
            field = tag + varint(len(answer)) + answer
            parts += (b"\x1a", varint(len(field)), field)
    return b"".join(parts) if wanted else b""


def _range(view: Writer, request: RangeRequest) -> bytes:
    if is_plain_get(request):
        return revision_header(view.revision) + get_fields(view, request.key)
    revision, fields = range_fields(view, request)
    return revision_header(revision) + fields


def put(writer: Writer, request: PutRequest) -> bytes:
    """Carry out a put that was checked.

    Returns:
        The fields of a PutResponse after its header.
    """
    value, lease, answer = request.value, request.lease, b""
    if request.prev_kv or request.ignore_value or request.ignore_lease:
        previous = writer.get(request.key)
        if previous is not None:
            if request.ignore_value or request.ignore_lease:
                pair = KeyValue.FromString(previous)
                value = pair.value if request.ignore_value else value
                lease = pair.lease if request.ignore_lease else lease
            if request.prev_kv:
                answer = b"\x12" + varint(len(previous)) + previous
    writer.put(request.key, value, lease)
    return answer


def delete_range(writer: Writer, request: DeleteRangeRequest) -> bytes:
    """Carry out a delete.

    Returns:
        The fields of a DeleteRangeResponse after its header.
    """
    previous: list[bytes] = []
    if request.prev_kv:
        previous = writer.range(request.key, request.range_end, DEFAULT_OPTIONS).kvs
    deleted = writer.delete_range(request.key, request.range_end)
    parts = [b"\x10" + varint(deleted)] if deleted else []
    return b"".join(parts + pairs_field(b"\x1a", previous))
