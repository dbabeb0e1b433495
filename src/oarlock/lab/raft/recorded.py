"""Traces of our own servers in the lab, as `oarlock draw` and `oarlock trace` read them.

Recording only looks: it takes no lock, asks no clock and draws no chance, so on virtual time a run with it is the run
without it.
"""

from typing import Final

from oarlock.raft.raft import Raft
from oarlock.trace.attach import attach
from oarlock.trace.lane import World
from oarlock.trace.recorder import Recorder
from oarlock.trace.schema import VERSION, Event, Header, server_name
from oarlock.trace.stamps import MessageTable

MOST_EVENTS: Final = 2_000_000
"""Beyond which the trace has a gap."""

_PROPERTIES: Final = {
    "no leader": "leader in time",
    "all lead in term": "election safety",
    "where server": "state machine safety",
    "each must come once": "applied in order, once",
    "died of an exception": "no call raises",
    "raised": "no call raises",
    "no agreement": "every request is answered",
}
"""By words of a scenario's failure, the property that explanations know it as."""


class Tracing:
    """Records all servers of one run, each life in turn.

    Args:
        pre_vote: For the trace's header.
    """

    def __init__(self, *, pre_vote: bool = False) -> None:
        self.events: list[Event] = []
        self.world = World(self._keep, self._now)
        """What happens to no server."""
        self._is_over = False
        self._pre_vote = pre_vote
        self._table = MessageTable(max_messages=MOST_EVENTS)  # so large that servers' threads never both make room
        self._recorders: dict[int, Recorder] = {}
        """The newest of each server."""
        self._cores: dict[int, Raft] = {}

    def begin(self, me: int, core: Raft) -> Recorder:
        """A life of a server begins."""
        server_id = me + 1
        before = self._recorders.get(server_id)
        recorder = Recorder(
            server_id,
            1 if before is None else before.epoch + 1,
            self._keep,
            lambda: core.state.now,
            table=self._table,
            repeat_fields=False,
            predecessor=before,
        )
        self._cores[server_id] = core
        attach(recorder, core)
        self._recorders[server_id] = recorder
        return recorder

    def links_changed(self, links: list[tuple[int, int]], *, opened: bool) -> None:
        """Ways between servers, each in one direction, were opened or shut."""
        between = [(source + 1, to + 1) for source, to in links if source != to]
        if between and opened:
            self.world.healed(between)
        elif between:
            self.world.cut(between)

    def failed(self, sentence: str) -> None:
        """The scenario found something wrong: the trace ends there, before all servers are stopped."""
        named = (name for words, name in _PROPERTIES.items() if words in sentence)
        self.world.violated(next(named, "what the scenario requires"), sentence, [])
        self._is_over = True

    def header(self, run: str, seed: int | None) -> Header:
        """The trace's first line; of a run on real time without a seed."""
        return Header(
            v=VERSION,
            run=run,
            kind="live" if seed is None else "sim",
            seed=seed,
            nodes={server_name(each): f"server {each - 1}" for each in sorted(self._recorders)},
            clock="wall" if seed is None else "virtual",
            features=("pre_vote",) if self._pre_vote else (),
        )

    def _now(self) -> float:
        return max((core.state.now for core in self._cores.values()), default=0.0)

    def _keep(self, event: Event) -> bool:
        if len(self.events) >= MOST_EVENTS:
            return False
        if not self._is_over:
            self.events.append(event)
        return True
