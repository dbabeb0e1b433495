"""Messages composed and not yet seen to leave: what decided each of them, and what it was composed of."""

from typing import Any, Final, NamedTuple

from oarlock.trace.reading import message_reads
from oarlock.trace.watch import CoreView
from oarlock.trace.writers import LastWriters

_MOST_UNSENT: Final = 8192
"""Of older messages it is forgotten what decided them."""


class Composed(NamedTuple):
    """A message on its way out."""

    message: Any
    """None where the runtime will make it: a chunk of a snapshot."""
    by: str
    """The event that decided it."""
    reads: dict[str, str]
    after_persist: bool
    """Whether it waits for the disk."""


class Outbox:
    """One core's."""

    def __init__(self, writers: LastWriters) -> None:
        self._writers = writers
        self._composed: dict[tuple[int, str, int], list[Composed]] = {}
        self._noted = 0
        self._noted_after_persist = 0

    def note(self, by: str, core: CoreView, ready: Any = None) -> bool:  # noqa: ANN401 - the core's `Ready`
        """Remember the new messages of the core, or of the `ready` that just took them out; whether there were any."""
        early = core.messages if ready is None else ready.messages
        late = core.messages_after_persist if ready is None else ready.messages_after_persist
        found = len(early) > self._noted or len(late) > self._noted_after_persist
        if found:
            for to, message in early[self._noted :]:
                self._compose(to, message, by, after_persist=False)
            for to, message in late[self._noted_after_persist :]:
                self._compose(to, message, by, after_persist=True)
        self._noted, self._noted_after_persist = (len(early), len(late)) if ready is None else (0, 0)
        return found

    def _compose(self, to: int, message: Any, by: str, *, after_persist: bool) -> None:  # noqa: ANN401
        reads = dict(message_reads(message, self._writers))
        if after_persist:
            reads.pop("durable", None)  # what it claims will be durable only when it leaves
        self._put((to, type(message).__name__, message.request_id), Composed(message, by, reads, after_persist))

    def chunk_requested(self, to: int, request_id: int, by: str) -> None:
        """The core wants a chunk of a snapshot sent: the message will be made by the runtime."""
        self._put((to, "InstallSnapshot", request_id), Composed(None, by, {}, after_persist=False))

    def _put(self, key: tuple[int, str, int], composed: Composed) -> None:
        self._composed.setdefault(key, []).append(composed)
        if len(self._composed) > _MOST_UNSENT:
            del self._composed[next(iter(self._composed))]

    def take(self, to: int, message: Any) -> Composed | None:  # noqa: ANN401 - any message
        """What is known of a message that leaves now; None of one that the core did not compose."""
        key = (to, type(message).__name__, getattr(message, "request_id", 0))
        waiting = self._composed.get(key, [])
        for position, composed in enumerate(waiting):
            if composed.message is message or composed.message is None:
                if len(waiting) == 1:
                    del self._composed[key]
                else:
                    del waiting[position]
                return composed
        return None
