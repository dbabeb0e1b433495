"""Client operations as etcd requests, and etcd's answers as the models of `oarlock.check` want them."""

from typing import Any, Final

from oarlock.etcd.proto.rpc_pb2 import (
    CompactionRequest,
    Compare,
    DeleteRangeRequest,
    DeleteRangeResponse,
    MemberListRequest,
    PutRequest,
    PutResponse,
    RangeRequest,
    RangeResponse,
    RequestOp,
    ResponseOp,
    TxnRequest,
    TxnResponse,
)
from oarlock.sim.schedule import ClientOperation

ALL_KEYS = ("k", "l")
"""A range that holds every key of a run: their names begin with k."""

READS = ("get", "serializable", "range")

UPKEEP: Final = ("status", "members", "alarms", "hash", "hash_kv", "defragment", "backup")
"""What operators ask; the model of keys and values knows nothing of it."""

KINDS: Final = ("put", *READS, "delete", "delete_range", "cas", "txn", "compact", *UPKEEP)

_METHODS: Final = {
    "put": "/etcdserverpb.KV/Put",
    "delete": "/etcdserverpb.KV/DeleteRange",
    "delete_range": "/etcdserverpb.KV/DeleteRange",
    "cas": "/etcdserverpb.KV/Txn",
    "txn": "/etcdserverpb.KV/Txn",
    "compact": "/etcdserverpb.KV/Compact",
    "status": "/etcdserverpb.Maintenance/Status",
    "members": "/etcdserverpb.Cluster/MemberList",
    "alarms": "/etcdserverpb.Maintenance/Alarm",
    "hash": "/etcdserverpb.Maintenance/Hash",
    "hash_kv": "/etcdserverpb.Maintenance/HashKV",
    "defragment": "/etcdserverpb.Maintenance/Defragment",
    "backup": "/etcdserverpb.Maintenance/Snapshot",
}


def method_of(kind: str) -> str:
    """The path of the gRPC method that answers a kind of operation."""
    return _METHODS.get(kind, "/etcdserverpb.KV/Range")


def encode(operation: ClientOperation, revision: int) -> bytes:
    """The request's protobuf bytes.

    Args:
        operation: What is asked.
        revision: For a compaction: where to.
    """
    key = operation.key.encode()
    value = operation.value.encode()
    match operation.kind:
        case "put":
            return PutRequest(key=key, value=value).SerializeToString()
        case "get":
            return RangeRequest(key=key).SerializeToString()
        case "serializable":
            return RangeRequest(key=key, serializable=True).SerializeToString()
        case "range":
            return RangeRequest(key=ALL_KEYS[0].encode(), range_end=ALL_KEYS[1].encode()).SerializeToString()
        case "delete":
            return DeleteRangeRequest(key=key).SerializeToString()
        case "delete_range":
            return DeleteRangeRequest(key=key, range_end=ALL_KEYS[1].encode()).SerializeToString()
        case "compact":
            return CompactionRequest(revision=revision).SerializeToString()
        case "cas" | "txn":
            return _transaction(operation, key, value).SerializeToString()
        case "members":
            return MemberListRequest(linearizable=True).SerializeToString()
        case "status" | "alarms" | "hash" | "hash_kv" | "defragment" | "backup":
            return b""
        case kind:
            raise ValueError(f"no operation {kind!r}")


def _transaction(operation: ClientOperation, key: bytes, value: bytes) -> TxnRequest:
    """Put the value if the key was never written ("cas"), or was last changed an even number of times ("txn")."""
    put = RequestOp(request_put=PutRequest(key=key, value=value))
    get = RequestOp(request_range=RangeRequest(key=key))
    if operation.kind == "cas":
        absent = Compare(key=key, target=Compare.VERSION, result=Compare.EQUAL, version=0)
        remove = RequestOp(request_delete_range=DeleteRangeRequest(key=key))
        return TxnRequest(compare=[absent], success=[put], failure=[get, remove])
    few = Compare(key=key, target=Compare.VERSION, result=Compare.LESS, version=3)
    return TxnRequest(compare=[few], success=[get, put], failure=[get])


def model_input(operation: ClientOperation) -> tuple[str, dict[str, Any]]:
    """Kind and input for the model "kv"."""
    key = operation.key
    match operation.kind:
        case "put":
            return "put", {"key": key, "value": operation.value}
        case "get" | "serializable":
            return "get", {"key": key}
        case "range":
            return "get", {"key": ALL_KEYS[0], "range_end": ALL_KEYS[1]}
        case "delete":
            return "delete", {"key": key}
        case "delete_range":
            return "delete", {"key": key, "range_end": ALL_KEYS[1]}
        case "cas":
            return "txn", {
                "compare": [{"key": key, "target": "version", "result": "=", "value": 0}],
                "success": [{"kind": "put", "key": key, "value": operation.value}],
                "failure": [{"kind": "get", "key": key}, {"kind": "delete", "key": key}],
            }
        case _:
            return "txn", {
                "compare": [{"key": key, "target": "version", "result": "<", "value": 3}],
                "success": [
                    {"kind": "get", "key": key},
                    {"kind": "put", "key": key, "value": operation.value},
                ],
                "failure": [{"kind": "get", "key": key}],
            }


def model_output(operation: ClientOperation, answer: bytes) -> dict[str, Any]:
    """An answer for the model "kv", with everything that etcd tells."""
    match operation.kind:
        case "put":
            return {"revision": PutResponse.FromString(answer).header.revision}
        case "delete" | "delete_range":
            deleted = DeleteRangeResponse.FromString(answer)
            return {"deleted": deleted.deleted, "revision": deleted.header.revision}
        case "cas" | "txn":
            response = TxnResponse.FromString(answer)
            return {
                "succeeded": response.succeeded,
                "responses": [_part(part) for part in response.responses],
                "revision": response.header.revision,
            }
        case _:
            found = RangeResponse.FromString(answer)
            return {**_range(found), "revision": found.header.revision}


def _part(part: ResponseOp) -> dict[str, Any]:
    match part.WhichOneof("response"):
        case "response_range":
            return _range(part.response_range)
        case "response_delete_range":
            return {"deleted": part.response_delete_range.deleted}
        case _:
            return {}


def _range(response: RangeResponse) -> dict[str, Any]:
    return {
        "kvs": [
            {
                "key": kv.key.decode(),
                "value": kv.value.decode(),
                "create_revision": kv.create_revision,
                "mod_revision": kv.mod_revision,
                "version": kv.version,
            }
            for kv in response.kvs
        ],
        "count": response.count,
    }
