"""Traces of our own servers in the lab, as `oarlock draw` and `oarlock trace` read them.

Recording only looks: it takes no lock, asks no clock and draws no chance, so on virtual time a run with it is the run
without it.
"""

from typing import Final

from oarlock.lab.tracing import RunTracing
from oarlock.raft.raft import Raft
from oarlock.trace.attach import attach
from oarlock.trace.recorder import Recorder
from oarlock.trace.schema import server_name
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


class Tracing(RunTracing):
    """Records all servers of one run, each life in turn.

    Args:
        pre_vote: For the trace's header.
    """

    def __init__(self, *, pre_vote: bool = False) -> None:
        super().__init__(self._now, MOST_EVENTS)
        self.features = ("pre_vote",) if pre_vote else ()
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
            self.keep,
            lambda: core.state.now,
            table=self._table,
            repeat_fields=False,
            predecessor=before,
        )
        self._cores[server_id] = core
        attach(recorder, core)
        self._recorders[server_id] = recorder
        return recorder

    def failed(self, sentence: str) -> None:
        """See `RunTracing.end`; the property follows from the sentence."""
        named = (name for words, name in _PROPERTIES.items() if words in sentence)
        self.end(next(named, "what the scenario requires"), sentence)

    def names(self) -> dict[str, str]:
        """See `RunTracing.names`."""
        return {server_name(each): f"server {each - 1}" for each in sorted(self._recorders)}

    def _now(self) -> float:
        return max((core.state.now for core in self._cores.values()), default=0.0)
