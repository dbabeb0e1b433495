"""Objects whose methods are commands: called anywhere, carried out everywhere in the same order."""

import asyncio
import inspect
import random
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Concatenate, Literal, ParamSpec, Protocol, Self, TypeVar, overload

from oarlock.replica.codec import Value
from oarlock.replica.context import Context

if TYPE_CHECKING:
    from oarlock.replica.node import Node

P = ParamSpec("P")
Q = ParamSpec("Q")
S = TypeVar("S", bound="ReplicatedObject")
S_contra = TypeVar("S_contra", bound="ReplicatedObject", contravariant=True)
R = TypeVar("R")

Consistency = Literal["linearizable", "lease", "stale"]


class Host(Protocol):
    """What carries out the commands of objects: a node, or something in a test."""

    @property
    def context(self) -> Context | None:
        """Of the command that is being applied just now, if any."""

    def version_of(self, name: str) -> int:
        """The version of an object's commands that counts within the command that is being applied."""

    def call(
        self, target: "ReplicatedObject", command: "Command", args: tuple[Value, ...], kwargs: Mapping[str, Value]
    ) -> asyncio.Future[Any]:
        """Propose a command."""

    async def read(
        self,
        function: Callable[[], Value],
        consistency: Consistency,
        max_staleness_ms: float | None,
        timeout_s: float | None,
    ) -> Value:
        """Call a function when this server's state is as new as asked."""


class Command:
    """A method that is carried out on every server, in all its versions."""

    def __init__(self, body: Callable[..., Any], version: int) -> None:
        if not inspect.isfunction(body):
            raise TypeError(f"@replicated is for plain methods, below any other decorator; not for {body!r}")
        self.name = body.__name__
        self.bodies: dict[int, Callable[..., Any]] = {}
        self._arities: dict[int, tuple[int, int]] = {}
        self.first_version = version
        """The first version of the object in which there is this method."""
        self._fitting: dict[int, tuple[int, int]] = {}
        """The arities by version of the object in force, as far as they were asked for: each call asks."""
        self.add_version(body, version)
        self.__doc__ = body.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        if len(self.bodies) == 1:
            self.name = name

    def add_version(self, body: Callable[..., Any], version: int) -> None:
        """Take in another version of the method.

        Raises:
            TypeError: The body is a coroutine function or generator.
            ValueError: The version is below 1, or there already.
        """
        if inspect.iscoroutinefunction(body) or inspect.isgeneratorfunction(body) or inspect.isasyncgenfunction(body):
            raise TypeError(f"{body.__qualname__} must be a plain function: it is carried out at one moment of the log")
        if version < 1 or version in self.bodies:
            raise ValueError(f"{body.__qualname__} needs a version of its own, from 1 on; not {version}")
        self.bodies[version] = body
        self._arities[version] = _arity(body)
        self.first_version = min(self.first_version, version)
        self._fitting.clear()

    def version(self, number: int) -> "Callable[[Callable[..., Any]], Command]":
        """Decorate a newer version of this method; the older ones stay for what the log holds."""

        def add(body: Callable[..., Any]) -> Command:
            self.add_version(body, number)
            return self

        return add

    def _version(self, in_force: int) -> int:
        """The method's version when one of the object is in force; 0 if there was no such method then."""
        return max((version for version in self.bodies if version <= in_force), default=0)

    def body(self, in_force: int) -> Callable[..., Any] | None:
        """The method's code when a version of the object is in force; None if there was no such method then."""
        return self.bodies.get(self._version(in_force))

    def check_call(
        self, target: "ReplicatedObject", in_force: int, args: tuple[Value, ...], kwargs: Mapping[str, Value]
    ) -> None:
        """See that the arguments fit the method.

        Raises:
            TypeError: They do not; as Python says it.
        """
        arity = self._fitting.get(in_force)
        if arity is None:
            arity = self._fitting[in_force] = self._arities[self._version(in_force)]
        if kwargs or not arity[0] <= len(args) <= arity[1]:
            try:
                inspect.signature(self.bodies[self._version(in_force)]).bind(target, *args, **kwargs)
            except TypeError as error:
                raise TypeError(f"{target.name}.{self.name}: {error}") from None

    @overload
    def __get__(self, instance: None, owner: type) -> "Command": ...
    @overload
    def __get__(self, instance: "ReplicatedObject", owner: type) -> "BoundCommand": ...
    def __get__(self, instance: "ReplicatedObject | None", owner: type) -> "Command | BoundCommand":
        return self if instance is None else BoundCommand(instance, self)


