"""Proposals of this server: registered before they are proposed, retried under one id, settled exactly once.

A proposal is known by (server, boot epoch, sequence), never by a log index (pitfalls G26, G28): its envelope carries
that id, every copy of it that reaches the log is recognised when it is applied, and the waiter is settled by the
applied entry that bears its id. So a proposal can be sent again to whoever leads, as long as its time is not up.

It costs one future and one small object; everything else here is done for a whole batch.
"""

import asyncio
from collections.abc import Callable
from typing import Final, Protocol

from oarlock.machine.exactly_once import AlreadyApplied, seal
from oarlock.node.codec import Forward, ForwardOutcome, ForwardReply
from oarlock.node.config import NodeConfig
from oarlock.node.errors import (
    DiskFull,
    NodeError,
    NoLeader,
    Overloaded,
    ProposalTimeout,
    ProposalTooLarge,
    ResultUnavailable,
)
from oarlock.node.status import Counters
from oarlock.raft.types import ServerId, Term

_FORWARD_BYTES: Final = 1 << 20
"""Command bytes in one `Forward`; a single larger command travels alone."""


REQUEST_ID_BITS: Final = 31
"""Of a request's number within its server's boot, below the boot's own."""


class Waiter(Protocol):
    """Who waits for a proposal: a future, or what costs less."""

    def done(self) -> bool:
        """Whether nobody waits any more."""

    def set_result(self, result: object, /) -> None:
        """It was applied here."""

    def set_exception(self, error: BaseException, /) -> None:
        """It failed, or its outcome is not known."""


class Attempt:
    """One way a batch of proposals was sent: appended here, or forwarded to a leader."""

    __slots__ = ("accepted", "leader_id", "sent_at", "term")

    def __init__(self, leader_id: ServerId, term: Term, sent_at: float, *, accepted: bool) -> None:
        self.leader_id = leader_id
        self.term = term
        """The leader's term when it took the batch; until then the sender's."""
        self.sent_at = sent_at
        self.accepted = accepted


class Proposal:
    """One waiter."""

    __slots__ = ("attempt", "attempts", "command", "deadline", "envelope", "future", "sequence")

    def __init__(self, sequence: int, command: bytes, deadline: float, future: Waiter) -> None:
        self.sequence = sequence
        self.command = command
        self.deadline = deadline
        self.future = future
        self.envelope = b""
        """Sealed at the first attempt, the same for all."""
        self.attempt: Attempt | None = None
        """The attempt under way; None when it is to be sent."""
        self.attempts = 0


