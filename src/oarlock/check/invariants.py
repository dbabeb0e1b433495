"""The safety properties of Raft, checked after every event of every server, from what is seen and not from claims.

Figure 3 of the paper, and what else must hold at every moment. The cost of an event depends on what it changed, not on
the length of the logs.
"""

from collections.abc import Collection
from typing import Final

from oarlock.check.commitment import Commitment
from oarlock.check.elections import Elections
from oarlock.check.membership import check_change, check_configuration
from oarlock.check.mirror import Chain, Mirror, Mirrors
from oarlock.check.observed import LEADER, Observed
from oarlock.check.verdict import Violation
from oarlock.raft.types import Index

PROPERTIES: Final = {
    "election safety": "At most one server, in one life of it, leads a term.",
    "leader append-only": "A leader never overwrites or deletes an entry of its log.",
    "log matching": "Logs that have an entry of the same index and term are equal up to it.",
    "leader completeness": "A leader has every entry that was committed in an earlier term.",
    "state machine safety": "What is applied at an index is what is committed there.",
    "committed entries never change": "What any server ever took for committed at an index is the same everywhere.",
    "committed on a durable quorum": "What is committed is on the disks of a majority; while joint, of both halves.",
    "only the current term is committed": "A leader commits by counting only entries of its own term.",
    "nothing promised before it is durable": "No message that has left depends on what is not yet on disk.",
    "durability": "What was on a server's disk is there when it starts again.",
    "monotone term": "A server's term never falls, across restarts either.",
    "one vote a term": "A vote given is never changed within its term, across restarts either.",
    "monotone commit_index": "commit_index never falls within a life.",
    "monotone applied_index": "applied_index never falls within a life.",
    "monotone match_index": "A leader's match_index never falls within its term.",
    "match_index is durable": "What a leader counts on a follower for is on that follower's disk.",
    "terms rise along the log": "Terms never fall along a log, and none is higher than the server's.",
    "order of indices": "purged <= snapshot <= applied <= committed <= last.",
    "state not ahead of the log": "A crash leaves the state machine no further on than the log.",
    "applied in order, once": "Entries are applied in order, each once in a life.",
    "identical states": "State machines that stand at one index have one hash.",
    "configuration is the log's": "A server acts upon the newest configuration in its log.",
    "one change at a time": "At most one change of configuration is uncommitted.",
    "majorities overlap": "A configuration follows one whose majorities share a server with its own.",
    "one lease holder": "At most one server at a time may answer reads by a lease.",
}
"""Every property by its name, as violations give it."""

FORGET_EVERY: Final = 4096
"""Once all servers have purged so many entries more, what is known of them is dropped."""


