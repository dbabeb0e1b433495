"""A node without a cluster: applies what is proposed at once, so that services can be tested without Raft."""

import asyncio
from collections.abc import Callable, Sequence

from oarlock.machine.exactly_once import AlreadyApplied, seal
from oarlock.machine.interface import StateMachine, carry_out
from oarlock.node.errors import BadTransferee, ChangeRefused, NodeError, NotLeader, Refusal, Stopped
from oarlock.node.members import Change, target
from oarlock.node.status import Counters, NodeStatus
from oarlock.raft.types import Configuration

SERVER_ID = 0xA11CE
CLUSTER_ID = 0xC1A5


class LocalNode:
    """Stands in for `oarlock.node.node.Node`; its one server always leads, unless a test says otherwise."""

    def __init__(self, open_machine: Callable[[], StateMachine]) -> None:
        self._open_machine = open_machine
        self.machine: StateMachine
        self.counters = Counters()
        self.term = 2
        self.leader_id: int | None = SERVER_ID
        self.failure: NodeError | None = None
        self.failed: list[BaseException] = []
        """What the services said that the server cannot go on from."""
        """What proposals and reads fail with, when a test sets it."""
        self.proposed: list[bytes] = []
        """Every command, in order."""
        self.is_learner = False
        self.disk_full = False
        self.configuration = Configuration(
            voters=frozenset({SERVER_ID}), addresses=((SERVER_ID, ("http://127.0.0.1:2380",)),)
        )
        self.unhealthy = False
        """Whether strict changes of members are refused."""
        self._index = 0
        self._flushing: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Open the machine."""
        self._loop = asyncio.get_running_loop()
        self.machine = self._open_machine()
        self._index = self.machine.applied_index()
        self._epoch = self._index + 1

    async def stop(self) -> None:
        """Flush and refuse everything from now on."""
        self.failure = Stopped("stopped")
        await self.flush()

    def propose(self, command: bytes, timeout: float | None = None) -> asyncio.Future[object]:
        """Apply a command as if every server had accepted it."""
        future: asyncio.Future[object] = self._loop.create_future()
        if self.failure is not None:
            future.set_exception(self.failure)
            return future
        self.proposed.append(command)
        self._index += 1
        envelope = seal(SERVER_ID, self._epoch, self._index, self._index, command)
        result = self.machine.apply(self._index, envelope)
        future.set_result(result.result if type(result) is AlreadyApplied else result)
        if self._flushing is None or self._flushing.done():
            self._flushing = self._loop.create_task(self.flush())
        return future

    def read_barrier(self, timeout: float | None = None) -> asyncio.Future[None]:
        """Done at once: there is nobody to be behind."""
        future: asyncio.Future[None] = self._loop.create_future()
        if self.failure is not None:
            future.set_exception(self.failure)
        else:
            future.set_result(None)
        return future

    def change_membership(
        self, changes: Sequence[Change], timeout: float | None = None, *, strict: bool = False
    ) -> asyncio.Future[Configuration]:
        """Change the members as the leader of a healthy cluster would; learners have caught up at once."""
        future: asyncio.Future[Configuration] = self._loop.create_future()
        try:
            if self.failure is not None:
                raise self.failure
            if strict and self.unhealthy:
                raise ChangeRefused(Refusal.UNHEALTHY, "a test says so")
            self.configuration = target(self.configuration, changes, max_learners=1, retried=False)
        except NodeError as error:
            future.set_exception(error)
        else:
            future.set_result(self.configuration)
        return future

    async def transfer_leadership(self, to: int, timeout: float | None = None) -> None:  # noqa: ASYNC109
        """Hand over at once."""
        if self.leader_id != SERVER_ID:
            raise NotLeader("not the leader")
        if to not in self.configuration.voters:
            raise BadTransferee("no voter")
        self.leader_id = to

    def fail(self, error: BaseException) -> None:
        """Remember that the server would end here."""
        self.failed.append(error)

    async def flush(self) -> None:
        """Make everything durable that was applied."""
        if self._flushing is not None and self._flushing is not asyncio.current_task():
            await self._flushing
        while (job := self.machine.begin_flush()) is not None:
            await carry_out(job, self._loop, None)

    def status(self) -> NodeStatus:
        """What a node says."""
        return NodeStatus(
            cluster_id=CLUSTER_ID,
            server_id=SERVER_ID,
            leader_id=self.leader_id,
            role="leader",
            term=self.term,
            commit_index=self._index,
            applied_index=self._index,
            durable_index=self._index,
            first_index=1,
            last_index=self._index,
            is_learner=False,
            voters=(SERVER_ID,),
            learners=(),
            configuration=self.configuration,
            disk_full=self.disk_full,
            pending_proposals=0,
        )

    def peer_traffic(self) -> dict[int, object]:
        """Nothing: there are no peers."""
        return {}
