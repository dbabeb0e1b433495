"""What is owed when one server's disk forgets, and how long the others are exposed to that.

Raft assumes that a server never forgets its votes and acknowledgements. If one does, an election in which its word
counts may go to somebody who lacks what was committed with its word. Not so once all that it can have promised is
superseded: once a majority *without it* has on disk an entry of a term that is no lower than any it knew, and
everything up to where its own log went. For every later majority has one of these servers in it, which votes neither
for a log without these entries nor in any of those terms again. From then on everything is owed, whatever else happens.

Until then it is owed as long as whoever leads goes on leading: without an election nobody asks the server for what it
has forgotten, and its leader notices what it denies, and sends it anew (DL-1). An election before that ends the run
undecided. So such runs have no other faults; in others the server is held back until it is superseded, as an operator
should hold it.
"""

from typing import TYPE_CHECKING, Final, Literal

from oarlock.raft.quorum import VoteResult, vote_result
from oarlock.raft.state import RaftState
from oarlock.raft.types import Index, ServerId, Term
from oarlock.sim import inside

if TYPE_CHECKING:
    from oarlock.sim.cluster import Simulation
    from oarlock.sim.durable import DurableLog
    from oarlock.sim.process import Server

_LOOK_EVERY_S: Final = 0.02

Waits = Literal["superseded", "led", "not"]


class NotOwed(Exception):
    """There was an election while a server's word stood for a disk that had forgotten: nothing is owed any more."""


class Exposure:
    """One server that has forgotten something, or is about to.

    Args:
        simulation: The cluster.
        server: Which. Its process, if it has one, is about to end, or goes on beside another that forgets.
        waits: Until when it stays down then: until all is superseded, until another server leads, or not at all.
    """

    def __init__(self, simulation: "Simulation", server: "Server", waits: Waits) -> None:
        self._simulation = simulation
        self._server = server
        self._term: Term = 0
        self._index: Index = 0
        self._waits: Waits = waits
        self._is_over = False
        self.may_end = True
        """False while it may forget still more."""
        self.widen(server.durable)
        server.is_disk_intact = False
        server.is_held_back = waits != "not"
        simulation.exposures.append(self)
        simulation.scheduler.after(_LOOK_EVERY_S, self._look)

    @property
    def is_open(self) -> bool:
        """Whether an election would be a danger now."""
        return not self._server.is_held_back and not self._is_over

    def widen(self, durable: "DurableLog") -> None:
        """What was promised in the server's name may be forgotten now."""
        self._term = max(self._term, durable.hard_state.current_term)
        self._index = max(self._index, durable.last_index)

    def _look(self) -> None:
        if self.may_end:
            is_superseded = self._is_superseded()
            if self._server.is_held_back and (is_superseded or (self._waits == "led" and self._is_led())):
                self._server.is_held_back = False
                self._simulation.restart_after(self._server.server_id, 0.0)
            if is_superseded:
                self._is_over = True
                self._simulation.strikes.hit("contained.superseded")
                return
        self._simulation.scheduler.after(_LOOK_EVERY_S, self._look)

    def _leading_state(self) -> RaftState | None:
        """Of the server that leads now, if it is another, and has appended to its log as leader."""
        leader = self._simulation.leader()
        if leader is None or leader is self._server or leader.process is None:
            return None
        state = inside.raft_state(leader.process.node)
        return state if state is not None and state.log.last_term == state.current_term else None

    def _is_led(self) -> bool:
        """Whether another server leads, in a term that the server is not ahead of, and has committed in it."""
        state = self._leading_state()
        return (
            state is not None
            and state.current_term >= self._term
            and state.log.term(state.commit_index) == state.current_term
        )

    def _is_superseded(self) -> bool:
        state = self._leading_state()
        if state is None or state.current_term < self._term:
            return False
        log = state.log
        # What is beyond the leader's log was never committed, and the leader counts on nobody for it.
        goal = max(log.first_index_of_term_at(log.last_index), min(self._index, log.last_index))
        held: dict[ServerId, bool] = {
            server_id: server is not self._server
            and server.is_disk_intact
            and not server.has_anothers_disk
            and server.durable.common_index(log) >= goal
            for server_id, server in self._simulation.servers.items()
        }
        return vote_result(state.configuration, held) is VoteResult.WON
