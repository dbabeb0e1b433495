"""Progress, once a quorum works again: a leader soon, an answer to every request, and nobody left behind.

The caller heals the cluster, tells what happens, runs until `is_settled` or its deadline, and asks for the verdict.
Times are seconds of one clock.
"""

from collections.abc import Collection, Sequence
from typing import Final

import msgspec

from oarlock.check.verdict import Verdict, Violation
from oarlock.raft.types import Index, ServerId, Term

RequestId = int | str

SHOWN: Final = 5
"""How many requests or servers a sentence names."""


class Limits(msgspec.Struct, frozen=True):
    """How soon is soon, in election timeouts: the configured one, before it is randomised."""

    leader: float = 10
    """Until a server of the healed core leads and has committed in its term."""
    answer: float = 20
    """Until each request sent before or after healing is answered, from the later of healing and sending."""
    catch_up: float = 40
    """Until every member of the core has applied what was committed at healing."""
    leaders: int = 3
    """How many leaders there may be after healing: more is a livelock of elections, even if each does some work."""


class LivenessReport(msgspec.Struct, frozen=True):
    """The verdict on a healed cluster."""

    verdict: Verdict
    sentence: str
    leader_after: float | None
    """Seconds from healing to the first working leader."""
    answered: int
    slowest_answer: float | None
    """Seconds, from the later of healing and sending."""
    caught_up_after: float | None
    """Seconds from healing to the last of the core."""
    violations: list[Violation]

    @property
    def ok(self) -> bool:
        """Whether the cluster made progress in time."""
        return self.verdict is Verdict.OK


class LivenessWatch:
    """Watches a cluster from its healing on.

    Args:
        healed_at: When the last fault ended.
        core: The servers that work and reach each other from then on; a quorum of the voters.
        election_timeout: In seconds.
        committed_index: What was committed at that moment: all of the core must apply as much.
        limits: How soon is soon.
    """

    def __init__(
        self,
        *,
        healed_at: float,
        core: Collection[ServerId],
        election_timeout: float,
        committed_index: Index,
        limits: Limits | None = None,
    ) -> None:
        self._healed_at = healed_at
        self._core = frozenset(core)
        self._timeout = election_timeout
        self._goal = committed_index
        self._limits = limits or Limits()
        self._leaders: dict[Term, tuple[ServerId, float]] = {}
        self._sent: dict[RequestId, float] = {}
        self._answers: dict[RequestId, float] = {}
        self._caught_up: dict[ServerId, float] = {}

    def leads(self, at: float, server_id: ServerId, term: Term) -> None:
        """A server leads and has committed an entry of its term."""
        if server_id in self._core:
            self._leaders.setdefault(term, (server_id, at))

    def sent(self, at: float, request: RequestId) -> None:
        """A client that keeps asking until it is answered sent a request, or had one under way at healing."""
        self._sent.setdefault(request, max(at, self._healed_at))

    def answered(self, at: float, request: RequestId) -> None:
        """A request was answered, be it with a refusal that is final."""
        self._answers.setdefault(request, at)

    def applied(self, at: float, server_id: ServerId, index: Index) -> None:
        """A server has applied everything up to `index`."""
        if index >= self._goal and server_id in self._core:
            self._caught_up.setdefault(server_id, at)

    def is_settled(self) -> bool:
        """Whether all that must happen has: there is no need to wait on."""
        return (
            bool(self._leaders) and self._sent.keys() <= self._answers.keys() and self._caught_up.keys() == self._core
        )

    def deadline(self) -> float:
        """When, with no further request, everything is either done or late."""
        last = max(self._sent.values(), default=self._healed_at)
        limits = self._limits
        return max(
            self._healed_at + max(limits.leader, limits.catch_up) * self._timeout, last + limits.answer * self._timeout
        )

    def verdict(self, now: float) -> LivenessReport:
        """The verdict at `now`. What is not done and not yet late leaves it unknown."""
        late: list[Violation] = []
        pending: list[str] = []
        leader_after = self._judge_leader(now, late, pending)
        slowest = self._judge_answers(now, late, pending)
        caught_up_after = self._judge_laggards(now, late, pending)
        if late:
            verdict, sentence = Verdict.VIOLATED, "; ".join(map(str, late)) + "."
        elif pending:
            verdict, sentence = Verdict.UNKNOWN, f"At {now} it is too early to tell: " + "; ".join(pending) + "."
        else:
            verdict = Verdict.OK
            sentence = f"Healed: a leader led, all {len(self._answers)} requests were answered, all caught up, in time."
        return LivenessReport(verdict, sentence, leader_after, len(self._answers), slowest, caught_up_after, late)

    def _judge_leader(self, now: float, late: list[Violation], pending: list[str]) -> float | None:
        first = min((at for _, at in self._leaders.values()), default=None)
        limit = self._limits.leader * self._timeout
        after = None if first is None else max(0.0, first - self._healed_at)
        if after is None and now - self._healed_at <= limit:
            pending.append("there is no leader")
        elif after is None or after > limit:
            when = "no server of the core led" if after is None else f"the first leader came after {after:.3f} s"
            late.append(
                Violation("leader in time", f"{when}; {self._limits.leader:g} election timeouts are {limit:g} s")
            )
        since = [term for term, (_, at) in self._leaders.items() if at >= self._healed_at]
        if len(since) > self._limits.leaders:
            sentence = f"{len(since)} leaders after healing, in the terms {sorted(since)[:SHOWN]}"
            late.append(Violation("leadership settles", sentence))
        return after

    def _judge_answers(self, now: float, late: list[Violation], pending: list[str]) -> float | None:
        limit = self._limits.answer * self._timeout
        took = {request: self._answers.get(request, now) - since for request, since in self._sent.items()}
        slow = [request for request, seconds in took.items() if seconds > limit]
        if slow:
            sentence = f"{len(slow)} requests waited longer than {limit:g} s, such as {_some(slow)}"
            late.append(Violation("every request is answered", sentence))
        waiting = len(self._sent.keys() - self._answers.keys())
        if waiting and not slow:
            pending.append(f"{waiting} requests wait")
        return max((seconds for request, seconds in took.items() if request in self._answers), default=None)

    def _judge_laggards(self, now: float, late: list[Violation], pending: list[str]) -> float | None:
        limit = self._limits.catch_up * self._timeout
        took = {each: self._caught_up.get(each, now) - self._healed_at for each in sorted(self._core)}
        slow = [server_id for server_id, seconds in took.items() if seconds > limit]
        missing = [server_id for server_id in took if server_id not in self._caught_up]
        if slow:
            sentence = f"servers {_some(slow)} had not applied index {self._goal} within {limit:g} s"
            late.append(Violation("laggards catch up", sentence))
        elif missing:
            pending.append(f"servers {_some(missing)} are behind index {self._goal}")
        return None if missing else max(max(took.values(), default=0.0), 0.0)


def _some(names: Sequence[RequestId]) -> str:
    shown = ", ".join(str(name) for name in names[:SHOWN])
    return shown + (", ..." if len(names) > SHOWN else "")
