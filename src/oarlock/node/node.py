"""One server: a Raft, its storage, its transport and its machine, put together and taken apart in order."""

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable, Coroutine, Sequence
from typing import Final

from oarlock.machine.interface import FlushPostponed, StateMachine
from oarlock.node.alarm import Kick
from oarlock.node.applier import Applier
from oarlock.node.changes import Changes
from oarlock.node.config import NodeConfig
from oarlock.node.errors import BootOutdated, NodeError, Stopped, error_of
from oarlock.node.executors import Executors
from oarlock.node.handover import Handover
from oarlock.node.keeper import Keeper
from oarlock.node.members import Change, applied_configuration
from oarlock.node.owner import Owner
from oarlock.node.peers import Peers
from oarlock.node.proposals import Proposals, Waiter
from oarlock.node.reads import ReadBarriers
from oarlock.node.recovery import OpenedStorage, bring_together, mark_removed, open_storage, raise_boot_epoch
from oarlock.node.sender import Sender, TracedSender
from oarlock.node.snapshots import Snapshots
from oarlock.node.space import Space
from oarlock.node.status import Counters, NodeStatus, status_of
from oarlock.node.wiring import NodeTransport, OpenTrace, OpenTransport
from oarlock.node.writer import Writer, WriterEvents
from oarlock.raft.log import Log
from oarlock.raft.raft import Raft
from oarlock.raft.state import Tracer
from oarlock.raft.types import Configuration, Index, ServerId, Term
from oarlock.storage.disk import Disk
from oarlock.trace.attach import attach
from oarlock.trace.recorder import Recorder
from oarlock.transport.interface import Address
from oarlock.transport.stats import PeerStats

__all__ = ["Executors", "Node", "NodeTransport", "OpenTrace", "OpenTransport"]

logger = logging.getLogger(__name__)

_DISK_ID_BITS: Final = 63
_REMOVAL_GRACE_S: Final = 1.0
"""How long a removed server stays to answer whoever asked for that; etcd's."""


