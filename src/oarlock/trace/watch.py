"""A core seen from outside: what changed since the last look, at a cost of what changed, and the whole.

Between two events nothing changes in a core, so one look after each event gives both its before and its after.
"""

from collections.abc import Callable
from typing import Any, Final, Protocol

from oarlock.trace.payloads import Payloads, configuration_view, name_or_none
from oarlock.trace.schema import Delta, LogDelta, Run, ServerState, server_name


class LogView(Protocol):
    """A core's log, as far as it is looked at."""

    base: Any
    base_index: int
    durable_index: int

    @property
    def last_index(self) -> int:
        """The index of the last entry, or of the base."""

    def entry(self, index: int) -> Any:  # noqa: ANN401 - the core's
        """The entry there."""

    def slice(self, first: int, last: int) -> list[Any]:
        """The entries there."""


class CoreView(Protocol):
    """A core's state, as far as it is looked at."""

    current_term: int
    voted_for: int | None
    role: Any
    leader_id: int | None
    commit_index: int
    handed_to_apply: int
    last_applied: int
    last_contact: float
    election_wait: float
    leader: Any
    candidate: Any
    snapshot: Any
    messages: list[tuple[int, Any]]
    messages_after_persist: list[tuple[int, Any]]
    tracer: Callable[[str, tuple[object, ...]], None] | None

    @property
    def log(self) -> LogView:
        """The log."""

    @property
    def configuration(self) -> Any:  # noqa: ANN401 - the core's
        """The configuration in force."""


SCALARS: Final = (
    "term",
    "vote",
    "role",
    "leader",
    "commit",
    "handed",
    "applied",
    "durable",
    "timer",
    "beat",
    "snapshot",
    "transfer",
    "conf",
)
"""In the order of `_scalars`."""


def _scalars(core: CoreView) -> tuple[Any, ...]:
    leader, snapshot = core.leader, core.snapshot
    return (
        core.current_term,
        core.voted_for,
        core.role,
        core.leader_id,
        core.commit_index,
        core.handed_to_apply,
        core.last_applied,
        core.log.durable_index,
        core.last_contact + core.election_wait,
        leader is not None and leader.heartbeat_due,
        snapshot.last_included_index if snapshot is not None else 0,
        leader.transfer_to if leader is not None else None,
        core.configuration,
    )


_Follower = tuple[int, int, Any]


def _followers(core: CoreView) -> dict[int, _Follower]:
    leader = core.leader
    if leader is None:
        return {}
    return {peer: (each.next_index, each.match_index, each.mode) for peer, each in leader.peers.items()}


def _are_as_before(leader: Any, held: dict[int, _Follower]) -> bool:  # noqa: ANN401 - the core's
    """Whether a leader's view of its followers is the one held; builds nothing, as it mostly is."""
    if leader is None:
        return not held
    if len(leader.peers) != len(held):
        return False
    for peer, each in leader.peers.items():
        before = held.get(peer)
        if (
            before is None
            or before[0] != each.next_index
            or before[1] != each.match_index
            or before[2] is not each.mode
        ):
            return False
    return True


def _votes(core: CoreView) -> dict[int, bool]:
    return dict(core.candidate.votes) if core.candidate is not None else {}


class CoreWatch:
    """Looks at one core through one life."""

    def __init__(self, core: CoreView, payloads: Payloads, clock_offset_us: int) -> None:
        """Look for the first time.

        Args:
            core: The core's state.
            payloads: Shows what entries hold.
            clock_offset_us: Added to the core's times, for those of the trace.
        """
        self._core = core
        self._shows: dict[str, Callable[[Any], Any]] = {
            "vote": name_or_none,
            "leader": name_or_none,
            "transfer": name_or_none,
            "role": lambda role: role.value,
            "timer": lambda seconds: int(seconds * 1e6) + clock_offset_us,
            "conf": configuration_view,
        }
        self._plan = [(position, name, self._shows.get(name)) for position, name in enumerate(SCALARS)]
        self._scalars = _scalars(core)
        self._followers = _followers(core)
        self._votes = _votes(core)
        self._candidate = core.candidate
        self.log = LogWatch(core.log, payloads)
        self.changed: list[str] = []
        """The variables that the last look found changed, but for single entries of the log."""
        self.gone: list[str] = []
        """Those that it found to be no more: what has their names later is something else."""

    def look(self) -> Delta | None:
        """What changed since the last look; None if nothing did."""
        core = self._core
        delta: Delta | None = None
        changed: list[str] = []
        self.changed, self.gone = changed, []
        scalars = _scalars(core)
        if scalars != self._scalars:
            delta = Delta()
            for position, name, show in self._plan:
                old, new = self._scalars[position], scalars[position]
                if old is not new and old != new:
                    setattr(delta, name, (old, new) if show is None else (show(old), show(new)))
                    changed.append(name)
            if delta.term is not None and delta.vote is None and core.voted_for is not None:
                # The same name, but a vote of its own: whoever asks for it must not be led to the one before.
                voted_for = name_or_none(core.voted_for)
                delta.vote = voted_for, voted_for
                changed.append("vote")
            self._scalars = scalars
        log = self.log.look()
        if log is not None:
            delta = delta or Delta()
            delta.log = log
            changed.append("last")
            if log.base is not None:
                changed.append("base")
        if (core.leader is not None or self._followers) and not _are_as_before(core.leader, self._followers):
            delta = delta or Delta()
            followers = _followers(core)
            _compare_followers(delta, self._followers, followers)
            self._followers = followers
            for name in ("match", "mode", "next"):
                changed += [f"{name}.{server}" for server in getattr(delta, name) or ()]
        if core.candidate is not None or self._votes:
            votes = _votes(core)
            if votes != self._votes:
                delta = delta or Delta()
                delta.votes = _compare(self._votes, votes)
                for server, (_, after) in delta.votes.items():
                    (self.gone if after is None else changed).append(f"votes.{server}")
            if core.candidate is not self._candidate:
                # Each campaign asks anew, though some answers be the same.
                self._candidate = core.candidate
                changed += [f"votes.{server_name(peer)}" for peer in votes if votes[peer] == self._votes.get(peer)]
            self._votes = votes
        return delta

    def whole(self) -> ServerState:
        """The state at the last look."""
        state = ServerState()
        for name, value in zip(SCALARS, self._scalars, strict=True):
            show = self._shows.get(name)
            setattr(state, name, value if show is None else show(value))
        state.base = self.log.base
        state.log = list(self.log.runs)
        for peer, (next_index, match_index, mode) in self._followers.items():
            name = server_name(peer)
            state.next[name], state.match[name], state.mode[name] = next_index, match_index, mode.value
        state.votes = {server_name(peer): granted for peer, granted in self._votes.items()}
        return state

    def reached(self, index: int) -> list[str]:
        """The followers whose match_index is at least `index`, now."""
        return [server_name(peer) for peer, (_, match, _) in _followers(self._core).items() if match >= index]

    def granted(self) -> list[str]:
        """The servers that granted this candidate their vote, now."""
        return [server_name(peer) for peer, granted in _votes(self._core).items() if granted]


