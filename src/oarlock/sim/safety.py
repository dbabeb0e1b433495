"""What a run owes whose damage knows no bounds: nobody has to serve, but whoever does has lost nothing.

So clients ask once more at the end, wherever somebody listens; their answers are judged with all the others.
"""

from typing import Final

from oarlock.check.verdict import Violation
from oarlock.mvcc.errors import CorruptStoreError
from oarlock.raft.types import Index, ServerId
from oarlock.sim import inside
from oarlock.sim.cluster import Simulation
from oarlock.sim.observer import PropertyBroken
from oarlock.sim.schedule import ClientOperation

_ELECTIONS: Final = 5
"""For how many election timeouts a leader is waited for."""
_LAST_CLIENT: Final = 2000


def settle_safely(simulation: Simulation) -> None:
    """Heal, and ask whoever serves.

    Raises:
        PropertyBroken: Servers that stand at one index differ.
    """
    scheduler, clients = simulation.scheduler, simulation.clients
    simulation.heal()
    clients.drop_unsent()
    settings = simulation.schedule.settings
    limit_s = _ELECTIONS * settings.election_timeout_ms / 1000
    if scheduler.run_until(scheduler.now + limit_s, lambda: simulation.leader() is not None):
        simulation.strikes.hit("safe.served")
        for server_id in simulation.ids:
            if simulation.servers[server_id].is_up:
                for kind in ("put", "get"):
                    clients.ask(_last(scheduler.now, simulation.servers[server_id].number, kind))
    else:
        simulation.strikes.hit("safe.refused")
    limit_s = 3 * (settings.proposal_timeout_ms / 1000 + 1.0)
    scheduler.run_until(scheduler.now + limit_s, lambda: not clients.pending)
    compare(simulation, simulation.ids)


def _last(now: float, number: int, kind: str) -> ClientOperation:
    return ClientOperation(
        at=now, client=_LAST_CLIENT + number, server=number, kind=kind, key="k1", value=f"last{number}"
    )


def compare(simulation: Simulation, servers: list[ServerId]) -> None:
    """HashKV, revision and compaction of every server that is up, as far as they stand at one index.

    Raises:
        PropertyBroken: They differ.
    """
    hashes: dict[Index, dict[ServerId, tuple[int, int, int]]] = {}
    for server_id in servers:
        process = simulation.servers[server_id].process
        if process is not None and process.is_started:
            try:
                found = process.machine.store.hash_kv()
            except CorruptStoreError:
                simulation.strikes.hit("safe.hash_refused")
                continue
            group = hashes.setdefault(inside.applied_index(process.node), {})
            group[server_id] = (found.hash, found.current_revision, found.compact_revision)
    for index, group in hashes.items():
        if len(set(group.values())) > 1:
            sentence = f"at index {index} HashKV, revision and compact revision differ: {group}"
            raise PropertyBroken(Violation("equal hashes", sentence))
