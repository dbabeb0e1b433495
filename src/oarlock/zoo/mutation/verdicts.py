"""Mutants that nothing can kill, because they do nothing wrong: each with the reason.

A key is the mutant's place, or how places begin, so that it outlives changes elsewhere in the module.
"""

from typing import Final

EQUIVALENT: Final[dict[str, str]] = {
    "raft.config RaftConfig: ": "a default, chosen by measurement; any other value is as right",
    "raft.state RaftState.reset_log: 0 -> 1": (
        "the log then begins behind a snapshot, which holds at least entry 1, so that this says nothing of an entry"
    ),
    "raft.membership leave_if_removed: best is not None -> True": (
        "a configuration without this server commits by voters whose word counts, so one of them is there to succeed"
    ),
    "raft.reads renew_lease: not leader.lease_rounds -> False": "a short cut: without rounds there is nothing to renew",
    "raft.reads confirm_reads: not leader.reads -> False": "a short cut: without reads there is nothing to confirm",
    "raft.raft Raft.step: isinstance(message, InstallSnapshotReply) -> True": (
        "no other message comes there: every other kind has a handler, or is looked at before"
    ),
    "raft.raft Raft.advance: state.log.durable_index > state.commit_index -> state.log.durable_index >=": (
        "a short cut: what is durable and committed already commits nothing more"
    ),
    "storage.wal WriteAheadLog._write_in_place: end < self._dirty_end -> end <= self._dirty_end": (
        "where both ends are one, no bytes are added"
    ),
    "storage.disk PosixFile.allocate: length == len(_ZEROS) -> False": (
        "a short cut: zeros that are kept and zeros that are made anew are the same bytes"
    ),
    "storage.segments : 8 -> ": "how much of a segment's start is read at once; what is longer is read on its own",
}
"""Reasons by place."""


def reason_for(place: str) -> str | None:
    """Why a mutant is none; None where nothing is said of it."""
    return next((reason for start, reason in EQUIVALENT.items() if place.startswith(start)), None)
