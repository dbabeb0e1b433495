"""Our core on threads, in the pragmatic way of the Locking Advice (K7).

One lock. Each thread takes it when its work begins and gives it back when it ends; only around a wait is it released,
and what was believed before is not relied on after. So rules 1, 2, 3 and 5 hold as they do in a program without
concurrency, and rule 4 is seen to by `_released` and by the condition variables, which are the only waits.

The threads are those of the Structure Advice: one for elections, which looks at the time of the last contact every few
milliseconds (T2); one for heartbeats; one that alone puts on the apply channel (G12, T3), kicked whenever something
commits (T4), and without the lock (K4); and one for each RPC (T1), which handles the reply itself.
"""

import random
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Final, NamedTuple

from oarlock.lab.interface import CLOSED, ApplyChannel, ApplyMsg, ClientEnd, Persister
from oarlock.lab.raft.recorded import Tracing
from oarlock.lab.raft.stored import Ledger, decode_snapshot, decode_state, encode_snapshot, log_of
from oarlock.lab.wire import decode, encode
from oarlock.raft.config import RaftConfig
from oarlock.raft.messages import (
    AppendEntries,
    AppendEntriesReply,
    InstallSnapshot,
    InstallSnapshotReply,
    PreVote,
    PreVoteReply,
    RaftMessage,
    RequestVote,
    RequestVoteReply,
)
from oarlock.raft.raft import Raft
from oarlock.raft.ready import Outgoing, Ready, SnapshotChunkRequest
from oarlock.raft.state import NotLeader
from oarlock.raft.types import Configuration, EntryKind, HardState, Index, ServerId

ELECTION_TIMEOUT_MS: Final = 500
"""A server campaigns after one to two of these: several heartbeats may be lost, and five seconds see several tries."""
HEARTBEAT_INTERVAL_MS: Final = 100
"""The labs allow ten a second."""
ELECTION_CHECK_S: Final = 0.025
"""How often it is looked whether the leader has been silent for too long."""
LONGEST_BEAT_WAIT_S: Final = 1.0
"""After which a thread that waits to lead looks whether it is still wanted."""
SNAPSHOT_RETRY_MS: Final = 300
RESEND_AFTER_S: Final = 0.01
"""How long a lost request waits, so that a peer whose every RPC fails at once makes no busy loop (B4)."""

Replies = list[AppendEntriesReply | RequestVoteReply | PreVoteReply | InstallSnapshotReply]
"""What a handler returns: its reply, or none where the core says nothing."""

_METHODS: Final = {
    AppendEntries: "Raft.append_entries",
    RequestVote: "Raft.request_vote",
    PreVote: "Raft.pre_vote",
    InstallSnapshot: "Raft.install_snapshot",
}


class Delivery(NamedTuple):
    """Something for the service, and how far it brings the state machine; a no-op has no message."""

    last_applied: Index
    message: ApplyMsg | None