class Proposals:
    """All proposals of this server whose outcome is awaited."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        config: NodeConfig,
        epoch: int,
        counters: Counters,
        wake: Callable[[], None],
    ) -> None:
        """Start with none.

        Args:
            loop: The loop.
            config: Limits and timeouts.
            epoch: This boot's, above that of every earlier boot.
            counters: Running totals.
            wake: Has the owner take what waits, soon.
        """
        self._loop = loop
        self._config = config
        self._epoch = epoch
        self._counters = counters
        self._wake = wake
        self._sequence = 0
        self._pending: dict[int, Proposal] = {}
        self._unsent: list[Proposal] = []
        self._bytes = 0
        self._refusal: NodeError | None = None
        self._is_over = False
        self._forwards: dict[int, tuple[Attempt, list[Proposal]]] = {}
        """Forwarded batches by request id, until their reply or their end."""
        self._request_id = (epoch & 0xFFFF_FFFF) << REQUEST_ID_BITS
        """Rising, and not from where an earlier boot began, whose answers may still be under way."""
        self._leader: tuple[ServerId | None, Term] = (None, 0)
        self.on_later_boot: Callable[[int], None] | None = None
        """Told the epoch of a later boot of this server, by which nothing of this one is applied any more."""
        self._sweeper: asyncio.TimerHandle | None = None
        self._sweep_s = max(0.01, min(config.heartbeat_interval_ms, 100) / 2000)
        self._default_timeout_s = config.proposal_timeout_ms / 1000
        self._resend_s = config.election_timeout_ms / 1000
        self.own_prefix: Final = seal(config.server_id, epoch, 0, 0, b"")[:17]
        """How the envelope of every proposal of this boot begins: version, origin and epoch."""

    def __len__(self) -> int:
        return len(self._pending)

    # -- the proposer's side -------------------------------------------------------------------------------------

    def propose(self, command: bytes, timeout_s: float | None) -> asyncio.Future[object]:
        """Register a waiter and have the command proposed.

        Args:
            command: For the state machine.
            timeout_s: When to give up, in seconds; None for the configured time.

        Returns:
            Settled once: with the result of applying it on this server, or with a `NodeError`.
        """
        future: asyncio.Future[object] = self._loop.create_future()
        self.propose_to(command, timeout_s, future)
        return future

    def propose_to(self, command: bytes, timeout_s: float | None, waiter: Waiter) -> None:
        """The same, for who waits without a future: told once, perhaps at once."""
        self._counters.proposals_received += 1
        if self._refusal is not None or not self._has_room(len(command)):
            self._counters.proposals_failed += 1
            waiter.set_exception(self._why_refused(len(command)))
            return
        self._sequence = sequence = self._sequence + 1
        deadline = self._loop.time() + (self._default_timeout_s if timeout_s is None else timeout_s)
        proposal = Proposal(sequence, command, deadline, waiter)
        self._pending[sequence] = proposal
        self._bytes += len(command)
        self._unsent.append(proposal)
        if self._sweeper is None:
            self._sweeper = self._loop.call_later(self._sweep_s, self._sweep)
        self._wake()

    def _has_room(self, size: int) -> bool:
        config = self._config
        return (
            len(self._pending) < config.max_pending_proposals
            and self._bytes + size <= config.max_pending_bytes
            and size <= config.max_command_bytes
        )

    def _why_refused(self, size: int) -> NodeError:
        if self._refusal is not None:
            return type(self._refusal)(*self._refusal.args)  # one exception object cannot be raised by many waiters
        if size > self._config.max_command_bytes:
            return ProposalTooLarge(f"command of {size} bytes; the limit is {self._config.max_command_bytes}")
        return Overloaded(f"{len(self._pending)} proposals of {self._bytes} bytes are waiting")

    def refuse(self, error: NodeError | None) -> None:
        """Refuse new proposals with copies of `error` from now on; None accepts them again, unless all is over."""
        if not self._is_over:
            self._refusal = error

    # -- the owner's side ----------------------------------------------------------------------------------------

    @property
    def has_unsent(self) -> bool:
        """Whether something waits to be sent."""
        return bool(self._unsent)

    def leader_is(self, leader_id: ServerId | None, term: Term) -> None:
        """Take note of today's leader: what an earlier one was given is sent again, under its old id (G27)."""
        if (leader_id, term) == self._leader:
            return
        self._leader = (leader_id, term)
        if leader_id is not None:
            self.resend_unanswered(self._resend_s)

    def resend_unanswered(self, patience_s: float) -> None:
        """Put back into line what its attempt will not bring home: the leader is another, or has not answered it."""
        now = self._loop.time()
        leader_id, term = self._leader
        unsent = self._unsent
        for proposal in self._pending.values():
            attempt = proposal.attempt
            if attempt is None:
                continue
            overtaken = attempt.term < term or (attempt.term == term and attempt.leader_id != leader_id)
            if overtaken or (not attempt.accepted and now - attempt.sent_at >= patience_s):
                proposal.attempt = None
                unsent.append(proposal)
                self._counters.proposals_retried += 1
        if unsent:
            self._wake()

    def take_unsent(self) -> list[Proposal]:
        """What is to be sent now, sealed, in the order of its sequence as far as it is new."""
        unsent, self._unsent = self._unsent, []
        floor = next(iter(self._pending), 0)
        origin = self._config.server_id
        batch = []
        for proposal in unsent:
            if proposal.sequence not in self._pending:
                continue  # given up while it waited
            if not proposal.envelope:
                proposal.envelope = seal(origin, self._epoch, proposal.sequence, floor, proposal.command)
            batch.append(proposal)
        return batch

    def proposed_here(self, batch: list[Proposal], term: Term, now: float) -> None:
        """This server leads and has appended the batch."""
        attempt = Attempt(self._config.server_id, term, now, accepted=True)
        for proposal in batch:
            proposal.attempt = attempt
            proposal.attempts += 1

    def forward(self, batch: list[Proposal], leader_id: ServerId, term: Term) -> list[Forward]:
        """Make the messages that carry a batch to the leader."""
        now = self._loop.time()
        messages = []
        while batch:
            size = count = 0
            for proposal in batch:
                size += len(proposal.command)
                if size > _FORWARD_BYTES and count:
                    break
                count += 1
            part, batch = batch[:count], batch[count:]
            attempt = Attempt(leader_id, term, now, accepted=False)
            for proposal in part:
                proposal.attempt = attempt
                proposal.attempts += 1
            self._request_id += 1
            self._forwards[self._request_id] = (attempt, part)
            commands = [proposal.envelope for proposal in part]
            messages.append(Forward(self._config.server_id, self._request_id, commands))
        return messages

    def refused_here(self, batch: list[Proposal], error: NodeError) -> None:
        """None of the batch was appended: an error for those never sent before, another try for the rest."""
        for proposal in batch:
            proposal.attempt = None
            if proposal.attempts == 0:
                self._fail(proposal, type(error)(*error.args))
            else:
                self._unsent.append(proposal)

    def on_forward_reply(self, reply: ForwardReply) -> None:
        """The leader took a forwarded batch, or not."""
        attempt, batch = self._forwards.pop(reply.request_id, (None, []))
        if attempt is None:
            return
        if reply.outcome is ForwardOutcome.ACCEPTED:
            attempt.accepted = True
            attempt.term = max(attempt.term, reply.term)
            return
        for proposal in batch:
            if proposal.attempt is not attempt or proposal.sequence not in self._pending:
                continue  # already on another way, or over
            proposal.attempt = None
            # In a later term that leader may be another process, which knows nothing of what this one's copy did.
            was_never_taken = proposal.attempts == 1 and reply.term == attempt.term
            if was_never_taken and reply.outcome is ForwardOutcome.OVERLOADED:
                self._fail(proposal, Overloaded("the leader has too much uncommitted"))
            elif was_never_taken and reply.outcome is ForwardOutcome.DISK_FULL:
                self._fail(proposal, DiskFull("the leader's disk is full"))
            else:
                self._unsent.append(proposal)  # goes out with the next turn of the owner, at the latest a sweep away

    # -- the applier's side --------------------------------------------------------------------------------------

    def waiter(self, sequence: int) -> Waiter | None:
        """Who waits for the entry with this id; None if nobody does."""
        proposal = self._pending.get(sequence)
        return None if proposal is None else proposal.future

    def settle(self, sequence: int, result: object) -> None:
        """An entry with this id was applied: its waiter's one and only result."""
        if type(result) is AlreadyApplied and result.later_epoch:
            if self.on_later_boot is not None:
                on_later_boot, self.on_later_boot = self.on_later_boot, None
                on_later_boot(result.later_epoch)
            return  # whoever waits is told when the node ends
        proposal = self._pending.pop(sequence, None)
        if proposal is None:
            return  # given up before, or settled by an earlier copy
        self._bytes -= len(proposal.command)
        future = proposal.future
        if future.done():
            return  # cancelled by whoever waited
        if type(result) is AlreadyApplied:
            if result.result is None:
                self._counters.proposals_failed += 1
                future.set_exception(ResultUnavailable("applied by way of a snapshot; its result is not at hand"))
                return
            result = result.result
        future.set_result(result)

    # -- giving up -----------------------------------------------------------------------------------------------

    def _fail(self, proposal: Proposal, error: NodeError) -> None:
        if self._pending.pop(proposal.sequence, None) is None:
            return
        self._bytes -= len(proposal.command)
        if not proposal.future.done():
            self._counters.proposals_failed += 1
            proposal.future.set_exception(error)

    def _sweep(self) -> None:
        """Every few milliseconds while something is pending: deadlines, lost messages, refused batches."""
        self._sweeper = None
        now = self._loop.time()
        overdue = [proposal for proposal in self._pending.values() if proposal.deadline <= now]
        for proposal in overdue:
            if proposal.attempts == 0:
                self._fail(proposal, NoLeader("no leader in the time given; nothing was proposed"))
            else:
                self._fail(proposal, ProposalTimeout("not applied in the time given; it may still be"))
        if not self._pending:
            self._forwards.clear()
            self._unsent.clear()
            return
        self._sweeper = self._loop.call_later(self._sweep_s, self._sweep)
        self.resend_unanswered(self._resend_s)
        self._forwards = {
            request_id: (attempt, batch)
            for request_id, (attempt, batch) in self._forwards.items()
            if any(proposal.attempt is attempt and proposal.sequence in self._pending for proposal in batch)
        }

    def fail_all(self, error: NodeError) -> None:
        """Settle every waiter with a copy of `error`, and refuse new ones with it: the node stops."""
        self._refusal = error
        self._is_over = True
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        for proposal in list(self._pending.values()):
            self._fail(proposal, type(error)(*error.args))
        self._unsent.clear()
        self._forwards.clear()