def _arity(body: Callable[..., Any]) -> tuple[int, int]:
    """How many positional arguments are surely right, beside `self`; (1, 0) where each call is to be looked at."""
    least = most = -1
    for parameter in inspect.signature(body).parameters.values():
        match parameter.kind:
            case inspect.Parameter.POSITIONAL_ONLY | inspect.Parameter.POSITIONAL_OR_KEYWORD:
                most += 1
                least += parameter.default is inspect.Parameter.empty
            case inspect.Parameter.VAR_POSITIONAL:
                most = 1 << 30
            case inspect.Parameter.KEYWORD_ONLY if parameter.default is inspect.Parameter.empty:
                return 1, 0
    return least, most


class BoundCommand:
    """A command of one object."""

    __slots__ = ("command", "target")

    def __init__(self, target: "ReplicatedObject", command: Command) -> None:
        self.target = target
        self.command = command

    def __call__(self, *args: Value, **kwargs: Value) -> Any:  # noqa: ANN401 - what the method returns, or its future
        """Within a command: carry it out at once. Elsewhere: propose it.

        Returns:
            A future of what the method returns; within a command, what it returns.

        Raises:
            TypeError: The arguments do not fit, or (`NotEncodable`) cannot be replicated.
            NotUnderstood: Some server does not know the method yet.
        """
        target, command = self.target, self.command
        try:
            host = target._oarlock_host or target.host  # noqa: SLF001 - of this module, and called for every command
        except AttributeError:
            kind = type(target)
            if issubclass(kind, ReplicatedObject):
                raise
            raise TypeError(
                f"{kind.__name__}.{command.name} is @replicated; {kind.__name__} must derive from ReplicatedObject"
            ) from None
        if host.context is None:
            return host.call(target, command, args, kwargs)
        body = command.body(host.version_of(target.name))
        if body is None:
            raise TypeError(f"{target.name} had no {command.name} yet in the version of this command")
        return body(target, *args, **kwargs)

    @property
    def __name__(self) -> str:
        return self.command.name

    @property
    def __doc__(self) -> str | None:  # type: ignore[override]
        return self.command.__doc__

    def __repr__(self) -> str:
        return f"<command {self.target.name}.{self.command.name}>"


class ReplicatedMethod(Protocol[S_contra, P]):
    """How type checkers see a `Command`: as a method with the parameters of its body.

    What it gives is left open: within a command what the body returns, elsewhere a future of that.
    """

    @overload
    def __get__(self, instance: None, owner: type, /) -> Self: ...
    @overload
    def __get__(self, instance: S_contra, owner: type, /) -> Callable[P, Any]: ...

    def version(self, number: int, /) -> "Callable[[Callable[Concatenate[S, Q], R]], ReplicatedMethod[S, Q]]":
        """See `Command.version`."""


@overload
def replicated(body: Callable[Concatenate[S, P], R], /) -> ReplicatedMethod[S, P]: ...
@overload
def replicated(*, version: int = 1) -> Callable[[Callable[Concatenate[S, P], R]], ReplicatedMethod[S, P]]: ...
def replicated(body: Callable[..., Any] | None = None, /, *, version: int = 1) -> Any:
    """Make a method of a `ReplicatedObject` a command.

    Called from outside it returns a future, and is carried out on every server, in the order of the log. Its body is a
    plain function. It must do the same on every server: it may use its arguments, the object's state, `self.now_ms`,
    `self.random` and other commands of the node, which run in place; no clock, no chance, no files, no order of a set.

    What it raises is raised to the caller; what it changed before it raised stays changed, on every server.

    Args:
        body: The method.
        version: From which version of the object on there is this method. For another version of a method that there
            is already: `@method.version(2)`.
    """
    if body is not None:
        return Command(body, version)
    return lambda later: Command(later, version)


