"""What a server keeps of itself and of others adds up, and what it says of its log is what its log is."""

from oarlock.raft.messages import AppendEntries, AppendEntriesReply, PreVote, PreVoteReply, RaftMessage, RequestVote
from oarlock.raft.progress import Mode, Progress
from oarlock.raft.state import LeaderState, RaftState
from oarlock.raft.types import Configuration, Index, ServerId
from oarlock.zoo.core.broken import require
from oarlock.zoo.core.server import Server

_BOOKS = "a leader's books add up"
_TRUE = "messages are true of their sender"


class Books:
    """Looks into one life of a server after each event."""

    def __init__(self) -> None:
        self._configured: tuple[Index, Configuration] | None = None

    def look(self, server: Server) -> None:
        """After an event.

        Raises:
            Broken: Something does not add up.
        """
        state = server.state
        self._check_configuration(server)
        if state.candidate is not None:
            is_alone = state.leader_id is None and not state.forwarded_reads
            require(is_alone, "who campaigns follows nobody", f"server {server.id} follows {state.leader_id}")
        if state.leader is not None:
            require(state.leader_id == server.id, _BOOKS, f"server {server.id} leads, and follows {state.leader_id}")
            _check_leader(state, state.leader)

    def _check_configuration(self, server: Server) -> None:
        """What a leader appends changes something: else each election would cost all a write, and wait for it."""
        state = server.state
        before, self._configured = self._configured, (state.configuration_index, state.configuration)
        if before is None or state.leader is None:
            return
        if state.configuration_index > max(before[0], state.log.base_index):
            is_new = state.configuration != before[1]
            require(is_new, "a change changes something", f"server {server.id} at index {state.configuration_index}")


def _check_leader(state: RaftState, leader: LeaderState) -> None:
    held = state.log.slice(state.commit_index + 1, state.log.last_index)
    size = sum(len(entry.data) for entry in held)
    sentence = f"server {state.server_id} counts {leader.uncommitted_bytes} uncommitted bytes, and has {size}"
    require(leader.uncommitted_bytes == size, _BOOKS, sentence)
    for peer, progress in leader.peers.items():
        wrong = _wrong(state, progress)
        require(not wrong, _BOOKS, f"server {state.server_id} of server {peer}: {wrong}")


def _wrong(state: RaftState, progress: Progress) -> str:
    """What cannot be of a follower; nothing, where all can."""
    window = progress.inflight
    if not progress.match_index < progress.next_index <= state.log.last_index + 1:
        return f"it has entry {progress.match_index}, and is to be sent {progress.next_index}"
    if progress.sent_commit > state.commit_index:
        return f"it was told of commitment up to {progress.sent_commit}"
    if (progress.snapshot is not None) != (progress.mode is Mode.SNAPSHOT):
        return f"in mode {progress.mode.value} it is sent {progress.snapshot}"
    if window.bytes < 0 or (window.bytes and not len(window)) or (len(window) and progress.mode is not Mode.REPLICATE):
        return f"in mode {progress.mode.value} {window.bytes} bytes in {len(window)} messages await an answer"
    return ""


def check_message(server: Server, to: ServerId, message: RaftMessage) -> None:
    """A message that leaves a server.

    Raises:
        Broken: It is not true.
    """
    state = server.state
    require(message.source == server.id != to, _TRUE, f"server {server.id} speaks as {message.source}, to {to}")
    disk_id = getattr(message, "disk_id", server.disk_id)
    require(disk_id == server.disk_id, _TRUE, f"server {server.id} answers from disk {disk_id}, not {server.disk_id}")
    if not isinstance(message, PreVote | PreVoteReply):
        require(message.term <= state.current_term, _TRUE, f"server {server.id} speaks of term {message.term}")
    match message:
        case AppendEntries() if state.leader is not None and message.term == state.current_term:
            _check_append_entries(server, message)
        case AppendEntriesReply(success=False):
            require(not message.match_index, _TRUE, f"server {server.id} refuses, and has entry {message.match_index}")
        case RequestVote() | PreVote():
            term = state.log.term(message.last_log_index)
            is_own = term in (None, message.last_log_term)
            require(is_own, _TRUE, f"server {server.id} campaigns with a log that it does not have")
        case _:
            pass


def _check_append_entries(server: Server, message: AppendEntries) -> None:
    log = server.state.log
    previous = message.prev_log_index
    is_true = log.term(previous) in (None, message.prev_log_term)
    for index, entry in enumerate(message.entries, previous + 1):
        is_true = is_true and entry.index == index and (index <= log.base_index or entry == log.entry(index))
    require(is_true, _TRUE, f"server {server.id} sends entries behind {previous} that its log does not have")
    is_committed = message.leader_commit <= server.state.commit_index
    require(is_committed, _TRUE, f"server {server.id} says that {message.leader_commit} is committed")
