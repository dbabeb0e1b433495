"""One run from its schedule to its verdict."""

import contextlib
import gc
import logging
import random
import time
from collections.abc import Collection, Iterator
from typing import Final

import msgspec

from oarlock.check.verdict import Verdict, Violation
from oarlock.raft.types import Configuration
from oarlock.sim import inside
from oarlock.sim.clients import OK, PENDING
from oarlock.sim.cluster import Simulation
from oarlock.sim.containment import NotOwed
from oarlock.sim.generate import generate
from oarlock.sim.observer import PropertyBroken
from oarlock.sim.process import Server
from oarlock.sim.recording import header_of
from oarlock.sim.safety import compare, settle_safely
from oarlock.sim.schedule import ClientOperation, Schedule
from oarlock.sim.scheduler import Endless
from oarlock.sim.verdict import Judgement, judge
from oarlock.trace.loaded import Trace as RecordedTrace
from oarlock.trace.schema import Event, Sink

ELECTIONS_AFTER_HEALING: Final = 10
"""Within so many election timeouts there must be a leader."""
_CATCH_UP_S: Final = 60.0
_PROMPT_S: Final = 5.0
"""More than any pause between attempts to connect, or to send again."""
_SETTLED_CLIENT: Final = 1000


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What a run showed."""

    seed: int
    ok: bool
    violations: list[Violation]
    trace_hash: str
    """Of every event, its time, and every state: equal for equal runs."""
    servers: int
    faults: int
    operations: int
    answered: int
    elections: int
    committed: int
    lives: int
    """Processes that were started."""
    snapshots_installed: int
    strikes: dict[str, int]
    """How often each fault did something."""
    rules: dict[str, int]
    """How often each rule of the core acted."""
    simulated_s: float
    events: int
    """Deliveries of the scheduler: iterations, timers, arrivals, ends of blocking work, faults."""
    callbacks: int
    """Callbacks called by the loops, of servers and of clients with connections."""
    observations: int
    """States held against the invariants."""
    wall_s: float
    wgl_verdict: Verdict
    """Of the search that knows nothing of the log; unknown where it was too long, or the run ended before."""

    @property
    def events_per_s(self) -> float:
        """Deliveries and callbacks for one second of wall time."""
        return (self.events + self.callbacks) / self.wall_s if self.wall_s else 0.0

    @property
    def speed(self) -> float:
        """Simulated seconds for one second of wall time."""
        return self.simulated_s / self.wall_s if self.wall_s else 0.0


def run_seed(seed: int) -> Report:
    """Make the schedule of a seed, and run it."""
    return run_schedule(generate(seed))


def record_schedule(schedule: Schedule) -> tuple[Report, RecordedTrace]:
    """Run a schedule, and have all of it as a trace in memory."""
    events: list[Event] = []

    def keep(event: Event) -> bool:
        events.append(event)
        return True

    report = run_schedule(schedule, sink=keep)
    return report, RecordedTrace(header_of(schedule), events)


def run_schedule(schedule: Schedule, *, sink: Sink | None = None) -> Report:
    """Run a schedule to its verdict.

    Args:
        schedule: What is to happen.
        sink: Takes the run's events, as `raft-trace/1`; `header_of` gives what comes before them.
    """
    with _undisturbed():
        began = time.perf_counter()
        simulation = Simulation(schedule, sink=sink)
        try:
            judgement = _judgement(simulation)
            if simulation.recording is not None:
                simulation.recording.finished(simulation.clients.requests, judgement.violations)
            return _report(simulation, judgement, began)
        finally:
            simulation.close()


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Without the collector, which comes when it will, and without the log, which costs time and is never read."""
    logger = logging.getLogger("oarlock")
    level, enabled = logger.level, gc.isenabled()
    if not logger.isEnabledFor(logging.DEBUG):
        logger.setLevel(logging.CRITICAL + 1)
    gc.disable()
    try:
        yield
    finally:
        logger.setLevel(level)
        if enabled:
            gc.enable()


def _judgement(simulation: Simulation) -> Judgement:
    try:
        simulation.begin()
        simulation.scheduler.run_until(simulation.schedule.settings.duration_s)
        if simulation.schedule.settings.mode == "safe":
            settle_safely(simulation)
        else:
            _settle(simulation)
        observer = simulation.observer
        return judge(simulation.clients.requests, observer.applied, observer.committed_at, observer.refused)
    except NotOwed:
        simulation.strikes.hit("contained.not_owed")
        judgement = Judgement()
        judgement.wgl_verdict = Verdict.UNKNOWN
        return judgement
    except PropertyBroken as broken:
        return _cut_short(broken.violation)
    except Endless as endless:
        return _cut_short(Violation("no busy loop", str(endless)))


def _cut_short(violation: Violation) -> Judgement:
    judgement = Judgement()
    judgement.violations.append(violation)
    judgement.wgl_verdict = Verdict.UNKNOWN
    return judgement