def _compare(before: dict[int, Any], after: dict[int, Any]) -> dict[str, tuple[Any, Any]]:
    return {
        server_name(peer): (before.get(peer), after.get(peer))
        for peer in before | after
        if before.get(peer) != after.get(peer)
    }


_NOBODY: Final = (None, None, None)


def _compare_followers(delta: Delta, before: dict[int, _Follower], after: dict[int, _Follower]) -> None:
    nexts, matches, modes = {}, {}, {}
    for peer in before | after:
        old, new = before.get(peer, _NOBODY), after.get(peer, _NOBODY)
        if old == new:
            continue
        name = server_name(peer)
        if old[0] != new[0]:
            nexts[name] = (old[0], new[0])
        if old[1] != new[1]:
            matches[name] = (old[1], new[1])
        if old[2] is not new[2]:
            modes[name] = (old[2] and old[2].value, new[2] and new[2].value)
    delta.next, delta.match, delta.mode = nexts or None, matches or None, modes or None


class LogWatch:
    """Finds what was written to a log. Entries never change, so equal ones are the same object."""

    def __init__(self, log: LogView, payloads: Payloads) -> None:
        self._log = log
        self._payloads = payloads
        self._known: list[Any] = log.slice(log.base_index + 1, log.last_index)
        self.base: tuple[int, int] = self._base()
        self.runs: list[Run] = []
        """The terms of all entries held, at the last look."""
        append_runs(self.runs, ((entry.index, entry.term) for entry in self._known))

    def _base(self) -> tuple[int, int]:
        return self._log.base.last_included_index, self._log.base.last_included_term

    def look(self) -> LogDelta | None:
        """What changed since the last look."""
        log, known = self._log, self._known
        last, base_index = log.last_index, log.base_index
        if (
            base_index == self.base[0]
            and last - base_index == len(known)
            and (not known or known[-1] is log.entry(last))
        ):
            return None
        delta = LogDelta()
        if base_index != self.base[0]:
            del known[: max(0, base_index - self.base[0])]
            if base_index < self.base[0]:
                known.clear()
            self.base = delta.base = self._base()
            cut_before(self.runs, base_index)
        kept = min(len(known), last - base_index)
        while kept and known[kept - 1] is not log.entry(base_index + kept):
            kept -= 1
        if kept < len(known):
            delta.trunc = base_index + kept + 1
            del known[kept:]
            cut_from(self.runs, delta.trunc)
        if base_index + kept < last:
            written = log.slice(base_index + kept + 1, last)
            known += written
            append_runs(self.runs, ((entry.index, entry.term) for entry in written))
            delta.app = tuple(map(self._payloads.row, written))
        return delta


def append_runs(runs: list[Run], entries: Any) -> None:  # noqa: ANN401 - pairs of index and term
    """Add entries at the end."""
    for index, term in entries:
        if runs and runs[-1][2] == term:
            runs[-1] = (runs[-1][0], index, term)
        else:
            runs.append((index, index, term))


def cut_from(runs: list[Run], index: int) -> None:
    """Delete entries from `index` on."""
    while runs and runs[-1][0] >= index:
        runs.pop()
    if runs and runs[-1][1] >= index:
        runs[-1] = (runs[-1][0], index - 1, runs[-1][2])


def cut_before(runs: list[Run], base_index: int) -> None:
    """Delete entries up to `base_index`; all of them, if it lies before the first."""
    if runs and base_index < runs[0][0] - 1:
        runs.clear()
        return
    gone = 0
    while gone < len(runs) and runs[gone][1] <= base_index:
        gone += 1
    del runs[:gone]
    if runs and runs[0][0] <= base_index:
        runs[0] = (base_index + 1, runs[0][1], runs[0][2])
