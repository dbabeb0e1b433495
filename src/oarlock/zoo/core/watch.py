"""What must hold after every event of a core: the invariants of `check`, the limits, and linearizable reads."""

from collections.abc import Sequence

from oarlock.check.invariants import Monitor
from oarlock.check.observed import Promise
from oarlock.check.observer import Observer, given
from oarlock.raft.messages import (
    AppendEntries,
    AppendEntriesReply,
    InstallSnapshotReply,
    PreVote,
    PreVoteReply,
    RaftMessage,
    RequestVote,
    RequestVoteReply,
)
from oarlock.raft.ready import Outgoing
from oarlock.raft.types import Index, ServerId
from oarlock.zoo.core.books import Books, check_message
from oarlock.zoo.core.broken import Broken, require
from oarlock.zoo.core.server import Server


class Watch:
    """Looks at all servers of a run.

    Args:
        ignored: Properties that the run breaks on purpose.
    """

    def __init__(self, ignored: tuple[str, ...] = ()) -> None:
        self._monitor = Monitor(ignored)
        self._observers: dict[tuple[ServerId, int], Observer] = {}
        self._books: dict[tuple[ServerId, int], Books] = {}
        self._seen: dict[ServerId, tuple[object, ...]] = {}
        self._leaders: dict[ServerId, tuple[int, tuple[int, int, int]]] = {}
        self._reads: dict[int, tuple[ServerId, Index]] = {}
        self.highest_applied: Index = 0
        """By any server, ever."""
        self.reads_answered = 0

    def look(self, server: Server, at: float, sent: Sequence[Outgoing] = ()) -> None:
        """After an event of a server, and before what it sent leaves.

        Raises:
            Broken: Something does not hold.
        """
        state = server.state
        log = state.log
        promises = tuple([promise for to, message in sent if (promise := promise_of(message, to)) is not None])
        matches = tuple([progress.match_index for progress in state.leader.peers.values()]) if state.leader else ()
        key = (
            server.lives,
            state.current_term,
            state.voted_for,
            state.role,
            state.commit_index,
            state.last_applied,
            log.last_index,
            log.last_term,
            log.base_index,
            server.disk.last_index,
            server.disk.hard_state,
            state.configuration_index,
            matches,
        )
        # Who votes alone leads in memory before its term is on disk, and until then nobody hears of it.
        is_unheard = state.leader is not None and server.disk.hard_state.current_term < state.current_term
        if is_unheard and state.configuration.voters == {server.id}:
            return
        for to, message in sent:
            check_message(server, to, message)
        self._books.setdefault((server.id, server.lives), Books()).look(server)
        if promises or server.applied or key != self._seen.get(server.id):
            self._seen[server.id] = key
            self._observe(server, at, promises)
        self._check_limits(server)
        self._check_reads(server)

    def _observe(self, server: Server, at: float, promises: tuple[Promise, ...]) -> None:
        state, disk = server.state, server.disk
        log = state.log
        observer = self._observers.setdefault((server.id, server.lives), Observer())
        machine = server.machine
        is_whole = len(machine) == state.last_applied
        found = self._monitor.observe(
            observer.observe(
                state,
                server.id,
                incarnation=server.lives,
                disk_is_intact=not server.is_wiped,
                durable_hard_state=disk.hard_state,
                durable_index=max(_common_index(server), min(disk.last_index, log.base_index)),
                applied=given(server.applied) if is_whole else (),
                promises=promises,
                state_hash=(len(machine), b"\n".join(machine[-3:])) if is_whole and machine else None,
                at=at,
            )
        )
        if is_whole:
            server.applied = []
        self.highest_applied = max(self.highest_applied, state.last_applied)
        if found:
            raise Broken(found[0].name, found[0].sentence)

    @staticmethod
    def _check_limits(server: Server) -> None:
        state, config = server.state, server.config
        forwarded = len(state.forwarded_reads)
        require(forwarded <= config.max_pending_reads, "limits hold", f"{forwarded} reads are forwarded")
        if state.leader is None:
            return
        pending = len(state.leader.reads) + len(state.leader.reads_before_commit)
        require(pending <= config.max_pending_reads, "limits hold", f"{pending} reads await confirmation")
        for peer, progress in state.leader.peers.items():
            count = len(progress.inflight)
            require(
                count <= config.max_inflight_messages, "limits hold", f"{count} messages are in flight to server {peer}"
            )

    # -- reads -----------------------------------------------------------------------------------------------------

    def asked(self, context: int, server_id: ServerId) -> None:
        """A client begins a read: it must see all that any server had applied by now."""
        self._reads[context] = (server_id, self.highest_applied)

    def crashed(self, server_id: ServerId) -> None:
        """Whoever read at that server has lost its answer."""
        self._reads = {context: read for context, read in self._reads.items() if read[0] != server_id}

    def _check_reads(self, server: Server) -> None:
        reads, server.reads = server.reads, []
        for read in reads:
            asked = self._reads.pop(read.context, None)
            if asked is None or asked[0] != server.id:
                raise Broken("a read is answered once, where it was asked", f"context {read.context}")
            if read.read_index is None:
                continue
            self.reads_answered += 1
            applied = len(server.machine)
            is_linearizable = asked[1] <= read.read_index <= applied
            sentence = f"asked when {asked[1]} was applied, answered at {read.read_index} with {applied} applied"
            require(is_linearizable, "reads are linearizable", f"server {server.id}: {sentence}")


def _common_index(server: Server) -> Index:
    """Up to where the disk holds the log as it is in memory."""
    log, disk = server.state.log, server.disk
    entries, base = disk.entries, disk.base.last_included_index
    index = min(disk.last_index, log.last_index)
    while index > max(base, log.base_index):
        if entries[index - base - 1].term == log.term(index):
            return index
        index -= 1
    return index if base <= index else 0


def promise_of(message: RaftMessage, to: ServerId) -> Promise | None:
    """What a message claims of its sender's disk."""
    match message:
        case PreVote() | AppendEntries() | PreVoteReply(vote_granted=True):
            return None
        case RequestVote():
            return Promise(message.term, voted_for=message.source)
        case RequestVoteReply(vote_granted=True):
            return Promise(message.term, voted_for=to)
        case AppendEntriesReply(success=True):
            return Promise(message.term, match_index=message.match_index)
        case InstallSnapshotReply(done=True):
            return Promise(message.term, match_index=message.last_included_index)
        case _:
            return Promise(message.term)
