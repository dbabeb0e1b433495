"""How the machine sees what a node was given: objects with methods, or one whole state machine."""

from collections.abc import Callable, Sequence
from typing import Any, Final

from oarlock.replica.codec import Value
from oarlock.replica.context import Context
from oarlock.replica.object import ReplicatedObject, commands_of, version_of
from oarlock.replica.statemachine import DiskStateMachine, StateMachine

MACHINE: Final = "machine"
"""The name of a whole state machine, among objects."""
APPLY: Final = "apply"


def known_versions(
    objects: Sequence[ReplicatedObject], machine: StateMachine | DiskStateMachine | None
) -> dict[str, int]:
    """Which versions a program knows of what its node is given, before there is a machine to ask."""
    known = {one.name: version_of(one) for one in objects}
    return known if machine is None else {**known, MACHINE: machine.version}


def check_given(objects: Any, machine: Any) -> None:  # noqa: ANN401 - which is to be seen
    """See that a node can replicate what it is given.

    Raises:
        TypeError: Something is no object, or no state machine.
        ValueError: There is nothing, or both; or two objects have one name.
    """
    if isinstance(objects, ReplicatedObject):
        raise TypeError(f"objects must be a list: [{objects!r}]")
    for one in objects:
        if not isinstance(one, ReplicatedObject):
            raise TypeError(f"objects must hold ReplicatedObjects, not {_shown(one)}")
    if machine is not None and not isinstance(machine, StateMachine | DiskStateMachine):
        raise TypeError(f"machine must be a StateMachine or DiskStateMachine, not {_shown(machine)}")
    if (machine is None) == (not objects):
        raise ValueError("a node needs either objects or a machine to replicate")
    names = sorted(one.name for one in objects)
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"two objects have one name: {', '.join(twice)}")


def _shown(given: object) -> str:
    """What was given in place of an instance, and what to do about a class."""
    return f"{given!r}; make one: {given.__name__}(...)" if isinstance(given, type) else repr(given)


class HostedObject:
    """An object."""

    def __init__(self, target: ReplicatedObject) -> None:
        self.target = target
        self.name = target.name
        self.known_version = version_of(target)
        self.commands = commands_of(target)
        self.snapshot = target.snapshot
        self.restore = target.restore

    def runner(self, method: str, version: int) -> Callable[..., Any] | None:
        """See `Hosted.runner`."""
        command = self.commands.get(method)
        body = command.body(version) if command is not None else None
        return body.__get__(self.target) if body is not None else None


class HostedMachine:
    """A whole state machine."""

    def __init__(
        self,
        version: int,
        apply: Callable[[Value, Context], Any],
        snapshot: Callable[[], object],
        restore: Callable[[Value], None],
        context: Callable[[], Context | None],
    ) -> None:
        self.name = MACHINE
        self.known_version = version
        self.snapshot = snapshot
        self.restore = restore
        self._user_apply = apply
        self._context = context

    def runner(self, method: str, version: int) -> Callable[..., Any] | None:
        """See `Hosted.runner`."""
        return self._apply if method == APPLY and version <= self.known_version else None

    def _apply(self, command: Value) -> Any:  # noqa: ANN401
        context = self._context()
        assert context is not None  # noqa: S101 - the machine sets it
        return self._user_apply(command, context)
