"""What is committed: where it is kept, that it never changes, that leaders have it, and what is done with it."""

from typing import Final

from oarlock.check.mirror import Chain, Mirror, Mirrors, Tail
from oarlock.check.observed import LEADER, Digest, Observed
from oarlock.check.verdict import Violation
from oarlock.raft.types import Configuration, DiskId, Index, ServerId, Term

MAX_HASHES: Final = 65_536
"""How many indices' state hashes are kept; the oldest go first."""


class Commitment:
    """Remembers every committed entry, the term in which each was first committed, and each term's leader's log."""

    def __init__(self, chain: Chain, mirrors: Mirrors) -> None:
        self._chain = chain
        self._mirrors = mirrors
        self._committed: dict[Index, tuple[Term, Digest]] = {}
        self.highest = Tail(0, 0)
        """The last committed entry."""
        self._committed_in: list[tuple[Term, Tail]] = []
        """Terms of leaders that committed, each with the last entry; indices rise."""
        self._leader_tails: dict[Term, Tail] = {}
        self._lost: dict[ServerId, list[tuple[DiskId, Tail]]] = {}
        """What was on disks before they were damaged on purpose: it counted when it was acknowledged."""
        self._hashes: dict[Index, tuple[Digest, ServerId]] = {}

    def lose_disk(self, old: Mirror) -> None:
        """A server's disk was damaged on purpose."""
        lost = self._lost.setdefault(old.seen.server_id, [])
        if (tail := old.durable_tail()) is not None:
            lost.append((old.seen.disk_id, tail))

    def forget(self, index: Index) -> None:
        """Drop what every server has purged."""
        self._committed = {at: held for at, held in self._committed.items() if at > index}

    # -- leaders -------------------------------------------------------------------------------------------------

    def check_leader(self, mirror: Mirror, now: Observed, found: list[Violation]) -> None:
        """A new leader has whatever was committed in earlier terms (leader completeness)."""
        self._leader_tails[now.current_term] = mirror.tail
        needed = next((tail for term, tail in reversed(self._committed_in) if term < now.current_term), None)
        if needed is None or needed.at < mirror.base.last_included_index:
            return
        if mirror.term(needed.at) != needed.term:
            sentence = (
                f"leads term {now.current_term} without entry {needed.at} of term {needed.term}, committed before; "
                f"its log ends at {mirror.last_index}"
            )
            found.append(_violation(now, "leader completeness", sentence, needed.at))

    def check_match(self, mirror: Mirror, before: Observed | None, now: Observed, found: list[Violation]) -> None:
        """match_index never falls in a leader's term, and tells the truth of the follower's disk."""
        is_same_leader = before is not None and before.role == LEADER and before.current_term == now.current_term
        earlier = dict(before.match_index) if before is not None and is_same_leader else {}
        for server_id, match in now.match_index:
            old = earlier.get(server_id, 0)
            if match < old and server_id not in self._lost:
                sentence = f"lowered match_index of server {server_id} from {old} to {match}"
                found.append(_violation(now, "monotone match_index", sentence, match))
            other = self._mirrors.get(server_id)
            if match <= old or other is None or other.seen.durable_index is None:
                continue
            if other.seen.current_term != now.current_term or server_id in self._lost:
                continue
            term = mirror.term(match)
            if term is not None and not other.holds_durably(match, term):
                sentence = (
                    f"counts on server {server_id} for index {match} of term {term}, which has "
                    f"{other.seen.durable_index} on disk and term {other.term(match)} there"
                )
                found.append(_violation(now, "match_index is durable", sentence, match))

    # -- commitment ----------------------------------------------------------------------------------------------

    def check_commit(self, mirror: Mirror, before: Observed | None, now: Observed, found: list[Violation]) -> None:
        """commit_index moved, or a life began: compare what is newly committed here with what ever was."""
        if before is not None and now.commit_index < before.commit_index:
            sentence = f"went back from commit_index {before.commit_index} to {now.commit_index}"
            found.append(_violation(now, "monotone commit_index", sentence, now.commit_index))
            return
        base = mirror.base
        first = (before.commit_index if before is not None else 0) + 1
        if now.entries:
            first = min(first, now.entries[0].index)
        first = max(first, base.last_included_index + 1)
        self._check_base(mirror, now, found)
        for index in range(first, now.commit_index + 1):
            entry = mirror.entry(index)
            if entry is None:
                return  # commit_index is past the log, which is reported as such
            held = (entry.term, entry.digest)
            known = self._committed.setdefault(index, held)
            if known != held:
                sentence = (
                    f"takes an entry of term {entry.term} for committed at index {index}, where one of term "
                    f"{known[0]} is"
                )
                found.append(_violation(now, "committed entries never change", sentence, index))
        if now.commit_index > self.highest.at and (term := mirror.term(now.commit_index)) is not None:
            self._extend(mirror, now, Tail(now.commit_index, term), found)
        is_leader = before is not None and before.role == LEADER == now.role
        if (
            is_leader
            and before is not None
            and before.current_term == now.current_term
            and before.commit_index < now.commit_index
        ):
            self._check_own_term(mirror, now, found)

    def _check_base(self, mirror: Mirror, now: Observed, found: list[Violation]) -> None:
        index, term = mirror.base.last_included_index, mirror.base.last_included_term
        known = self._committed.get(index)
        if known is not None and known[0] != term:
            sentence = f"has a snapshot up to index {index}, term {term}, where an entry of {known[0]} is committed"
            found.append(_violation(now, "committed entries never change", sentence, index))

    @staticmethod
    def _check_own_term(mirror: Mirror, now: Observed, found: list[Violation]) -> None:
        term = mirror.term(now.commit_index)
        if term is not None and term != now.current_term:
            sentence = f"leads term {now.current_term} and committed up to {now.commit_index}, an entry of term {term}"
            found.append(_violation(now, "only the current term is committed", sentence, now.commit_index))

    def _extend(self, mirror: Mirror, now: Observed, tail: Tail, found: list[Violation]) -> None:
        """An entry is committed for the first time anywhere."""
        self.highest = tail
        if self._committed_in and self._committed_in[-1][0] == now.current_term:
            self._committed_in[-1] = (now.current_term, tail)
        else:
            self._committed_in.append((now.current_term, tail))
        if now.durable_index is not None:
            self._check_quorum(mirror, now, tail, found)
        for term, leader_tail in self._leader_tails.items():
            if term > now.current_term and not self._chain.contains(leader_tail, tail.at, tail.term):
                sentence = f"committed entry {tail.at} in term {now.current_term}; the leader of {term} lacked it"
                found.append(_violation(now, "leader completeness", sentence, tail.at))

    def _check_quorum(self, mirror: Mirror, now: Observed, tail: Tail, found: list[Violation]) -> None:
        # A change appended by the same event took effect after the commitment, or before.
        held = mirror.configurations
        is_new = any(entry.configuration is not None for entry in now.entries)
        candidates = [configuration for _, configuration in (held[-2:] if is_new else held[-1:])]
        lacking = [self._lacking_half(configuration, tail) for configuration in candidates]
        if all(lacking):
            voters, holders = next(each for each in reversed(lacking) if each is not None)
            sentence = (
                f"committed entry {tail.at} of term {tail.term}, which of the voters {sorted(voters)} only "
                f"{sorted(holders)} have on disk"
            )
            found.append(_violation(now, "committed on a durable quorum", sentence, tail.at))

    def _lacking_half(
        self, configuration: Configuration, tail: Tail
    ) -> tuple[frozenset[ServerId], frozenset[ServerId]] | None:
        """The voters of a half of which no majority has the entry on disk, and those that have."""
        for voters in (configuration.voters, configuration.voters_outgoing):
            holders = frozenset(
                server_id for server_id in sorted(voters) if self._is_durable_on(server_id, tail, configuration)
            )
            if voters and 2 * len(holders) <= len(voters):
                return voters, holders
        return None

    def _is_durable_on(self, server_id: ServerId, tail: Tail, configuration: Configuration) -> bool:
        """Whether the entry is, or was, on a disk of the server that the configuration admits."""
        mirror = self._mirrors.get(server_id)
        if mirror is not None and configuration.counts(server_id, mirror.seen.disk_id) and mirror.holds_durably(*tail):
            return True
        return any(
            configuration.counts(server_id, disk_id) and self._chain.contains(lost, *tail)
            for disk_id, lost in self._lost.get(server_id, ())
        )

    # -- the state machine ---------------------------------------------------------------------------------------

    @staticmethod
    def _next_to_apply(before: Observed | None, now: Observed) -> Index:
        if before is not None:
            return before.applied_index + 1
        return now.applied[0][0] if now.applied else 0

    def check_applied(self, mirror: Mirror, before: Observed | None, now: Observed, found: list[Violation]) -> None:
        """Entries are applied in order, each once a life, the same everywhere, and only when committed."""
        if before is not None and now.applied_index < before.applied_index:
            sentence = f"went back from applied_index {before.applied_index} to {now.applied_index}"
            found.append(_violation(now, "monotone applied_index", sentence, now.applied_index))
        expected = self._next_to_apply(before, now)
        for index, digest in now.applied:
            if index not in (expected, mirror.installing + 1):
                sentence = f"applied index {index} when {expected} was next"
                found.append(_violation(now, "applied in order, once", sentence, index))
            known = self._committed.get(index)
            if known is not None and known[1] != digest:
                sentence = f"applied something else at index {index} than the entry of term {known[0]} committed there"
                found.append(_violation(now, "state machine safety", sentence, index))
            elif known is None and index > self.highest.at:
                sentence = f"applied index {index}, which is not committed"
                found.append(_violation(now, "state machine safety", sentence, index))
            expected = index + 1

    def check_hash(self, now: Observed, found: list[Violation]) -> None:
        """At one index all state machines are equal."""
        if now.state_hash is None:
            return
        index, digest = now.state_hash
        known, server_id = self._hashes.setdefault(index, (digest, now.server_id))
        if known != digest:
            sentence = f"has another state at index {index} than server {server_id} had"
            found.append(_violation(now, "identical states", sentence, index))
        if len(self._hashes) > MAX_HASHES:
            del self._hashes[next(iter(self._hashes))]


def _violation(now: Observed, name: str, sentence: str, index: Index | None = None) -> Violation:
    return Violation(name, f"server {now.server_id} {sentence}", now.server_id, index)
