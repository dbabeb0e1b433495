"""What each rule reads and writes: by this table a trace tells causes apart from mere happened-before.

Nothing in the core is instrumented for it. A rule that acts gives its operands; the variables that it looked at follow
from its id and from them. Patterns of variables:

- `term`, `vote`, `role`, ...: as in `schema.Delta`; `last` is where the log ends, `base` where it begins;
- `log.{0}`: the entry at the index that is operand 0; `prefix.{0}`: the log up to it, as a whole; `{0}-1`: one before;
- `next.{0}`: of the server that is operand 0; `match.*`: of all that have reached operand 0; `votes.*`: all granted;
- `m.entries`: a field of the message received; what it depends on is in `MESSAGES`.
"""

from typing import Final

import msgspec


class Flow(msgspec.Struct, frozen=True):
    """One rule."""

    operands: tuple[str, ...]
    """The names of what it is fired with."""
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    """First parts of variables."""


def _flow(operands: str = "", reads: str = "", writes: str = "") -> Flow:
    return Flow(tuple(operands.split()), tuple(reads.split()), tuple(writes.split()))


SERVER_OPERANDS: Final = frozenset({"peer", "source", "leader", "candidate", "to", "voted_for"})
"""Names of operands that are servers."""

PER_SERVER: Final = frozenset({"next", "match", "mode", "votes"})
"""Variables that there is one of for each other server."""

INDUCTIVE: Final = {
    "prefix": "the log before it already agreed: each AppendEntries was accepted only on top of an entry that matched "
    "(AE-2), so by induction (SP-3)",
    "last": "the log stood as all appends before had left it",
    "next": "next_index stood where earlier sends and replies had left it (L-3, L-3a, L-3b)",
}
"""Variables whose value sums up a whole history of equal steps: an explanation stops there, with this sentence."""

SUPERSEDED: Final = {
    "timer": "no leader had been heard for as long as the election timer was set to; what it had heard until then is a "
    "question of its own",
    "leader": "whom it took for the leader was as it had last heard",
    "term": "its own term was lower until then, and terms only rise (ALL-2, C-1a)",
}
"""Variables that tell of what was before: an explanation of something else stops there too, of `term` where it is lower
than that of what is explained. Otherwise each election would lead to the one before it, back to the first."""

_LOG: Final = "log last conf"
_DEPOSED: Final = "role leader votes next match mode transfer beat timer"

