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
}
"""Reasons by place."""


def reason_for(place: str) -> str | None:
    """Why a mutant is none; None where nothing is said of it."""
    return next((reason for start, reason in EQUIVALENT.items() if place.startswith(start)), None)