class Node:
    """One server of a cluster.

    Args:
        config: Settings.
        disk: All files go through it.
        rng: The only source of randomness.
        open_transport: Makes the transport.
        open_machine: Opens the state machine, once the data directory is locked and known to be this server's.
        listen: Where the transport accepts connections.
        executors: The threads for what blocks; made and ended by the node where None.
        boot_epoch: A number above that of every earlier boot, as far as known; the node raises it where needed.
        on_fatal: Called once, on the loop, when the node cannot go on: a write failed, or the core or the machine is
            broken. The process should end at once. The node has stopped answering by then.
        on_removed: Called once, on the loop, a moment after this server was removed from the cluster: it should be
            stopped. The node refuses everything by then.
        tracer: Called for each rule of the core that acts.
        open_trace: Makes what records this life; None records nothing, and costs nothing.
        check_invariants: Have the core check itself at each step; for tests.
        names_disk: Give a data directory that has no disk id one; without it, the directory stays of the first format.
    """

    def __init__(
        self,
        config: NodeConfig,
        *,
        disk: Disk,
        rng: random.Random,
        open_transport: OpenTransport,
        open_machine: Callable[[], StateMachine],
        listen: Sequence[Address] = (),
        executors: Executors | None = None,
        boot_epoch: int = 1,
        on_fatal: Callable[[BaseException], None] | None = None,
        on_removed: Callable[[], None] | None = None,
        tracer: Tracer | None = None,
        open_trace: OpenTrace | None = None,
        check_invariants: bool = False,
        names_disk: bool = True,
    ) -> None:
        self.config = config
        self.counters = Counters()
        self._disk = disk
        self._rng = rng
        self._open_transport = open_transport
        self._open_machine = open_machine
        self._listen = listen
        self._owns_executors = executors is None
        self._executors = executors
        self._boot_epoch = boot_epoch
        self._on_fatal = on_fatal
        self._on_removed = on_removed
        self._tracer = tracer
        self._open_trace = open_trace
        self._check_invariants = check_invariants
        self._names_disk = names_disk
        self._tasks: list[asyncio.Task[None]] = []
        self._started = False
        self._stopping: asyncio.Task[None] | None = None
        self._failure: BaseException | None = None
        self._transport: NodeTransport | None = None
        self.recovered_configuration = Configuration()
        """Who the members were when this life began, as far as the machine had applied."""

    # -- life ----------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Recover from disk and take part in the cluster; returns before there is a leader.

        Raises:
            RecoveryError: What lies on disk does not fit together, or this server was removed from the cluster.
            StorageError: The directory is in use, another server's, of a newer format, or damaged.
            OSError: The disk failed, or an address cannot be bound.
        """
        self._loop = loop = asyncio.get_running_loop()
        self._executors = executors = self._executors or Executors.threads()
        try:
            self._opened = opened = await self._open_storage(executors)
        except BaseException:
            if self._owns_executors:
                executors.shutdown()
            raise
        try:
            self.machine = self._open_machine()
            applied_index = await bring_together(opened, self.machine, self.config.data_dir, loop, executors.snapshots)
            self._assemble(opened, applied_index, executors)
            self.recovered_configuration = applied_configuration(self._owner.raft.state, applied_index)
            await self.transport.start(self._listen)
            self._peers.follow(self._owner.raft.state)
        except BaseException:
            await self._close_all()
            raise
        self._started = True
        for name, activity in (
            ("applier", self._applier.run()),
            ("owner", self._owner.run()),
            ("heartbeats", self._owner.heartbeats.run()),
            ("elections", self._owner.elections.run()),
            ("keeper", self._keeper.run()),
            ("space watch", self._keeper.watch_space()),
            ("space", self._space.run()),
        ):
            self._spawn(name, activity)

    async def _open_storage(self, executors: Executors) -> OpenedStorage:
        """In a thread, which ends what it has begun even if this is cancelled: then nothing may stay open."""
        opening = self._loop.run_in_executor(
            executors.wal,
            open_storage,
            self.config,
            self._disk,
            self._boot_epoch,
            self._rng.randrange(1, 1 << _DISK_ID_BITS) if self._names_disk else 0,
        )
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            with contextlib.suppress(Exception):
                opened = await opening
                await self._loop.run_in_executor(executors.wal, opened.close)
            raise

    def _assemble(self, opened: OpenedStorage, applied_index: Index, executors: Executors) -> None:
        loop, config = self._loop, self.config
        trace = self._open_trace(opened.boot_epoch) if self._open_trace is not None else None
        raft = self._make_raft(opened, applied_index, trace)
        kick = Kick(loop)
        self._proposals = Proposals(loop, config, opened.boot_epoch, self.counters, kick.set)
        self._proposals.on_later_boot = self._outdated
        self._reads = ReadBarriers(loop, config, self._rng, self.counters, kick.set)
        self._reads.is_confirmed = raft.is_confirmed
        self._changes = Changes(loop, config, opened.boot_epoch, kick.set)
        self._owner = Owner(loop, raft, kick, self._proposals, self._reads, self._changes, self.counters, trace)
        self._transport = self._open_transport(self._owner.receive, self._owner.unreachable)
        self._changes.is_connected = self.transport.is_connected
        sender = self._make_sender(trace)
        self._peers = Peers(loop, config, self.transport, sender.send, self._removed, kick.set)
        election_timeout_s = config.election_timeout_ms / 1000
        self._handover = Handover(loop, self._owner, self.transport.is_connected, election_timeout_s)
        self._space = Space(loop, self._owner, self._proposals, self._handover, election_timeout_s)
        self._snapshots = Snapshots(
            loop, executors.snapshots, config, opened.snapshots, self.machine, self.counters, self._fail
        )
        self._applier = Applier(
            loop, self.machine, applied_index, self._proposals, self._reads, self.counters, self._applied
        )
        self._keeper = Keeper(
            loop,
            executors.machine,
            config,
            self._disk,
            self.machine,
            self._snapshots,
            self._owner,
            self._space.is_low,
        )
        events = WriterEvents(
            self._persisted, sender.send_all, self._space.log_is_full, self._fail, self._applier.go_on_soon
        )
        self._writer = Writer(
            loop,
            executors.wal,
            executors.machine,
            opened.wal,
            self.counters,
            events,
            election_timeout_s / 2,
            trace,
        )
        self._owner.connect(sender, self._writer, self._applier, self._snapshots, self._peers)
        self._snapshots.connect(self._owner, self._applier, self.transport, trace)

    def _make_raft(self, opened: OpenedStorage, applied_index: Index, trace: Recorder | None) -> Raft:
        recovered = opened.recovered
        raft = Raft(
            self.config.raft(),
            rng=self._rng,
            now=self._loop.time(),
            hard_state=recovered.hard_state,
            log=Log(recovered.base, recovered.entries),
            applied_index=applied_index,
            disk_id=opened.disk_id,
            tracer=self._tracer if trace is None else trace.rule_acted,
            check_invariants=self._check_invariants,
        )
        if trace is not None:
            trace.next_tracer = self._tracer
            attach(trace, raft)
        newest = opened.snapshots.latest()
        if newest is not None and newest.metadata.last_included_index <= applied_index:
            raft.snapshot_taken(newest.metadata)
        return raft

    def _make_sender(self, trace: Recorder | None) -> Sender:
        if trace is None:
            return Sender(self.transport, self.counters, self._owner.unreachable)
        return TracedSender(self.transport, self.counters, self._owner.unreachable, trace)

    def _removed(self, why: str) -> None:
        """This server is no member any more: whoever was answered by that gets the answer, then it is over."""
        logger.warning(
            "this server was removed from the cluster (%s): stopping; its data directory %s must be removed",
            why,
            self.config.data_dir,
            extra={"server_id": self.config.server_id, "reason": why},
        )
        if self._failure is None and self._stopping is None:  # else it ends anyway, and is told again when it is back
            self._spawn("removal", self._leave())

    async def _leave(self) -> None:
        executors = self._executors
        assert executors is not None  # noqa: S101 - set by start
        with contextlib.suppress(OSError):  # it will be told again
            await self._loop.run_in_executor(executors.wal, mark_removed, self.config, self._disk)
        await asyncio.sleep(_REMOVAL_GRACE_S)
        if self._failure is None and self._stopping is None:
            self._settle_all(Stopped("this server was removed from the cluster"))
            if self._on_removed is not None:
                self._on_removed()

    def _outdated(self, later_epoch: int) -> None:
        """This boot is counted below an earlier one: nothing that it proposes is applied; the next boot's will be."""
        self._spawn("boot epoch", self._end_outdated(later_epoch))

    async def _end_outdated(self, later_epoch: int) -> None:
        executors = self._executors
        assert executors is not None  # noqa: S101 - set by start
        await self._loop.run_in_executor(executors.wal, raise_boot_epoch, self.config, self._disk, later_epoch)
        raise BootOutdated(
            f"this boot is number {self._opened.boot_epoch} of server {self.config.server_id:x}, but the cluster has "
            f"seen number {later_epoch}: the date went back, or two servers run under this name; start it again"
        )

    def _spawn(self, name: str, activity: Coroutine[None, None, None]) -> None:
        task = self._loop.create_task(activity, name=f"oarlock-{name}")
        task.add_done_callback(self._ended)
        self._tasks.append(task)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """An activity never ends by itself: where one does, the node cannot go on."""
        error = error_of(task, is_stopping=self._stopping is not None)
        if error is not None:
            self._fail(error)

    def fail(self, error: BaseException) -> None:
        """End, as when the disk fails: whoever embeds the node has found that its machine cannot be believed."""
        self._fail(error)

    def _fail(self, error: BaseException) -> None:
        if self._failure is not None:
            return
        self._failure = error
        kind = type(error).__name__
        fields = {"server_id": self.config.server_id, "reason": kind}
        logger.critical("the server cannot go on: %s: %s", kind, error, exc_info=error, extra=fields)
        self._settle_all(Stopped(f"the server failed: {error}"))
        for task in self._tasks:
            task.cancel()
        if self._on_fatal is not None:
            self._on_fatal(error)

    async def stop(self) -> None:
        """Stop taking part, flush and close everything; all waiters return an error. May be called repeatedly."""
        if not self._started:
            return
        if self._stopping is None:
            self._stopping = self._loop.create_task(self._stop())
        await asyncio.shield(self._stopping)

    async def _stop(self) -> None:
        try:
            if self._failure is None:
                await self._handover.before_stop()
            self._settle_all(Stopped("the server is stopping"))
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await self._writer.stop()
            await self._snapshots.stop()
            if self._failure is None:
                await self._flush_at_the_end()
        finally:  # also where all is cancelled, as at the end of `asyncio.run`
            await self._close_all()

    async def _flush_at_the_end(self) -> None:
        try:
            await self._keeper.flush()
        except (OSError, FlushPostponed) as error:
            logger.warning("could not flush at the end, the log will be applied again: %s", error)

    async def _close_all(self) -> None:
        if self._transport is not None:
            self._peers.close()
            await self._transport.close()
        executors = self._executors
        assert executors is not None  # noqa: S101 - set by start
        await self._loop.run_in_executor(executors.wal, self._opened.close)
        if self._owns_executors:
            executors.shutdown()

    def _settle_all(self, error: NodeError) -> None:
        self._proposals.fail_all(error)
        self._reads.fail_all(error)
        self._changes.fail_all(error)
        self._handover.fail_all(error)

    # -- events between the parts --------------------------------------------------------------------------------

    def _persisted(self, number: int) -> None:
        self._owner.persisted(number)
        self._snapshots.persisted(number)

    def _applied(self, index: Index) -> None:
        self._owner.applied(index)
        self._keeper.applied(index)

    # -- what it is for ------------------------------------------------------------------------------------------

    def propose(self, command: bytes, timeout: float | None = None) -> asyncio.Future[object]:
        """Have a command applied exactly once, by whichever server leads; works on every server.

        Args:
            command: For the state machine.
            timeout: Seconds until it is given up; None for the configured time.

        Returns:
            The result of applying it here. Or an error: `Overloaded`, `NoLeader`, `DiskFull`, `ProposalTooLarge`
            (it was not proposed), `ProposalTimeout`, `ResultUnavailable`, `Stopped` (it may be applied all the same).
        """
        return self._proposals.propose(command, timeout)

    def propose_to(self, command: bytes, timeout: float | None, waiter: Waiter) -> None:
        """The same, for who waits without a future: told once, perhaps at once."""
        self._proposals.propose_to(command, timeout, waiter)

    def read_barrier(self, timeout: float | None = None, *, may_use_lease: bool = True) -> asyncio.Future[None]:
        """Wait until reading `machine` is linearizable: it stands at what was committed when this was called, or later.

        Args:
            timeout: Seconds until it is given up; None for the configured time.
            may_use_lease: Whether the leader's lease will do, where `lease_reads` is on; else a majority is asked.

        Returns:
            Done, or failed with `ReadTimeout`, `Overloaded` or `Stopped`.
        """
        return self._reads.barrier(timeout, may_use_lease=may_use_lease)

    def change_membership(
        self, changes: Sequence[Change], timeout: float | None = None, *, strict: bool = False
    ) -> asyncio.Future[Configuration]:
        """Change the members; works on every server, by way of the leader.

        One voter more or less is changed directly, anything more through joint consensus.

        Args:
            changes: Of different servers; made together.
            timeout: Seconds until it is given up; None for the configured time.
            strict: Refuse what could leave the cluster without a majority that answers.

        Returns:
            The configuration in force here once they are made; for the second voter of a cluster, once this is certain,
            as it cannot be committed before that server was started. Or an error: `ChangeRefused` (with the reason),
            `NoLeader`, `Overloaded` (nothing was changed), `ChangeTimeout`, `Stopped` (it may be all the same).
        """
        return self._changes.change(changes, timeout, strict=strict)

    def transfer_leadership(self, to: ServerId, timeout: float | None = None) -> Coroutine[None, None, None]:
        """Have another voter lead; asked of the leader. Commands wait meanwhile, and none is lost.

        Args:
            to: The voter; done at once if it is this server.
            timeout: Seconds to wait for it; None for the configured time. The core itself gives up after an election
                timeout, and leads on.

        Returns:
            To be awaited; raises `NotLeader`, `BadTransferee` (no voter), `TransferTimeout` (it did not take over).
        """
        return self._handover.hand_over(to, self.config.proposal_timeout_ms / 1000 if timeout is None else timeout)

    def forget_leader(self) -> None:
        """Have this server, if it follows, forget its leader until it hears it again, and vote for another at once.

        For an operator who knows that the leader is gone: so followers need not wait until they have missed it for an
        election timeout before they vote. Under leases they wait nevertheless.
        """
        self._owner.call(self._owner.raft.forget_leader)

    @property
    def leader_id(self) -> ServerId | None:
        """The leader, as far as this server knows."""
        return self._owner.raft.state.leader_id

    @property
    def is_leader(self) -> bool:
        """Whether this server leads, as far as it knows."""
        return self._owner.raft.state.leader is not None

    @property
    def configuration(self) -> Configuration:
        """The members in force: those of the newest configuration in the log, committed or not."""
        return self._owner.raft.state.configuration

    @property
    def is_learner(self) -> bool:
        """Whether this server is a member without a vote."""
        return self.config.server_id in self.configuration.learners

    @property
    def term(self) -> Term:
        """The current term, as far as this server knows."""
        return self._owner.raft.state.current_term

    @property
    def commit_index(self) -> Index:
        """Up to which entry the log is committed, as far as this server knows."""
        return self._owner.raft.state.commit_index

    @property
    def disk_is_full(self) -> bool:
        """Whether this server lacks the space for writes: as leader it would refuse them."""
        return self._space.is_full

    def peer_traffic(self) -> dict[ServerId, PeerStats]:
        """What was exchanged with each peer."""
        return self.transport.stats

    @property
    def transport(self) -> NodeTransport:
        """The transport, for its counters."""
        assert self._transport is not None  # noqa: S101 - set by start
        return self._transport

    def status(self) -> NodeStatus:
        """A consistent picture of this server."""
        return status_of(
            self.config.cluster_id,
            self._owner.raft.state,
            self._applier.applied_index,
            disk_full=self.disk_is_full,
            pending_proposals=len(self._proposals),
        )