FLOWS: Final[dict[str, Flow]] = {
    "P-1": _flow("message"),
    "V-1": _flow("base_index applied_index", "", "commit applied handed"),
    "VL-1": _flow("next_index", "last", "next match mode beat"),
    "AE-1": _flow("term current_term", "m.term term"),
    "AE-2": _flow("prev_log_index prev_log_term held_term", "m.prev_log_index log.{0}"),
    "AE-3": _flow("index held_term new_term", "m.entries log.{0}", f"{_LOG} durable"),
    "AE-4": _flow("first_index", "m.entries m.term term prefix.{0}-1", _LOG),
    "AE-5": _flow("leader_commit last_new_index commit_index", "m.leader_commit prefix.{1}", "commit"),
    "RV-1": _flow("term current_term", "m.term term"),
    "RV-2": _flow("voted_for candidate_log own_log granted", "m.term m.last_log_index term vote last", "vote timer"),
    "ALL-1": _flow("first_index last_index", "commit durable", "handed"),
    "ALL-2": _flow("term current_term", "m.term term", f"term vote {_DEPOSED}"),
    "F-1": _flow("source", "m.term", "leader timer"),
    "F-2": _flow("waited", "timer", "timer role"),
    "C-1": _flow("term", "", _DEPOSED),
    "C-1a": _flow("term", "", "term"),
    "C-1b": _flow("candidate", "", "vote votes"),
    "C-1c": _flow("last_contact", "", "timer"),
    "C-1d": _flow("peer"),
    "C-2": _flow("term votes", "m.vote_granted votes.* term", "role leader votes"),
    "C-3": _flow("source", "m.term role", "role leader votes"),
    "C-4": _flow("waited", "timer", "timer role"),
    "L-1": _flow("peer", "role beat", "beat"),
    "L-2": _flow("first_index entries", "role term", _LOG),
    "L-3": _flow("peer next_index entries", "role next.{0} log.{1}", "next"),
    "L-3a": _flow("source match_index", "m.match_index role", "match next mode"),
    "L-3b": _flow("source prev_log_index next_index", "m.conflict_index next.{0}", "next mode"),
    "L-4": _flow("index current_term commit_index", "match.* durable log.{0} term role", "commit"),
    "IS-0": _flow("peer next_index base_index", "next.{0} base snapshot", "mode next"),
    "IS-1": _flow("term current_term", "m.term term"),
    "IS-2": _flow("last_included_index", "m.metadata"),
    "IS-3": _flow("offset bytes", "m.metadata"),
    "IS-4": _flow("next_offset"),
    "IS-5": _flow("last_included_index commit_index", "m.metadata commit"),
    "IS-6": _flow("last_included_index last_index", "log.{0}", "base"),
    "IS-7": _flow("last_included_index last_index", "last", f"base {_LOG} durable"),
    "IS-8": _flow("last_included_index", "", "commit handed conf snapshot"),
    "CL-Q1": _flow("leader", "role leader"),
    "CL-Q2": _flow("commit_index current_term", "commit term"),
    "CL-Q3": _flow("commit_index", "commit"),
    "CL-Q4": _flow("confirmed_by confirmed", "m.request_id role"),
    "CL-Q5": _flow("read_index last_applied", "applied"),
    "PV-1": _flow("term", "term", _DEPOSED),
    "PV-2": _flow("source term candidate_log own_log live_leader granted", "m.term m.last_log_index term leader last"),
    "PV-3": _flow("votes", "m.vote_granted votes.*", "role votes"),
    "PV-4": _flow("source", "leader"),
    "PV-5": _flow("term current_term", "m.term term"),
    "CQ-1": _flow("heard", "conf", _DEPOSED),
    "CQ-2": _flow("source term", "m.term leader timer"),
    "CQ-3": _flow("source term", "m.term term"),
    "CQ-4": _flow("ready waited", "", _DEPOSED),
    "FC-1": _flow("uncommitted_bytes bytes"),
    "FC-2": _flow("peer messages bytes"),
    "FC-3": _flow("peer bytes"),
    "FC-4": _flow("reads"),
    "FC-5": _flow("commit_index", "commit"),
    "NS-1": _flow("source disk_id admitted", "conf m.disk_id"),
    "NS-2": _flow("index servers", "role conf m.disk_id", _LOG),
    "NS-3": _flow("peer disk_id", "role commit conf match.{0}", _LOG),
    "DL-1": _flow("source prev_log_index match_index", "m.prev_log_index match.{0}", "next match mode"),
    "NO-1": _flow("index", "role term", _LOG),
    "RS-1": _flow("message detail", "m.request_id"),
    "BT-1": _flow("conflict_term conflict_index", "last"),
    "BT-2": _flow("peer next_index match_index", "match.{0}", "next"),
    "LC-1": _flow("index last_applied", "applied", "base log last"),
    "RI-1": _flow("leader context", "leader"),
    "RI-2": _flow("confirmed_by", "", "beat"),
    "LT-1": _flow("to", "role", "transfer"),
    "LT-2": _flow("to", "match.{0} last"),
    "LT-3": _flow("source", "m.term", "role"),
    "LT-4": _flow("to", "transfer", "transfer"),
    "LT-5": _flow("to", "transfer match.{0} last"),
    "FL-1": _flow("leader", "role leader", "leader"),
    "LS-1": _flow("now lease_until", "role"),
    "LS-2": _flow("to", "transfer"),
    "MC-1": _flow("index", "", _LOG),
    "MC-2": _flow("purpose", "conf"),
    "MC-3": _flow("commit_index current_term", "commit term"),
    "MC-4": _flow("configuration_index commit_index", "conf commit"),
    "MC-5": _flow("changed", "conf"),
    "MC-6": _flow("configuration_index", "commit conf", _LOG),
    "MC-7": _flow("configuration_index", "commit conf", _DEPOSED),
    "MC-8": _flow("configuration_index", "conf commit", "timer"),
    "MC-9": _flow("peer knows", "match.{0}", "next match mode"),
}
"""By rule."""


class MessageFlow(msgspec.Struct, frozen=True):
    """One kind of message: what its fields are copied from, and which rules make it be sent."""

    fields: dict[str, tuple[str, ...]]
    """Field to variables; here a pattern's braces hold a field, `log.{entries}` the entries carried."""
    rules: tuple[str, ...] = ()
    """Of the event that decided it; none named: all."""


def _message(rules: str = "", **fields: str) -> MessageFlow:
    return MessageFlow({name: tuple(reads.split()) for name, reads in fields.items()}, tuple(rules.split()))


_CAMPAIGN: Final = "F-2 C-4 PV-3 LT-3 C-1 C-1a"

CLAIMLESS: Final = frozenset({"PreVote", "PreVoteReply"})
"""Messages that say nothing of the sender's disk, though they may have waited for it with others."""

MESSAGES: Final[dict[str, MessageFlow]] = {
    "RequestVote": _message(_CAMPAIGN, term="term role", last_log_index="last"),
    "RequestVoteReply": _message("RV-1 RV-2 ALL-2 CQ-2", vote_granted="vote", disk_id=""),
    "PreVote": _message("F-2 C-4 PV-1", term="term", last_log_index="last"),
    "PreVoteReply": _message("PV-2 PV-4 PV-5", disk_id=""),
    "AppendEntries": _message(
        "L-1 L-3", term="term role", prev_log_index="prefix.{prev_log_index}", entries="log.{entries}",
        leader_commit="commit",
    ),
    "AppendEntriesReply": _message(
        "AE-1 AE-2 AE-3 AE-4 BT-1 F-1 ALL-2 CQ-3", match_index="log.{match_index} durable", conflict_index="last",
        disk_id="",
    ),
    "InstallSnapshot": _message("IS-0", term="term role", metadata="snapshot"),
    "InstallSnapshotReply": _message("IS-1 IS-4 IS-5 IS-6 IS-7 IS-8", disk_id=""),
    "ReadIndex": _message("RI-1"),
    "ReadIndexReply": _message("", read_index="commit"),
    "TimeoutNow": _message("LT-1 LT-2 L-3a MC-7", term="term role"),
}  # fmt: skip
"""By kind."""
