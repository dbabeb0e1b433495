"""Changes of members: asked for on any server, begun by the leader, awaited where they were asked for.

A change is sent to whoever leads until an entry that begins it is known to be committed here, or time is up. Sent
again it may have been made already, so then what is so is taken for done: ids are never used twice.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from oarlock.node.codec import ChangeMembers, ChangeMembersReply, ChangeOutcome
from oarlock.node.config import NodeConfig
from oarlock.node.errors import (
    ChangeRefused,
    ChangeTimeout,
    NodeError,
    NoLeader,
    Overloaded,
    Refusal,
)
from oarlock.node.members import Change, applied_configuration, check_health, check_ready, target
from oarlock.raft.raft import Raft
from oarlock.raft.state import MembershipRefused, NotLeader
from oarlock.raft.types import Configuration, Index, ServerId, Term

_MAX_PENDING: Final = 64
_MAX_REQUESTS: Final = 64
"""Of other servers, in one turn of the owner."""
_MAX_CHANGES: Final = 32
"""In one change."""

Send = Callable[[ServerId, ChangeMembers | ChangeMembersReply], bool]


class _Pending:
    """One change that is awaited here."""

    __slots__ = (
        "accepted",
        "alone",
        "attempts",
        "changes",
        "deadline",
        "future",
        "request_id",
        "sent_at",
        "sent_to",
        "strict",
    )

    def __init__(
        self, changes: tuple[Change, ...], deadline: float, future: asyncio.Future[Configuration], *, strict: bool
    ) -> None:
        self.changes = changes
        self.strict = strict
        self.deadline = deadline
        self.future = future
        self.request_id = 0
        self.attempts = 0
        self.sent_to: tuple[ServerId, Term] | None = None
        """The leader and term of the attempt under way."""
        self.sent_at = float("-inf")
        self.accepted: tuple[Index, Term] | None = None
        """The entry that begins it."""
        self.alone = False
        """Whether the leader, this server, was the only voter before it."""


class Changes:
    """The changes of members asked for on this server, and the leader's side of everyone's."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, config: NodeConfig, epoch: int, wake: Callable[[], None]
    ) -> None:
        """Start with none.

        Args:
            loop: The loop.
            config: Limits and timeouts.
            epoch: This boot's; keeps its requests apart from those of earlier ones.
            wake: Has the owner take a turn.
        """
        self._loop = loop
        self._config = config
        self._wake = wake
        self._pending: list[_Pending] = []
        self._requests: list[ChangeMembers] = []
        self._request_id = (epoch & 0xFFFF_FFFF) << 31
        self._resend_s = config.election_timeout_ms / 1000
        self._poll_s = max(0.005, config.heartbeat_interval_ms / 2000)
        self._poll: asyncio.TimerHandle | None = None
        self._ended: NodeError | None = None
        self.is_connected: Callable[[ServerId], bool] = lambda _server_id: False
        """Whether there is a link to a server; set before use."""

    # -- the asker's side ----------------------------------------------------------------------------------------

    def change(
        self, changes: Sequence[Change], timeout_s: float | None, *, strict: bool
    ) -> asyncio.Future[Configuration]:
        """Have the members changed; see `Node.change_membership`."""
        future: asyncio.Future[Configuration] = self._loop.create_future()
        if self._ended is not None:
            future.set_exception(type(self._ended)(*self._ended.args))
        elif len(self._pending) >= _MAX_PENDING or len(changes) > _MAX_CHANGES:
            future.set_exception(Overloaded("too many changes of members at once"))
        else:
            seconds = self._config.proposal_timeout_ms / 1000 if timeout_s is None else timeout_s
            self._pending.append(_Pending(tuple(changes), self._loop.time() + seconds, future, strict=strict))
            self._wake()
        return future

    def on_reply(self, reply: ChangeMembersReply) -> None:
        """The leader, or who was taken for it, answers."""
        for pending in self._pending:
            if pending.request_id == reply.request_id and pending.sent_to is not None:
                self._attempted(pending, reply)
                self._wake()

    def on_request(self, request: ChangeMembers) -> None:
        """Another server asks for a change; answered in the owner's next turn, if this one leads."""
        if len(self._requests) < _MAX_REQUESTS:
            self._requests.append(request)

    @property
    def has_work(self) -> bool:
        """Whether the owner should call `turn`."""
        return bool(self._pending or self._requests)

    # -- the owner's turn ----------------------------------------------------------------------------------------

    def turn(self, raft: Raft, send: Send) -> None:
        """Answer what others ask for, and move on what is awaited here.

        Args:
            raft: The core.
            send: Sends a message; False when it was dropped.
        """
        now = self._loop.time()
        requests, self._requests = self._requests, []
        for request in requests:
            send(request.source, self._begin(raft, request, now))
        for pending in self._pending:
            if pending.future.done():
                continue
            if pending.accepted is not None:
                self._look(raft, pending)
            if pending.accepted is None and not pending.future.done():
                self._attempt(raft, pending, send, now)
            if now >= pending.deadline and not pending.future.done():
                nothing_sent = NoLeader("no leader in the time given; the members were not changed")
                unknown = ChangeTimeout("the change of members was not done in the time given; it may still be")
                pending.future.set_exception(unknown if pending.attempts else nothing_sent)
        self._pending = [pending for pending in self._pending if not pending.future.done()]
        if self._pending and self._poll is None:
            self._poll = self._loop.call_later(self._poll_s, self._look_again)

    def _look_again(self) -> None:
        self._poll = None
        self._wake()

    def _attempt(self, raft: Raft, pending: _Pending, send: Send, now: float) -> None:
        state = raft.state
        leader = (state.leader_id, state.current_term)
        if leader == pending.sent_to and now - pending.sent_at < self._resend_s:
            return
        leader_id, term = leader
        if leader_id is None or now - pending.sent_at < self._poll_s:
            return
        self._request_id += 1
        pending.request_id = self._request_id
        request = ChangeMembers(
            state.server_id, self._request_id, pending.changes, pending.strict, retried=pending.attempts > 0
        )
        pending.sent_to, pending.sent_at = (leader_id, term), now
        if leader_id == state.server_id:
            pending.attempts += 1
            pending.alone = state.configuration.voters == {state.server_id}
            self._attempted(pending, self._begin(raft, request, now))
        elif send(leader_id, request):
            pending.attempts += 1
        else:
            pending.sent_to = None

    def _attempted(self, pending: _Pending, reply: ChangeMembersReply) -> None:
        pending.sent_to = None
        if reply.outcome is ChangeOutcome.ACCEPTED:
            pending.accepted = (reply.index, reply.term)
        elif reply.outcome is ChangeOutcome.REFUSED and not pending.future.done():
            pending.future.set_exception(ChangeRefused(Refusal(reply.refusal), reply.text))

    def _look(self, raft: Raft, pending: _Pending) -> None:
        """Whether the accepted entry is committed and applied here, and a configuration that is not joint after it."""
        state = raft.state
        assert pending.accepted is not None  # noqa: S101 - the caller's condition
        index, term = pending.accepted
        known = state.log.term(index)
        if pending.alone and known == term and state.leader is not None and index <= state.log.durable_index:
            # The second voter has yet to be started, so this cannot commit. Nor can it be lost: it is on the only disk
            # that holds anything, and nobody else can win an election.
            pending.future.set_result(state.configuration)
            return
        if index <= state.last_applied and (known is None or known == term):
            configuration = applied_configuration(state, state.last_applied)
            if configuration.is_joint:
                return
            if known == term or self._is_made(configuration, pending.changes):
                pending.future.set_result(configuration)
            else:
                pending.accepted = None  # a snapshot covers its index, but another entry may have stood there
        elif (known is not None and known != term) or (index > state.log.last_index and term < state.current_term):
            pending.accepted = None  # overwritten, or perhaps lost with its leader: what is so already is no error

    def _is_made(self, configuration: Configuration, changes: Sequence[Change]) -> bool:
        try:
            return target(configuration, changes, max_learners=self._config.max_learners, retried=True) == configuration
        except ChangeRefused:
            return False

    def fail_all(self, error: NodeError) -> None:
        """Settle every waiter with a copy of `error`, and refuse new ones with it."""
        self._ended = error
        if self._poll is not None:
            self._poll.cancel()
            self._poll = None
        for pending in self._pending:
            if not pending.future.done():
                pending.future.set_exception(type(error)(*error.args))
        self._pending.clear()
        self._requests.clear()

    # -- the leader's side ---------------------------------------------------------------------------------------

    def _begin(self, raft: Raft, request: ChangeMembers, now: float) -> ChangeMembersReply:
        state = raft.state
        leader = state.leader

        def reply(outcome: ChangeOutcome, index: Index = 0, term: Term = 0) -> ChangeMembersReply:
            return ChangeMembersReply(state.server_id, request.request_id, outcome, index, term)

        if leader is None or leader.transfer_to is not None or state.configuration.is_joint:
            return reply(ChangeOutcome.NOT_NOW)
        try:
            wanted = self._target(raft, request)
            if wanted == state.configuration:
                return reply(ChangeOutcome.ACCEPTED, state.configuration_index, self._term_of_configuration(raft))
            if request.strict:
                check_health(state, leader, request.changes, now, self.is_connected)
            if isinstance(wanted, ChangeRefused):
                raise wanted
            check_ready(state, leader, request.changes, now)
            index, term = raft.change_membership(wanted)
        except ChangeRefused as error:
            refused = ChangeOutcome.REFUSED
            return ChangeMembersReply(
                state.server_id, request.request_id, refused, refusal=error.refusal, text=str(error)
            )
        except (MembershipRefused, NotLeader):
            return reply(ChangeOutcome.NOT_NOW)
        return reply(ChangeOutcome.ACCEPTED, index, term)

    def _target(self, raft: Raft, request: ChangeMembers) -> Configuration | ChangeRefused:
        """What is asked for; or why it is impossible, which is told last, as etcd does."""
        try:
            return target(
                raft.state.configuration,
                request.changes,
                max_learners=self._config.max_learners,
                retried=request.retried,
            )
        except ChangeRefused as error:
            return error

    def _term_of_configuration(self, raft: Raft) -> Term:
        return raft.state.log.term(raft.state.configuration_index) or 0
