"""A replicated object without a cluster: its commands are encoded, decoded and applied as a server would, one by one."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from oarlock.replica.codec import decode, encode
from oarlock.replica.context import Context
from oarlock.replica.object import BoundCommand, Command, Consistency, ReplicatedObject, version_of

T = TypeVar("T", bound=ReplicatedObject)


class Alone:
    """A host for one object."""

    def __init__(self, target: ReplicatedObject) -> None:
        self._target = target
        self._index = 0
        self.context: Context | None = None
        target.attach(self)

    def version_of(self, _name: str) -> int:
        """The newest."""
        return version_of(self._target)

    def call(
        self, target: ReplicatedObject, command: Command, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> asyncio.Future[Any]:
        """Nobody is to propose anything here."""
        raise AssertionError(f"{target.name}.{command.name}{args}{kwargs} was called outside of a command")

    async def read(
        self,
        function: Callable[[], Any],
        consistency: Consistency,
        max_staleness_ms: float | None,
        timeout_s: float | None,
    ) -> Any:
        """What is here is the newest."""
        return function()

    def apply(self, bound: BoundCommand, args: tuple[Any, ...], now_ms: int) -> Any:
        """Carry out a command as a server would."""
        args = decode(encode(args, "arguments"))
        self._index += 1
        self.context = Context(self._index, now_ms)
        try:
            return bound(*args)
        finally:
            self.context = None


def outcome(obj: ReplicatedObject, method: str, *args: Any, now_ms: int = 0) -> tuple[str, Any]:
    """What a command answers: ("is", value), or ("raises", type and text)."""
    host = obj._oarlock_host or Alone(obj)
    assert isinstance(host, Alone)
    try:
        return "is", host.apply(getattr(obj, method), args, now_ms)
    except Exception as error:  # noqa: BLE001 - whatever a command raises is its answer
        return "raises", (type(error), str(error))


def image_of(obj: ReplicatedObject) -> bytes:
    """A snapshot as it is written."""
    return encode(obj.snapshot(), "snapshot")


def restored(obj: T, image: bytes) -> T:
    """A new object of the same making, restored from a snapshot."""
    obj.restore(decode(image))
    return obj
