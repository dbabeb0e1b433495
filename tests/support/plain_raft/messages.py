"""The RPCs of Figures 2 and 13."""

from dataclasses import dataclass, field
from typing import Any


@dataclass
class LogEntry:
    """A command, and the term in which a leader received it."""

    term: int
    command: Any


@dataclass
class RequestVoteArgs:
    """Figure 2, RequestVote RPC, arguments."""

    term: int
    candidate_id: int
    last_log_index: int
    last_log_term: int


@dataclass
class RequestVoteReply:
    """Figure 2, RequestVote RPC, results."""

    term: int
    vote_granted: bool


@dataclass
class AppendEntriesArgs:
    """Figure 2, AppendEntries RPC, arguments."""

    term: int
    leader_id: int
    prev_log_index: int
    prev_log_term: int
    leader_commit: int
    entries: list[LogEntry] = field(default_factory=list)


@dataclass
class AppendEntriesReply:
    """Figure 2, AppendEntries RPC, results; on a mismatch, where the leader is to try next."""

    term: int
    success: bool
    try_index: int = 0


@dataclass
class InstallSnapshotArgs:
    """Figure 13, in one piece."""

    term: int
    last_included_index: int
    last_included_term: int
    data: bytes


@dataclass
class InstallSnapshotReply:
    """Figure 13, results."""

    term: int
