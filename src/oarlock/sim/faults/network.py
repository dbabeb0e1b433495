"""Faults of the network: partitions, links, connections, and single frames."""

import math
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

from oarlock.raft.types import ServerId
from oarlock.sim.faults.kind import Draw, Drawn, Kind, Strike, anyone
from oarlock.sim.frames import FrameFaults
from oarlock.sim.network import Link
from oarlock.sim.schedule import Fault

if TYPE_CHECKING:
    from oarlock.sim.cluster import Simulation

T = TypeVar("T")

_TAGS: Final = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 64, 65, 66, 67, 68)
"""Kinds of messages that may be lost on purpose."""


def _cut(simulation: "Simulation", fault: Fault, pairs: Iterable[tuple[ServerId, ServerId]]) -> None:
    """Let nothing pass between pairs, one way each, for the fault's time."""
    links = simulation.network.links_of((simulation.host(a), simulation.host(b)) for a, b in pairs)
    _block(simulation, links, fault.seconds)
    if links:
        simulation.strikes.hit(f"partition.{fault.kind}")


def _block(simulation: "Simulation", links: list[Link], seconds: float) -> None:
    for link in links:
        link.block()

    def end() -> None:
        for link in links:
            link.unblock()

    simulation.undo_after(seconds, end)


def _across(one: Iterable[ServerId], other: Iterable[ServerId]) -> list[tuple[ServerId, ServerId]]:
    others = list(other)
    return [pair for a in one for b in others if a != b for pair in ((a, b), (b, a))]


def _isolate(simulation: "Simulation", fault: Fault, servers: list[ServerId]) -> None:
    _cut(simulation, fault, _across(servers, [other for other in simulation.ids if other not in servers]))


def _split3(simulation: "Simulation", fault: Fault, servers: list[ServerId]) -> None:
    """Three parts: the first server named, the second, and all others."""
    rest = [other for other in simulation.ids if other not in servers]
    parts = [servers[:1], servers[1:], rest]
    pairs = [pair for at, part in enumerate(parts) for other in parts[at + 1 :] for pair in _across(part, other)]
    _cut(simulation, fault, pairs)


def _one_way(simulation: "Simulation", fault: Fault, servers: list[ServerId]) -> None:
    """The first server named is heard by nobody; it hears all."""
    _cut(simulation, fault, [(servers[0], other) for other in simulation.ids if other != servers[0]])


def _deaf(simulation: "Simulation", fault: Fault, servers: list[ServerId]) -> None:
    """The first server named hears nobody; all hear it."""
    _cut(simulation, fault, [(other, servers[0]) for other in simulation.ids if other != servers[0]])


def _bridge(simulation: "Simulation", fault: Fault, servers: list[ServerId]) -> None:
    """Two halves that only the first server named can talk to."""
    rest = [other for other in simulation.ids if other != servers[0]]
    half = len(rest) // 2
    _cut(simulation, fault, _across(rest[:half], rest[half:]))


def _ring(simulation: "Simulation", fault: Fault, _servers: list[ServerId]) -> None:
    """Each server reaches only its neighbours: every one sees a majority, no two the same (of five)."""
    ids = simulation.ids
    count = len(ids)
    near = {1, count - 1}
    pairs = [(a, b) for at, a in enumerate(ids) for to, b in enumerate(ids) if a != b and (at - to) % count not in near]
    _cut(simulation, fault, pairs)


def _client_cut(simulation: "Simulation", fault: Fault, servers: list[ServerId]) -> None:
    hosts = [simulation.host(server) for server in servers]
    clients = [f"client{client}" for client in range(1, simulation.schedule.settings.clients + 1)]
    pairs = [pair for host in hosts for client in clients for pair in ((client, host), (host, client))]
    _block(simulation, simulation.network.links_of(pairs), fault.seconds)
    simulation.strikes.hit("partition.client")


def links_between(simulation: "Simulation", servers: list[ServerId]) -> list[Link]:
    """One server: all its links; two: the one from the first to the second; none: all links."""
    ids = simulation.ids
    if len(servers) == 2 and servers[0] != servers[1]:
        pairs = [(servers[0], servers[1])]
    elif servers:
        pairs = _across(servers[:1], ids)
    else:
        pairs = [(a, b) for a in ids for b in ids]
    return simulation.network.links_of((simulation.host(a), simulation.host(b)) for a, b in pairs)


def _clog(simulation: "Simulation", fault: Fault, servers: list[ServerId]) -> None:
    links = links_between(simulation, servers)
    for number, link in enumerate(links):
        # Swizzled: one after the other, so that they also open one after the other.
        link.clog(fault.seconds * (number + 1) / len(links))
        simulation.strikes.hit("link.clog")


def _slow(simulation: "Simulation", fault: Fault, servers: list[ServerId]) -> None:
    slow_down(simulation, links_between(simulation, servers), fault)


