"""The space quota: a database at its limit takes no more puts until an operator has made room."""

from oarlock.etcd import errors
from oarlock.etcd.grpc import RpcContext
from oarlock.etcd.proto.rpc_pb2 import AlarmRequest, AlarmType
from oarlock.etcd.requests import Kind
from oarlock.etcd.services.calls import Calls


class Quota:
    """Decides, before a request is proposed, whether this server's database has room for it.

    A refusal raises the NOSPACE alarm on the whole cluster, so that every server refuses puts from then on, in
    the state machine and therefore alike.
    """

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._store = calls.machine.store
        self._limit = calls.limits.quota_bytes

    def allows(self, cost_bytes: int) -> bool:
        """Whether there is room for so much more."""
        return self._limit < 0 or self._store.size() + cost_bytes < self._limit

    async def refuse(self, context: RpcContext) -> bytes:
        """Raise the alarm, unless it is raised already.

        Raises:
            RpcError: Always: there is no space.
        """
        member = self._calls.headers.member_id
        if (AlarmType.NOSPACE, member) not in self._calls.machine.alarms:
            alarm = AlarmRequest(action=AlarmRequest.ACTIVATE, memberID=member, alarm=AlarmType.NOSPACE)
            await self._calls.propose(Kind.ALARM, alarm.SerializeToString(), context)
        raise errors.NO_SPACE.exception()
