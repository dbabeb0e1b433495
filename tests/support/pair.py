"""A real etcd and a server of ours, asked the same things: every answer must be the same, ids and terms masked."""

from typing import Any, NamedTuple

from google.protobuf.message import Message
from tests.support.grpc_client import EtcdClient, Failure

from oarlock.etcd.proto import rpc_pb2
from oarlock.etcd.proto.rpc_pb2 import (
    AlarmRequest,
    CompactionRequest,
    Compare,
    DeleteRangeRequest,
    PutRequest,
    RangeRequest,
    RequestOp,
    TxnRequest,
)

ALL_KEYS = {"key": b"\0", "range_end": b"\0"}

_MASKED_HEADER = ("cluster_id", "member_id", "raft_term")


class Call(NamedTuple):
    """A method by its short name, and what to ask it."""

    method: str
    request: Message


def put(key: bytes, value: bytes = b"", **options: Any) -> Call:
    """KV.Put."""
    return Call("KV.Put", PutRequest(key=key, value=value, **options))


def get(key: bytes, range_end: bytes = b"", **options: Any) -> Call:
    """KV.Range."""
    return Call("KV.Range", RangeRequest(key=key, range_end=range_end, **options))


def delete(key: bytes, range_end: bytes = b"", **options: Any) -> Call:
    """KV.DeleteRange."""
    return Call("KV.DeleteRange", DeleteRangeRequest(key=key, range_end=range_end, **options))


def compact(revision: int, *, physical: bool = True) -> Call:
    """KV.Compact."""
    return Call("KV.Compact", CompactionRequest(revision=revision, physical=physical))


def op(call: Call) -> RequestOp:
    """The same request as an operation of a transaction."""
    match call.request:
        case RangeRequest():
            return RequestOp(request_range=call.request)
        case PutRequest():
            return RequestOp(request_put=call.request)
        case DeleteRangeRequest():
            return RequestOp(request_delete_range=call.request)
        case TxnRequest():
            return RequestOp(request_txn=call.request)
    raise TypeError(f"{call.method} cannot stand in a transaction")


def txn(
    compare: list[Compare] | None = None,
    success: list[Call] | None = None,
    failure: list[Call] | None = None,
) -> Call:
    """KV.Txn."""
    return Call(
        "KV.Txn",
        TxnRequest(
            compare=compare or [],
            success=[op(call) for call in success or []],
            failure=[op(call) for call in failure or []],
        ),
    )


def masked(answer: Any) -> Any:
    """The answer without what may differ between two clusters."""
    if isinstance(answer, Failure):
        return answer
    copy = type(answer)()
    copy.CopyFrom(answer)
    if copy.DESCRIPTOR.fields_by_name.get("header") and copy.HasField("header"):
        for name in _MASKED_HEADER:
            if not getattr(copy.header, name):
                raise AssertionError(f"{copy.DESCRIPTOR.name}.header has no {name}: {answer}")
            copy.header.ClearField(name)
    if isinstance(copy, rpc_pb2.AlarmResponse):
        for alarm in copy.alarms:
            alarm.memberID = min(alarm.memberID, 1)
    return copy


async def _lower_alarms(client: EtcdClient) -> None:
    raised = await client.call("Maintenance.Alarm", AlarmRequest())
    for alarm in raised.alarms:
        lower = AlarmRequest(action=AlarmRequest.DEACTIVATE, memberID=alarm.memberID, alarm=alarm.alarm)
        await client.call("Maintenance.Alarm", lower)


class Pair:
    """Asks both servers in turn."""

    def __init__(self, etcd: EtcdClient, ours: EtcdClient) -> None:
        self.etcd = etcd
        self.ours = ours
        self.base = 0
        """The store's revision when the test began; the same on both sides."""

    async def reset(self) -> None:
        """Empty both stores and bring them to the same revision."""
        revisions = []
        for client in (self.etcd, self.ours):
            await _lower_alarms(client)
            await client.call("KV.DeleteRange", DeleteRangeRequest(**ALL_KEYS))
            answer = await client.call("KV.Put", PutRequest(key=b"x"))
            revisions.append(answer.header.revision)
        for client, revision in zip((self.etcd, self.ours), revisions, strict=True):
            for _ in range(max(revisions) - revision):
                await client.call("KV.Put", PutRequest(key=b"x"))
        answer = await self.same(delete(b"x"))
        self.base = answer.header.revision

    async def same(self, call: Call) -> Any:
        """Ask both; gives our answer, which must be etcd's."""
        theirs = masked(await self.etcd.call(call.method, call.request))
        answer = await self.ours.call(call.method, call.request)
        ours = masked(answer)
        if theirs != ours:
            raise AssertionError(f"{call.method}\n{call.request}\nanswered by etcd:\n{theirs}\nanswered by us:\n{ours}")
        return answer

    async def play(self, *calls: Call) -> list[Any]:
        """Ask both a series of things."""
        return [await self.same(call) for call in calls]