class LabRaft:
    """One server: see `interface.Raft`."""

    def __init__(
        self,
        peers: Sequence[ClientEnd],
        me: int,
        persister: Persister,
        apply_ch: ApplyChannel,
        *,
        pre_vote: bool = False,
        tracing: Tracing | None = None,
    ) -> None:
        self._peers = peers
        self._persister = persister
        self._apply_ch = apply_ch
        self._lock = threading.Lock()
        self._beat_wanted = threading.Condition(self._lock)
        self._delivery_wanted = threading.Condition(self._lock)
        self._beat_wakes_at = float("inf")
        self._dead = False
        self._deliveries: deque[Delivery] = deque()
        self._newest_sent: dict[ServerId, int] = {}
        """By follower: the newest request that carried entries or a snapshot."""
        stored = decode_state(persister.read_raft_state())
        self._snapshot = persister.read_snapshot()  # and kept, for the next save must not erase it (B6)
        self._incoming = b""
        configuration = Configuration(voters=frozenset(range(1, len(peers) + 1)))
        log = log_of(stored, configuration)
        self._ledger = Ledger(log, stored.base_number)
        self._core = Raft(
            RaftConfig(
                server_id=me + 1,
                election_timeout_ms=ELECTION_TIMEOUT_MS,
                heartbeat_interval_ms=HEARTBEAT_INTERVAL_MS,
                pre_vote=pre_vote,
                check_quorum=False,
                max_inflight_messages=1,  # RPCs of several threads overtake each other: one at a time is in order
                snapshot_retry_ms=SNAPSHOT_RETRY_MS,
            ),
            rng=random.Random(random.getrandbits(64)),  # noqa: S311 - no secret
            now=time.monotonic(),
            hard_state=HardState(stored.current_term, stored.voted_for),
            log=log,
            applied_index=log.base_index,  # the service begins from the snapshot (B8)
            check_invariants=True,
        )
        self._recorder = tracing.begin(me, self._core) if tracing is not None else None
        if log.base_index:
            self._core.snapshot_taken(log.base)
        for name, work in (("elections", self._elect), ("heartbeats", self._beat), ("applier", self._apply)):
            threading.Thread(target=work, name=f"{name}-{me}", daemon=True).start()

    # -- the labs' interface -------------------------------------------------------------------------------------

    def start(self, command: Any) -> tuple[int, int, bool]:  # noqa: ANN401 - any plain data
        """See `interface.Raft.start`: L-2, without waiting for anything."""
        data = encode(command, "a command")
        with self._lock:
            term = self._core.state.current_term
            if self._dead:
                return -1, term, False
            try:
                (index, term), *_ = self._core.propose([data])
            except NotLeader:
                return -1, term, False
            self._carry_out()
            return self._ledger.numbers.number_at(index), term, True

    def get_state(self) -> tuple[int, bool]:
        """See `interface.Raft.get_state`: both of one moment (K2)."""
        with self._lock:
            return self._core.state.current_term, self._core.state.leader is not None

    def snapshot(self, index: int, snapshot: bytes) -> None:
        """See `interface.Raft.snapshot`: LC-1.

        Raises:
            ValueError: The service cannot have come so far.
        """
        with self._lock:
            if index <= self._ledger.numbers.base_number or self._dead:
                return
            at = self._ledger.numbers.index_of(index)
            if at > self._core.state.handed_to_apply:
                raise ValueError(f"a snapshot of index {index}, of which nothing was delivered yet")
            self._core.applied(at)  # the service has it, though the applier may not have come to say so
            metadata = self._core.metadata_at(at)
            self._core.compact(at)
            self._snapshot = snapshot
            self._core.snapshot_taken(metadata)
            self._carry_out()

    def persist_bytes(self) -> int:
        """See `interface.Raft.persist_bytes`."""
        return self._persister.raft_state_size()

    def kill(self) -> None:
        """See `interface.Raft.kill`."""
        with self._lock:
            self._dead = True
            self._beat_wanted.notify_all()
            self._delivery_wanted.notify_all()
            if self._recorder is not None:
                self._recorder.crashed()
                self._recorder = None

    # -- handlers of RPCs ----------------------------------------------------------------------------------------

    def append_entries(self, request: AppendEntries) -> Replies:
        """AE-1 to AE-5."""
        return self._answer(request)

    def request_vote(self, request: RequestVote) -> Replies:
        """RV-1, RV-2."""
        return self._answer(request)

    def pre_vote(self, request: PreVote) -> Replies:
        """PV-2."""
        return self._answer(request)

    def install_snapshot(self, request: InstallSnapshot) -> Replies:
        """IS-1 to IS-8; a snapshot comes in one piece."""
        return self._answer(request)

    def _answer(self, request: RaftMessage) -> Replies:
        """The whole handler under the lock (K3): what it answers was decided, and saved, in one step (P-1, B1)."""
        with self._lock:
            if self._dead:
                return []
            self._core.step(request, time.monotonic())
            return self._carry_out()

    # -- threads -------------------------------------------------------------------------------------------------

    def _elect(self) -> None:
        """F-2 and C-4: looks at the time of the last contact, again and again."""
        with self._lock:
            while not self._dead:
                if time.monotonic() >= self._core.election_deadline():
                    self._core.tick(time.monotonic())
                    self._carry_out()
                with self._released():
                    time.sleep(ELECTION_CHECK_S)

    def _beat(self) -> None:
        """L-1: a leader's heartbeats, and its news of commitment."""
        with self._lock:
            while not self._dead:
                self._beat_wakes_at = self._core.heartbeat_deadline()
                wait = self._beat_wakes_at - time.monotonic()
                if wait > 0:
                    self._beat_wanted.wait(min(wait, LONGEST_BEAT_WAIT_S))
                else:
                    self._core.tick(time.monotonic())
                    self._carry_out()

    def _apply(self) -> None:
        """ALL-1: the only one to put on the channel, in order, and never with the lock."""
        with self._lock:
            while not self._dead:
                if not self._deliveries:
                    self._delivery_wanted.wait()
                    continue
                last_applied, message = self._deliveries.popleft()
                if message is not None:
                    with self._released():
                        self._apply_ch.put(message)
                if not self._dead:
                    self._core.applied(last_applied)
                    self._carry_out()
        self._apply_ch.put(CLOSED)

    def _call(self, to: ServerId, request: RaftMessage) -> None:
        """One RPC. The request was made under the lock when decided (K5); the core checks the reply (K6, G18)."""
        replies: Replies | None = self._peers[to - 1].call(_METHODS[type(request)], request, Replies)
        if replies is None:
            time.sleep(RESEND_AFTER_S)
        with self._lock:
            if self._dead:
                return
            if replies is None and self._newest_sent.get(to) == request.request_id:
                self._core.peer_unreachable(to)
            for reply in replies or ():
                self._core.step(reply, time.monotonic())
            self._carry_out()

    @contextmanager
    def _released(self) -> Iterator[None]:
        """Give the lock back for a wait (K4). What was read before may be different afterwards (K6)."""
        self._lock.release()
        try:
            yield
        finally:
            self._lock.acquire()

    # -- effects, all under the lock -----------------------------------------------------------------------------

    def _carry_out(self) -> Replies:
        """See to all effects in the order that `Ready` gives; gives the replies to the request being handled."""
        replies: Replies = []
        while self._core.has_ready():
            ready = self._core.ready()
            self._send(ready.messages, replies)
            self._keep(ready)
            for request in ready.chunk_requests:
                self._send_snapshot(request)
            self._receive_snapshots(ready)
            self._send(ready.messages_after_persist, replies)
            self._deliver(ready)
        if self._core.heartbeat_deadline() < self._beat_wakes_at:
            self._beat_wanted.notify()
        return replies

    def _keep(self, ready: Ready) -> None:
        """P-1: save before anything leaves that rests on it; state and snapshot in one step (G22)."""
        state = self._core.state
        if ready.snapshot is not None:
            self._install(ready)
        elif ready.compact_to is not None:
            self._ledger.compact(ready.compact_to.last_included_index)
        if ready.entries:
            self._ledger.overwrite(ready.entries)
        if ready.must_persist:
            raft_state = self._ledger.encode(state.hard_state, state.log.base.last_included_term)
            self._persister.save(raft_state, self._snapshot or None)
            self._core.advance(ready.number)

    def _install(self, ready: Ready) -> None:
        """IS-6 to IS-8: the snapshot received becomes the log's base, and goes to the service."""
        metadata = ready.snapshot
        assert metadata is not None  # noqa: S101 - the caller looked
        received = decode_snapshot(self._incoming)
        self._snapshot, self._incoming = received.data, b""
        index = metadata.last_included_index
        self._ledger = Ledger(self._core.state.log, received.number)
        message = ApplyMsg(
            snapshot_valid=True,
            snapshot=received.data,
            snapshot_term=metadata.last_included_term,
            snapshot_index=received.number,
        )
        self._hand_over(Delivery(index, message))

    def _send(self, messages: list[Outgoing], replies: Replies) -> None:
        for to, message in messages:
            if self._recorder is not None:
                self._recorder.sent(to, message)
            if isinstance(message, AppendEntriesReply | RequestVoteReply | PreVoteReply | InstallSnapshotReply):
                replies.append(message)
            elif type(message) in _METHODS:
                if isinstance(message, InstallSnapshot) or (isinstance(message, AppendEntries) and message.entries):
                    self._newest_sent[to] = message.request_id
                threading.Thread(target=partial(self._call, to, message), daemon=True).start()

    def _send_snapshot(self, request: SnapshotChunkRequest) -> None:
        if request.metadata != self._core.state.log.base:
            # There is a newer one by now: begin again, with that.
            self._core.snapshot_unavailable(request.to)
            return
        data = encode_snapshot(self._ledger.numbers.base_number, self._snapshot)
        source, metadata = self._core.state.server_id, request.metadata
        message = InstallSnapshot(source, request.term, request.request_id, metadata, request.offset, data, done=True)
        self._send([(request.to, message)], [])

    def _receive_snapshots(self, ready: Ready) -> None:
        for chunk in ready.chunks:
            self._incoming = chunk.data
            self._core.snapshot_chunk_written(chunk)

    def _deliver(self, ready: Ready) -> None:
        for entry in ready.committed_entries:
            message = None
            if entry.kind is EntryKind.COMMAND:
                command, number = decode(entry.data, None, "a command"), self._ledger.numbers.number_at(entry.index)
                message = ApplyMsg(command_valid=True, command=command, command_index=number)
            self._hand_over(Delivery(entry.index, message))

    def _hand_over(self, delivery: Delivery) -> None:
        """T4: whatever is committed kicks the applier."""
        self._deliveries.append(delivery)
        self._delivery_wanted.notify()


class Maker:
    """A `make`, see `interface.Make`, whose servers can be recorded.

    Args:
        pre_vote: Whether servers ask before they campaign (PV-1), so that one who was away disturbs nobody.
    """

    def __init__(self, *, pre_vote: bool = False, tracing: Tracing | None = None) -> None:
        self._pre_vote = pre_vote
        self._tracing = tracing

    def __call__(self, peers: Sequence[ClientEnd], me: int, persister: Persister, apply_ch: ApplyChannel) -> LabRaft:
        """Begin a server."""
        return LabRaft(peers, me, persister, apply_ch, pre_vote=self._pre_vote, tracing=self._tracing)

    def traced(self) -> tuple["Maker", Tracing]:
        """The same, recorded, which changes nothing; and where to."""
        tracing = Tracing(pre_vote=self._pre_vote)
        return Maker(pre_vote=self._pre_vote, tracing=tracing), tracing


make: Final = Maker()
"""Raft as Figure 2 has it."""
make_with_pre_vote: Final = Maker(pre_vote=True)
"""The same with pre-votes (dissertation 9.6)."""
