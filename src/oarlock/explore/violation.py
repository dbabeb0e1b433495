"""What an exploration ends with when something does not hold."""

from collections.abc import Callable, Collection

from oarlock.explore.events import Event, Fatal
from oarlock.raft.types import ServerId


class Broken(Exception):
    """A property does not hold.

    Args:
        name: The property's, as in `oarlock.check.PROPERTIES`, or "no call raises".
        sentence: What happened.
    """

    def __init__(self, name: str, sentence: str) -> None:
        super().__init__(f"{name}: {sentence}")
        self.name = name
        self.sentence = sentence
        self.server_id: ServerId | None = None
        """Whose step broke it, where a single step did."""
        self.event: Event | Fatal | None = None
        """The step."""
        self.comes_after: tuple[int, Event | Fatal] | None = None
        """What a server became by the step before, and that step, where both were taken at once."""

    def at(self, server_id: ServerId, event: Event | Fatal) -> None:
        """Note the step that broke it."""
        self.server_id, self.event = server_id, event


Require = Callable[[object, str, str], None]
"""Takes whether a property holds, its name, and what happened if not; raises `Broken` unless it holds."""


def requirement(ignored: Collection[str] = ()) -> Require:
    """What is required, but for some properties."""

    def require(holds: object, name: str, sentence: str) -> None:
        if not holds and name not in ignored:
            raise Broken(name, sentence)

    return require
