"""Exploration without anything clever: no numbers, no symmetry, no tidying. What the real one is held to."""

from collections.abc import Iterator

import msgspec

from oarlock.explore.bounds import Bounds
from oarlock.explore.events import Crash, Deliver, Event, Fatal, Heartbeat, News, Propose, TimeOut, describe
from oarlock.explore.packets import Packet
from oarlock.explore.server import Outcome, ServerState, Stepper
from oarlock.explore.space import Space
from oarlock.raft.state import Tracer

Servers = tuple[ServerState, ...]
State = tuple[Servers, frozenset[Packet], int, int]
"""The servers, what was ever sent, and how many commands were proposed and how many crashes there were."""


class _Remembering(Stepper):
    """Gives an event to a server once."""

    def __init__(self, bounds: Bounds) -> None:
        super().__init__(bounds)
        self._known: dict[tuple[ServerState, str, Event | Fatal], Outcome | None] = {}

    def step(self, server: ServerState, event: Event | Fatal, tracer: Tracer | None = None) -> Outcome | None:
        key = (server, describe(event), event)  # events without parts are equal tuples
        if key not in self._known:
            self._known[key] = super().step(server, event, tracer)
        return self._known[key]


def plain_states(bounds: Bounds, *, anew: bool = False) -> set[State]:
    """Every state.

    Args:
        bounds: What may happen.
        anew: Whether a core is given every event in every state anew, which takes long.
    """
    stepper = Stepper(bounds) if anew else _Remembering(bounds)
    first: State = (tuple(stepper.first(server_id) for server_id in bounds.ids), frozenset(), 0, 0)
    seen, waiting = {first}, [first]
    while waiting:
        for state in _after(bounds, stepper, waiting.pop()):
            if state not in seen:
                seen.add(state)
                waiting.append(state)
    return seen


def _after(bounds: Bounds, stepper: Stepper, state: State) -> Iterator[State]:
    servers, packets, proposed, crashed = state
    for place, server in enumerate(servers):
        may_crash = crashed < bounds.crashes and bounds.may_crash(server.id)
        events: list[Event] = [Deliver(each.message) for each in packets if each.to == server.id]
        events += [TimeOut(), *([Heartbeat(), News()] if bounds.heartbeats else [])]
        if proposed < bounds.entries and bounds.may_propose(proposed + 1, stepper.thaw(server).state.current_term):
            events.append(Propose(b"c%d" % (proposed + 1)))
        for event in events:
            outcome = stepper.step(server, event)
            if outcome is None:
                continue
            spent = isinstance(event, Propose)
            yield _with(state, place, outcome, proposed + spent, crashed)
            write = 0
            while may_crash and (died := stepper.step(server, Fatal(event, write))):
                yield _with(state, place, died, proposed + spent, crashed + 1)
                write += 1
        if may_crash and (outcome := stepper.step(server, Crash())) is not None:
            yield _with(state, place, outcome, proposed, crashed + 1)


def _with(state: State, place: int, outcome: Outcome, proposed: int, crashed: int) -> State:
    servers, packets, _, _ = state
    known = {_renumbered(packet, servers[place].id, outcome) for packet in packets}
    known |= {Packet(*send) for send in outcome.sends}
    return (*servers[:place], outcome.server, *servers[place + 1 :]), frozenset(known), proposed, crashed


def _renumbered(packet: Packet, stepped: int, outcome: Outcome) -> Packet:
    """Ids of requests are those that the server compares alike, else no state would ever come again."""
    if outcome.frame is None or packet.owner != stepped:
        return packet
    message = packet.message
    id_ = outcome.frame.normal(message, message.source if packet.is_reply else packet.to)
    return packet._replace(message=msgspec.structs.replace(message, request_id=id_))


def all_states(space: Space) -> set[tuple[int, ...]]:
    """Every state that the real exploration stands for: all that differ from one it counts only in names."""
    return {tuple(space.renamed(parts, each)) for parts in classes(space) for each in range(len(space.renamings))}


def classes(space: Space) -> set[tuple[int, ...]]:
    """Every state that the real exploration counts."""
    first = space.first()
    seen, waiting = {first}, [first]
    while waiting:
        for standing, under_way, history, _move in space.steps(space.unpack(waiting.pop())):
            key = space.canonical(standing, under_way, history)
            if key not in seen:
                seen.add(key)
                waiting.append(key)
    return {space.unpack(key) for key in seen}