def _settle(simulation: Simulation) -> None:
    """Heal, and hold the cluster to what it then owes.

    Raises:
        PropertyBroken: No leader in time, a request without an answer, a server that stays behind or differs.
    """
    settings = simulation.schedule.settings
    scheduler = simulation.scheduler
    simulation.heal()
    simulation.clients.drop_unsent()
    simulation.clients.give_up_lost()
    _finish_changes(simulation)
    core = _core(simulation)
    limit_s = ELECTIONS_AFTER_HEALING * settings.election_timeout_ms / 1000
    if not scheduler.run_until(scheduler.now + limit_s, lambda: _leader_of(simulation, core) is not None):
        states = ", ".join(_describe(simulation.servers[each]) for each in simulation.ids)
        raise _broken("leader after healing", f"no leader {limit_s:g} s after healing of {core}: {states}")
    members = _configuration(simulation, core)
    core = [server_id for server_id in core if server_id in members.members]
    if not scheduler.run_until(scheduler.now + _CATCH_UP_S, lambda: _are_up(simulation, core)):
        states = ", ".join(_describe(simulation.servers[each]) for each in simulation.ids)
        raise _broken("everybody is up after healing", f"{_CATCH_UP_S:g} s after it: {states}")
    core = [server_id for server_id in core if server_id not in simulation.lost]
    _answer_waiting(simulation, core)
    _serve_all(simulation, core, members.learners)
    if not scheduler.run_until(scheduler.now + _CATCH_UP_S, lambda: _have_caught_up(simulation, core)):
        states = ", ".join(_describe(simulation.servers[server_id]) for server_id in core)
        raise _broken("laggards catch up", f"{_CATCH_UP_S:g} s after the last request: {states}")
    _compare(simulation, core)
    compare(simulation, simulation.ids)  # whoever else is there, too


def _finish_changes(simulation: Simulation) -> None:
    """Where members are being changed, let that come to an end, with every member there: who the core is follows."""
    if not simulation.has_changed_members:
        return
    scheduler = simulation.scheduler
    if simulation.are_members_settled():
        return
    simulation.strikes.hit("members.changing_at_heal")
    if not scheduler.run_until(scheduler.now + _CATCH_UP_S, simulation.are_members_settled):
        states = ", ".join(_describe(simulation.servers[each]) for each in simulation.ids)
        raise _broken("changes of members end", f"{simulation.operator.under_way} tasks go on: {states}")


def _answer_waiting(simulation: Simulation, core: list[int]) -> None:
    """Whoever asked before the healing is served by today's leader, long before its own time is up (G27)."""
    scheduler = simulation.scheduler
    waiting = [
        request for request in simulation.clients.requests if request.outcome == PENDING and request.server_id in core
    ]
    limit_s = ELECTIONS_AFTER_HEALING * simulation.schedule.settings.election_timeout_ms / 1000 + _PROMPT_S
    if not scheduler.run_until(scheduler.now + limit_s, lambda: all(request.outcome != PENDING for request in waiting)):
        asked = ", ".join(
            f"{each.operation.kind} at server {each.server_id}" for each in waiting if each.outcome == PENDING
        )
        raise _broken("requests are answered promptly", f"{limit_s:g} s after healing without an answer: {asked}")


def _serve_all(simulation: Simulation, core: list[int], learners: Collection[int]) -> None:
    """Every request has an end, and every server writes and reads: a laggard perhaps only when it has caught up.

    A learner answers only what its own state tells.
    """
    scheduler, clients = simulation.scheduler, simulation.clients
    deadline = scheduler.now + 3 * simulation.schedule.settings.proposal_timeout_ms / 1000 + _CATCH_UP_S
    wanted = [
        (server_id, kind)
        for server_id in core
        for kind in (("serializable",) if server_id in learners else ("put", "get"))
    ]
    while wanted:
        asked = [
            clients.ask(
                ClientOperation(
                    at=scheduler.now,
                    client=_SETTLED_CLIENT + simulation.servers[server_id].number,
                    server=simulation.servers[server_id].number,
                    kind=kind,
                    key="k1",
                    value=f"settled{len(clients.requests)}",
                )
            )
            for server_id, kind in wanted
        ]
        if not scheduler.run_until(deadline, lambda: not clients.pending):
            raise _broken("every request is answered", f"{clients.pending} requests have no end")
        wanted = [(each.server_id, each.operation.kind) for each in asked if each.outcome != OK]
        if wanted and scheduler.now >= deadline:
            raise _broken("serves after healing", f"{wanted} ended with {asked[-1].outcome}: {asked[-1].error}")