class Monitor:
    """Watches a cluster.

    Args:
        ignored: Properties that a run breaks on purpose, such as "majorities overlap" where a quorum that is lost for
            good is replaced by hand.

    Raises:
        ValueError: There is no property of that name.
    """

    def __init__(self, ignored: Collection[str] = ()) -> None:
        for name in ignored:
            if name not in PROPERTIES:
                raise ValueError(f'no property "{name}"')
        self._ignored = frozenset(ignored)
        self._chain = Chain()
        self._mirrors: Mirrors = {}
        self._elections = Elections()
        self._commitment = Commitment(self._chain, self._mirrors)
        self._forgotten: Index = 0
        self.events = 0
        """How many observations were checked."""

    @property
    def committed_index(self) -> Index:
        """The highest index that any server ever took for committed."""
        return self._commitment.highest.at

    def observe(self, now: Observed) -> list[Violation]:
        """Check a server after an event; gives what does not hold, mostly nothing.

        Raises:
            ValueError: The observation does not continue those before it: the observer is wrong.
        """
        self.events += 1
        found: list[Violation] = []
        mirror = self._mirrors.get(now.server_id)
        before: Observed | None = None
        if mirror is None or mirror.seen.incarnation != now.incarnation:
            mirror = self._begin_life(mirror, now, found)
            has_new_log = True
        else:
            before = mirror.seen
            is_moved = now.base is not before.base and now.base != before.base
            if is_moved and before.commit_index < now.base.last_included_index == now.commit_index:
                # A snapshot was installed: it is ahead of the state machine until that is restored from it.
                mirror.installing = now.commit_index
            has_new_log = is_moved or bool(now.entries) or now.last_index != before.last_index
            if has_new_log:
                self._check_log(mirror, before, now, found)
            mirror.see(now)
        self._check_elections(mirror, before, now, found)
        if has_new_log or before is None or now.commit_index != before.commit_index:
            self._commitment.check_commit(mirror, before, now, found)
        if now.applied or before is None or now.applied_index != before.applied_index:
            self._commitment.check_applied(mirror, before, now, found)
        if now.state_hash is not None:
            self._commitment.check_hash(now, found)
        if has_new_log:
            check_change(mirror, self._commitment.highest.at, now, found)
        if has_new_log or before is None or now.configuration is not before.configuration:
            check_configuration(mirror, now, found)
        _check_order(mirror, before, now, found)
        if found and self._ignored:
            found = [violation for violation in found if violation.name not in self._ignored]
        return found

    def _begin_life(self, old: Mirror | None, now: Observed, found: list[Violation]) -> Mirror:
        mirror = Mirror(now)
        self._mirrors[now.server_id] = mirror
        self._check_log(mirror, None, now, found)
        self._elections.begin_life(old, mirror, found)
        if old is not None and not now.disk_is_intact:
            self._commitment.lose_disk(old)
        return mirror

    def _check_elections(self, mirror: Mirror, before: Observed | None, now: Observed, found: list[Violation]) -> None:
        is_new = before is None or now.current_term != before.current_term or now.role != before.role
        if (
            is_new
            or before is None
            or now.voted_for != before.voted_for
            or now.durable_hard_state != before.durable_hard_state
        ):
            self._elections.check(before, now, found)
        if now.role == LEADER:
            if is_new:
                self._commitment.check_leader(mirror, now, found)
            if before is None or now.match_index != before.match_index:
                self._commitment.check_match(mirror, before, now, found)
        if now.promises:
            self._elections.check_promises(mirror, now, found)
        if now.lease_until is not None or (before is not None and before.lease_until is not None):
            self._elections.check_lease(now, found)

    def _check_log(self, mirror: Mirror, before: Observed | None, now: Observed, found: list[Violation]) -> None:
        if before is not None and before.role == LEADER == now.role and before.current_term == now.current_term:
            first = now.entries[0].index if now.entries else now.last_index + 1
            if first <= before.last_index:
                sentence = f"server {now.server_id} leads term {now.current_term} and rewrote its log from {first} on"
                found.append(Violation("leader append-only", sentence, now.server_id, first))
        for entry, previous_term in mirror.follow(now):
            other = self._chain.add(entry, previous_term)
            if other is not None:
                sentence = (
                    f"server {now.server_id} has at index {entry.index} an entry of term {entry.term} that differs "
                    "from another server's, in itself or in what precedes it"
                )
                found.append(Violation("log matching", sentence, now.server_id, entry.index))
            if not previous_term <= entry.term <= now.current_term:
                sentence = (
                    f"server {now.server_id} in term {now.current_term} has at index {entry.index} an entry of term "
                    f"{entry.term} after one of {previous_term}"
                )
                found.append(Violation("terms rise along the log", sentence, now.server_id, entry.index))
        if before is not None and now.base is not before.base:
            self._forget()

    def _forget(self) -> None:
        purged = min(mirror.base.last_included_index for mirror in self._mirrors.values())
        if purged >= self._forgotten + FORGET_EVERY:
            self._forgotten = purged
            self._chain.forget(purged)
            self._commitment.forget(purged)


def _check_order(mirror: Mirror, before: Observed | None, now: Observed, found: list[Violation]) -> None:
    purged = now.base.last_included_index
    applied = max(now.applied_index, mirror.installing)
    snapshot = purged if now.snapshot_index is None else now.snapshot_index
    is_moved_back = before is not None and purged < before.base.last_included_index
    if not purged <= snapshot <= applied <= now.commit_index <= now.last_index or is_moved_back:
        sentence = (
            f"server {now.server_id}: purged {purged}, snapshot {now.snapshot_index}, applied {now.applied_index}, "
            f"committed {now.commit_index}, last {now.last_index}"
        )
        found.append(Violation("order of indices", sentence, now.server_id, now.commit_index))
    machine, log = now.durable_applied_index, now.durable_index
    if machine is not None and log is not None and machine > log and now.disk_is_intact:
        sentence = f"server {now.server_id} has its state machine on disk up to {machine}, and its log up to {log}"
        found.append(Violation("state not ahead of the log", sentence, now.server_id, machine))