class ReplicatedObject:
    """An object of which every server has a copy.

    Derive from it, decorate what changes the state with `@replicated`, and say with `snapshot` and `restore` what the
    state is. Ordinary methods read this server's copy, which may be behind; `read` reads as new as asked.
    """

    def __init__(self, name: str) -> None:
        """Name the object.

        Args:
            name: Alike on all servers, and no other object's of the node; at most 255 characters.
        """
        if not isinstance(name, str):
            raise TypeError(f"an object's name must be text, not {name!r}")
        if not 0 < len(name) <= 255:
            raise ValueError(f"an object's name must be text of 1 to 255 characters, not {name!r}")
        self._oarlock_name = name

    def __init_subclass__(cls, **kwargs: Any) -> None:  # noqa: ANN401 - of whatever else it derives from
        super().__init_subclass__(**kwargs)
        for name, attribute in vars(cls).items():
            if isinstance(attribute, Command) and hasattr(ReplicatedObject, name):
                raise TypeError(
                    f"{cls.__name__}.{name} cannot be @replicated: every ReplicatedObject has its own {name}"
                )

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._oarlock_name!r}>"

    _oarlock_name = ""
    _oarlock_host: Host | None = None
    _oarlock_node: "Node | None" = None

    @property
    def name(self) -> str:
        """By which the object is known on all servers."""
        if not self._oarlock_name:
            raise self._homeless()
        return self._oarlock_name

    @property
    def host(self) -> Host:
        """What carries out its commands.

        Raises:
            RuntimeError: It was given to no node.
        """
        if self._oarlock_host is None:
            raise self._homeless()
        return self._oarlock_host

    @property
    def node(self) -> "Node":
        """The node that it was given to.

        Raises:
            RuntimeError: It was given to none.
        """
        if self._oarlock_node is None:
            raise self._homeless()
        return self._oarlock_node

    def _homeless(self) -> RuntimeError:
        if not self._oarlock_name:
            return RuntimeError(f"{type(self).__name__} must call super().__init__(name)")
        return RuntimeError(f"{self._oarlock_name} belongs to no node: give it to one, Node(..., objects=[...])")

    def attach(self, host: Host, node: "Node | None" = None) -> None:
        """For the node: take the object.

        Raises:
            ValueError: Another has it.
        """
        if self._oarlock_host is not None and self._oarlock_host is not host:
            raise ValueError(f"{self.name} belongs to another node already; each node needs an object of its own")
        self._oarlock_host = host
        self._oarlock_node = node

    @property
    def now_ms(self) -> int:
        """Within a command: machine time, in milliseconds since 1970; alike on all servers, never going back."""
        return self._context().now_ms

    @property
    def random(self) -> random.Random:
        """Within a command: chance that falls alike on all servers. Not for secrets."""
        return self._context().random

    def _context(self) -> Context:
        context = self.host.context
        if context is None:
            raise RuntimeError(f"{self.name}: now_ms and random are for the code of commands")
        return context

    async def read(
        self,
        function: str | Callable[..., Any],
        *args: Value,
        consistency: Consistency = "linearizable",
        max_staleness_ms: float | None = None,
        timeout_s: float | None = None,
        **kwargs: Value,
    ) -> Any:  # noqa: ANN401 - what the function returns
        """Read this server's copy when it is as new as asked.

        Args:
            function: What reads: the name of a method of this object, or any function; must not wait, nor change
                anything.
            args: For it.
            consistency: "linearizable" sees everything that was done before it was called, wherever; "lease" the same,
                under the leader's lease, as long as clocks keep the drift allowed; "stale" what is here.
            max_staleness_ms: With "stale": everything done longer ago than this is seen.
            timeout_s: When to give up; None for the node's own time.
            kwargs: For it.

        Returns:
            What the function returns.

        Raises:
            Timeout: It could not be confirmed in time.
            TooStale: This server is further behind than allowed, or cannot tell.
        """
        reader = getattr(self, function) if isinstance(function, str) else function
        if isinstance(reader, BoundCommand):
            raise TypeError(f"{reader.command.name} is a command; read with a method that changes nothing")
        if not callable(reader):
            raise TypeError(f"{function!r} of {self.name} is no method; read with one, or with a function")
        return await self.host.read(partial(reader, *args, **kwargs), consistency, max_staleness_ms, timeout_s)

    def on_stop(self) -> None:
        """Called on the node's loop when the node has stopped; for methods that wait, to let whoever waits go."""

    def snapshot(self) -> object:
        """The whole state as plain data. It is encoded before anything else happens, so it need not be a copy."""
        raise NotImplementedError(f"{type(self).__name__} must say with snapshot() what its state is")

    def restore(self, image: Value) -> None:
        """Replace the state by what `snapshot` gave; tuples have become lists."""
        raise NotImplementedError(f"{type(self).__name__} must take over in restore() what snapshot() gives")


def commands_of(target: ReplicatedObject) -> dict[str, Command]:
    """The commands of an object, by name."""
    found: dict[str, Command] = {}
    for kind in reversed(type(target).__mro__):
        for name, attribute in vars(kind).items():
            if isinstance(attribute, Command):
                found[attribute.name] = attribute
            else:
                found.pop(name, None)
    return found


def version_of(target: ReplicatedObject) -> int:
    """The highest version of an object's commands that this program knows."""
    return max((max(command.bodies) for command in commands_of(target).values()), default=1)
