"""KV.Range over any view of the store: the answer's fields after its header, spliced from stored bytes."""

from typing import Final, Protocol

from oarlock.etcd.proto.rpc_pb2 import RangeRequest
from oarlock.mvcc.keyvalue import varint
from oarlock.mvcc.ranges import RangeOptions, RangeResult

_ONE: Final = b"\x20\x01"
"""`count` = 1."""


class View(Protocol):
    """What can be read: the store, or a write transaction with its own changes."""

    def get(self, key: bytes) -> bytes | None:
        """The marshalled KeyValue that a key has now."""

    def range(self, key: bytes, range_end: bytes, options: RangeOptions) -> RangeResult:
        """The keys of a range at one revision."""


def is_plain_get(request: RangeRequest) -> bool:
    """Whether one key is asked for as it is now, with nothing that would change the answer."""
    return not (
        request.range_end
        or request.revision > 0
        or request.keys_only
        or request.count_only
        or request.min_mod_revision
        or request.max_mod_revision
        or request.min_create_revision
        or request.max_create_revision
    )


def get_fields(view: View, key: bytes) -> bytes:
    """The fields of a RangeResponse for one key, its header left out."""
    found = view.get(key)
    return b"\x12" + varint(len(found)) + found + _ONE if found is not None else b""


def range_fields(view: View, request: RangeRequest) -> tuple[int, bytes]:
    """The revision for the header, and the other fields of a RangeResponse.

    Raises:
        CompactedError, FutureRevisionError: The revision asked for cannot be read.
    """
    result = view.range(
        request.key,
        request.range_end,
        RangeOptions(
            revision=request.revision,
            limit=request.limit,
            sort_order=request.sort_order,
            sort_target=request.sort_target,
            keys_only=request.keys_only,
            count_only=request.count_only,
            min_mod_revision=request.min_mod_revision,
            max_mod_revision=request.max_mod_revision,
            min_create_revision=request.min_create_revision,
            max_create_revision=request.max_create_revision,
        ),
    )
    parts = pairs_field(b"\x12", result.kvs)
    if result.more:
        parts.append(b"\x18\x01")
    if result.count:
        parts.append(b"\x20" + varint(result.count))
    return result.revision, b"".join(parts)


def pairs_field(tag: bytes, pairs: list[bytes]) -> list[bytes]:
    """Marshalled KeyValues as the parts of a repeated field."""
    parts: list[bytes] = []
    for pair in pairs:
        parts += (tag, varint(len(pair)), pair)
    return parts