def _narrow(simulation: "Simulation", fault: Fault, servers: list[ServerId]) -> None:
    narrowings = [link.narrowings for link in links_between(simulation, servers)]
    hold(simulation, narrowings, fault.value, fault.seconds)


def _reset(simulation: "Simulation", fault: Fault, servers: list[ServerId]) -> None:
    for server in simulation.ids:
        if server != servers[0]:
            simulation.network.reset(
                simulation.host(servers[0]), simulation.host(server), midframe=fault.kind == "reset_midframe"
            )


def _half_open(simulation: "Simulation", _fault: Fault, servers: list[ServerId]) -> None:
    for server in simulation.ids:
        if server != servers[0]:
            simulation.network.half_open(simulation.host(servers[0]), simulation.host(server))


def _frames(simulation: "Simulation", fault: Fault, servers: list[ServerId]) -> None:
    """Faults of frames: the second word of the kind says which, the value how likely."""
    faults = msgspec.structs.replace(FrameFaults(), **{fault.kind.removeprefix("frame_"): fault.value})
    filter_frames(simulation, faults, links_between(simulation, servers), fault.seconds)


def _drop_kind(simulation: "Simulation", fault: Fault, servers: list[ServerId]) -> None:
    """Lose every message of one kind: the fault's value is its tag."""
    faults = FrameFaults(drop=1.0, kinds=(int(fault.value),))
    filter_frames(simulation, faults, links_between(simulation, servers), fault.seconds)


def filter_frames(simulation: "Simulation", faults: FrameFaults, links: list[Link], seconds: float) -> None:
    """Have these faults on links for a while."""
    hold(simulation, [link.filter.active for link in links], faults, seconds)


def slow_down(simulation: "Simulation", links: list[Link], fault: Fault) -> None:
    """Have links be slower, by as much as the fault's value says, for its time."""
    for link in links:
        link.slowness *= fault.value

    def end() -> None:
        for link in links:
            link.slowness /= fault.value

    simulation.undo_after(fault.seconds, end)


def hold(simulation: "Simulation", lists: list[list[T]], item: T, seconds: float) -> None:
    """Have something in lists for a while, beside whatever others put there."""
    for each in lists:
        each.append(item)

    def end() -> None:
        for each in lists:
            each.remove(item)

    simulation.undo_after(seconds, end)


def _minority(draw: Draw) -> Drawn:
    return draw.some((draw.servers - 1) // 2), 0.0


_CHANCE: Final = (0.0, 1.0)


def _of_links(strike: Strike, value: Callable[[Draw], float], values: tuple[float, float] = (0.0, math.inf)) -> Kind:
    """A fault of one link, of all links of a server, or of all there are, as it names two servers, one or none."""
    return Kind(strike, lambda draw: (draw.link(), value(draw)), needs_several=True, least_servers=0, values=values)


KINDS: Final[dict[str, Kind]] = {
    "isolate": Kind(_isolate, anyone, needs_several=True),
    "split": Kind(_isolate, _minority, needs_several=True, least_servers=0),
    "split3": Kind(_split3, lambda draw: (draw.some(draw.servers - 1), 0.0), needs_several=True),
    "one_way": Kind(_one_way, anyone, needs_several=True),
    "deaf": Kind(_deaf, anyone, needs_several=True),
    "bridge": Kind(_bridge, anyone, needs_several=True),
    "ring": Kind(_ring, lambda draw: (draw.some(1), 0.0), most=2, needs_several=True, least_servers=0),
    "client_cut": Kind(_client_cut, lambda draw: (draw.some(draw.servers), 0.0), least_servers=0),
    "clog": _of_links(_clog, lambda _draw: 0.0),
    "slow": _of_links(_slow, lambda draw: draw.rng.choice((3.0, 20.0, 100.0)), (0.001, 1e6)),
    "narrow": _of_links(_narrow, lambda draw: draw.rng.choice((5_000.0, 50_000.0)), (1.0, 1e12)),
    "reset": Kind(_reset, anyone, needs_several=True),
    "reset_midframe": Kind(_reset, anyone, needs_several=True),
    "half_open": Kind(_half_open, anyone, needs_several=True),
    "frame_drop": _of_links(_frames, lambda draw: draw.rng.choice((0.02, 0.1, 0.5)), _CHANCE),
    "frame_duplicate": _of_links(_frames, lambda draw: draw.rng.choice((0.05, 0.3)), _CHANCE),
    "frame_replay": _of_links(_frames, lambda draw: draw.rng.choice((0.02, 0.2)), _CHANCE),
    "frame_reorder": _of_links(_frames, lambda draw: draw.rng.choice((0.1, 0.5)), _CHANCE),
    "frame_corrupt": _of_links(_frames, lambda draw: draw.rng.choice((0.002, 0.02)), _CHANCE),
    "frame_truncate": _of_links(_frames, lambda draw: draw.rng.choice((0.002, 0.02)), _CHANCE),
    "drop_kind": _of_links(_drop_kind, lambda draw: float(draw.rng.choice(_TAGS)), (0.0, 255.0)),
}
