"""The way to a state, in words: who does what, and which rules act."""

from collections.abc import Sequence

import msgspec

from oarlock.explore.events import Event, Fatal, describe
from oarlock.explore.space import Key, Space
from oarlock.explore.view import View
from oarlock.explore.violation import Broken
from oarlock.raft.state import Role
from oarlock.raft.types import ServerId


class Step(msgspec.Struct, frozen=True):
    """One step of the way."""

    server: ServerId
    what: str
    rules: list[str]
    """That acted, in order, each once."""
    after: str
    """How the server stands then; empty where the step breaks something before it is done."""


Way = list[tuple[ServerId, Event | Fatal]]
"""Who takes what, step by step."""


def retrace(space: Space, keys: Sequence[Key], broken: Broken) -> tuple[list[Step], Way]:
    """Walk from the first of some states to the last and take the step that breaks, under the names of the first.

    The states found are each under names of their own; here the names stay, and `broken` comes to tell of them.

    Returns:
        The way in words, and as events.
    """
    parts = list(space.unpack(keys[0]))
    steps: list[Step] = []
    way: Way = []
    for key in keys[1:]:
        for after in space.steps(parts):
            standing, under_way, history, move = after
            if space.canonical(standing, under_way, history) == key:
                view = space.servers.views[move.server]
                steps.append(_step(space, parts[view.id - 1], move.event, view))
                way.append((view.id, move.event))
                parts = space.parts(after)
                break
    # The step was found under the names of the last state; here it is the one that breaks in the same way.
    server_id, event = _last_step(space, parts, broken)
    if broken.comes_after is not None:
        number, before = broken.comes_after
        view = space.servers.views[number]
        steps.append(_step(space, parts[view.id - 1], before, view))
        way.append((view.id, before))
        parts[view.id - 1] = number
    steps.append(_step(space, parts[server_id - 1], event, None))
    return steps, [*way, (server_id, event)]


def _last_step(space: Space, parts: list[int], broken: Broken) -> tuple[ServerId, Event | Fatal]:
    move = None
    try:
        for standing, _under_way, history, move in space.steps(parts):  # noqa: B007 - needed where it breaks
            space.check(standing, history)
    except Broken as again:
        if again.event is None and move is not None:
            again.at(space.servers.states[move.server].id, move.event)
        broken.name, broken.sentence = again.name, again.sentence
        broken.server_id, broken.event, broken.comes_after = again.server_id, again.event, again.comes_after
    assert broken.server_id is not None  # noqa: S101 - what broke once breaks again
    assert broken.event is not None  # noqa: S101
    return broken.server_id, broken.event


def _step(space: Space, server: int, event: Event | Fatal, after: View | None) -> Step:
    rules = space.moves.rules(server, event)
    return Step(space.servers.states[server].id, describe(event), rules, stand(after) if after is not None else "")


def stand(view: View) -> str:
    """How a server stands, in words."""
    log = " ".join(f"{entry.index}@{entry.term}" for entry in view.entries) or "empty"
    role = {Role.PRE_CANDIDATE: "pre-candidate"}.get(view.role, view.role.value)
    vote = f", voted for {view.voted_for}" if view.voted_for is not None else ""
    return f"{role} of term {view.current_term}{vote}, log {log}, committed {view.commit_index}"