def _core(simulation: Simulation) -> list[int]:
    """Who must serve after healing: everybody not lost, or a majority drawn from the seed while the rest is off.

    It is a majority of every configuration that may be in force.
    """
    able = [
        server_id
        for server_id in simulation.ids
        if server_id not in simulation.lost
        and server_id not in simulation.dismissed
        and simulation.servers[server_id].is_disk_intact
    ]
    if simulation.schedule.settings.heal == "all":
        return able
    rng = random.Random(f"oarlock/core/{simulation.schedule.seed}")  # noqa: S311
    core = list(able)
    for server_id in rng.sample(able, len(able)):
        rest = [each for each in core if each != server_id]
        if simulation.atlas.is_core(rest):
            core = rest
            simulation.servers[server_id].kill(power=True)
            simulation.lost[server_id] = "left out of the healing"
    return core


def _configuration(simulation: Simulation, core: list[int]) -> Configuration:
    """The members by the leader's configuration, which nobody changes any more."""
    leader = _leader_of(simulation, core)
    assert leader is not None  # noqa: S101 - awaited before
    assert leader.process is not None  # noqa: S101 - it leads
    return leader.process.node.configuration


def _leader_of(simulation: Simulation, core: list[int]) -> Server | None:
    """A leader that has committed in its term: of the core, or one that serves in spite of its damage.

    None where a member of the core knows of a newer term: who leads the older one may not know who the members are.
    """
    leader = simulation.leader()
    if leader is None or leader.process is None or (leader.server_id not in core and leader.is_disk_intact):
        return None
    state = inside.raft_state(leader.process.node)
    if state is None or state.log.term(state.commit_index) != state.current_term:
        return None
    processes = [simulation.servers[each].process for each in core if each in state.configuration.members]
    terms = [process.node.term for process in processes if process is not None and process.is_started]
    return leader if state.current_term >= max(terms, default=0) else None


def _are_up(simulation: Simulation, core: list[int]) -> bool:
    """Whether every server runs, and has found that its disk has room again."""
    for server_id in core:
        process = simulation.servers[server_id].process
        if server_id not in simulation.lost and (
            process is None or not process.is_started or process.is_stopping or process.node.disk_is_full
        ):
            return False
    return True


def _have_caught_up(simulation: Simulation, core: list[int]) -> bool:
    leader = simulation.leader()
    if leader is None or leader.process is None:
        return False
    state = inside.raft_state(leader.process.node)
    goal = state.commit_index if state is not None else 0
    for server_id in core:
        if server_id in simulation.lost:
            continue
        process = simulation.servers[server_id].process
        if process is None or not process.is_started or inside.applied_index(process.node) < goal:
            return False
    return True


def _compare(simulation: Simulation, core: list[int]) -> None:
    """HashKV of every server that is there."""
    hashes = {}
    for server_id in core:
        process = simulation.servers[server_id].process
        if process is not None and process.is_started:
            found = process.machine.store.hash_kv()
            hashes[server_id] = (found.hash, found.current_revision, found.compact_revision)
    if len(set(hashes.values())) > 1:
        raise _broken("equal hashes", f"HashKV, revision and compact revision differ: {hashes}")


def _describe(server: Server) -> str:
    process = server.process
    state = inside.raft_state(process.node) if process is not None else None
    if process is None or state is None:
        return f"server {server.server_id} is down ({server.refusal!r})"
    return (
        f"server {server.server_id} {state.role.value} of term {state.current_term}, leader {state.leader_id}, "
        f"last {state.log.last_index}, committed {state.commit_index}, applied {inside.applied_index(process.node)}"
    )


def _broken(name: str, sentence: str) -> PropertyBroken:
    return PropertyBroken(Violation(name, sentence))


def _report(simulation: Simulation, judgement: Judgement, began: float) -> Report:
    requests = simulation.clients.requests
    return Report(
        seed=simulation.schedule.seed,
        ok=not judgement.violations,
        violations=judgement.violations,
        trace_hash=simulation.trace.hexdigest(),
        servers=simulation.schedule.settings.servers,
        faults=len(simulation.schedule.faults),
        operations=len(requests),
        answered=sum(request.outcome == "ok" for request in requests),
        elections=simulation.observer.elections,
        committed=simulation.observer.monitor.committed_index,
        lives=sum(server.incarnation for server in simulation.servers.values()),
        snapshots_installed=sum(
            process.node.counters.snapshots_received
            for server in simulation.servers.values()
            for process in (*server.graveyard, *([server.process] if server.process is not None else []))
        ),
        strikes=simulation.strikes.as_dict(),
        rules=dict(sorted(simulation.rules.items())),
        simulated_s=simulation.scheduler.now,
        events=simulation.scheduler.events,
        callbacks=simulation.callbacks + sum(each.callbacks for each in simulation.clients.machines.values()),
        observations=simulation.observer.monitor.events,
        wall_s=time.perf_counter() - began,
        wgl_verdict=judgement.wgl_verdict,
    )
