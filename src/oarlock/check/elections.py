"""Terms, votes, leaders, leases, and what messages promise."""

from oarlock.check.mirror import Mirror
from oarlock.check.observed import LEADER, Observed
from oarlock.check.verdict import Violation
from oarlock.raft.types import HardState, Index, ServerId, Term


class Elections:
    """Remembers who led each term, and what each server's disk said of its vote."""

    def __init__(self) -> None:
        self._leader_of: dict[Term, tuple[ServerId, int]] = {}
        self._disk: dict[ServerId, HardState] = {}
        self._leases: dict[ServerId, float] = {}

    def begin_life(self, old: Mirror | None, new: Mirror, found: list[Violation]) -> None:
        """A server started; what its disk had held must be there."""
        now = new.seen
        self._leases.pop(now.server_id, None)
        if not now.disk_is_intact:
            self._disk.pop(now.server_id, None)
            return
        held = self._disk.get(now.server_id)
        if held is not None and now.current_term < held.current_term:
            found.append(
                _violation(now, "monotone term", f"started in term {now.current_term}, after {held.current_term}")
            )
        elif (
            held is not None
            and now.current_term == held.current_term
            and held.voted_for not in (None, now.voted_for)  # a vote that was never synced may have survived
        ):
            found.append(
                _violation(
                    now,
                    "one vote a term",
                    f"had voted for {held.voted_for} in term {held.current_term}, and started with {now.voted_for}",
                )
            )
        tail = old.durable_tail() if old is not None else None
        if tail is not None and tail.at > now.base.last_included_index and new.term(tail.at) != tail.term:
            found.append(
                _violation(
                    now,
                    "durability",
                    f"had entry {tail.at} of term {tail.term} on disk, and started with its log ending at "
                    f"{now.last_index}, term {new.term(tail.at)} there",
                    tail.at,
                )
            )

    def check(self, before: Observed | None, now: Observed, found: list[Violation]) -> None:
        """An event that touched term, vote, role or disk."""
        if before is not None:
            self._check_step(before, now, found)
        disk = now.durable_hard_state
        if disk is not None:
            self._check_disk(disk, now, found)
        if now.role == LEADER:
            life = (now.server_id, now.incarnation)
            leader = self._leader_of.setdefault(now.current_term, life)
            if leader != life:
                who = "the same server, before its restart" if leader[0] == now.server_id else f"server {leader[0]}"
                found.append(
                    _violation(now, "election safety", f"leads term {now.current_term}, which {who} led already")
                )

    @staticmethod
    def _check_step(before: Observed, now: Observed, found: list[Violation]) -> None:
        if now.current_term < before.current_term:
            sentence = f"went back from term {before.current_term} to {now.current_term}"
            found.append(_violation(now, "monotone term", sentence))
        elif now.current_term == before.current_term and before.voted_for not in (None, now.voted_for):
            sentence = f"voted for {before.voted_for}, then for {now.voted_for}, in term {now.current_term}"
            found.append(_violation(now, "one vote a term", sentence))

    def _check_disk(self, disk: HardState, now: Observed, found: list[Violation]) -> None:
        held = self._disk.get(now.server_id)
        if held is not None and disk != held:
            if disk.current_term < held.current_term:
                sentence = f"its disk went back from term {held.current_term} to {disk.current_term}"
                found.append(_violation(now, "monotone term", sentence))
            elif disk.current_term == held.current_term and held.voted_for is not None:
                sentence = (
                    f"had a vote for {held.voted_for} on disk, then {disk.voted_for}, in term {disk.current_term}"
                )
                found.append(_violation(now, "one vote a term", sentence))
        self._disk[now.server_id] = disk

    @staticmethod
    def check_promises(mirror: Mirror, now: Observed, found: list[Violation]) -> None:
        """No message depends on state that is not yet durable."""
        disk, durable_index = now.durable_hard_state, mirror.durable_index
        for promise in now.promises:
            sentence = ""
            if disk is not None and promise.term > disk.current_term:
                sentence = f"sent a message of term {promise.term}, with term {disk.current_term} on disk"
            elif (
                disk is not None
                and promise.term == disk.current_term
                and promise.voted_for
                not in (
                    None,
                    disk.voted_for,
                )
            ):
                sentence = f"gave {promise.voted_for} its vote, with one for {disk.voted_for} on disk"
            elif (
                durable_index is not None
                # What was acknowledged to an earlier term's leader may be gone since, but was on disk.
                and promise.term == now.current_term
                and promise.match_index > durable_index
            ):
                sentence = f"acknowledged index {promise.match_index}, with only {durable_index} on disk"
            if sentence:
                found.append(_violation(now, "nothing promised before it is durable", sentence))

    def check_lease(self, now: Observed, found: list[Violation]) -> None:
        """At most one server at a time answers reads by its lease."""
        if now.lease_until is None or now.lease_until <= now.at:
            self._leases.pop(now.server_id, None)
            return
        self._leases[now.server_id] = now.lease_until
        for other, until in self._leases.items():
            if other != now.server_id and until > now.at:
                sentence = f"holds a lease until {now.lease_until}, while server {other} holds one until {until}"
                found.append(_violation(now, "one lease holder", sentence))


def _violation(now: Observed, name: str, sentence: str, index: Index | None = None) -> Violation:
    return Violation(name, f"server {now.server_id} {sentence}", now.server_id, index)
