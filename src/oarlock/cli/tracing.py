"""`--trace FILE` and the dashboard: record what one server does, beside it and never in its way."""

import asyncio
import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from oarlock.cli.joining import Place
from oarlock.cli.settings import ServeSettings
from oarlock.trace.live import live_recorder
from oarlock.trace.recorder import Recorder
from oarlock.trace.schema import VERSION, Event, Header, Sink, server_name
from oarlock.trace.writer import TraceWriter

logger = logging.getLogger(__name__)

_LAST_WORDS_S: Final = 1.0
"""How long a server that must end at once waits for its trace."""


class LiveTrace:
    """The trace of this process: its file with its thread, if asked for, and the recorder of the one node in it."""

    def __init__(self, settings: ServeSettings, place: Place, loop: asyncio.AbstractEventLoop) -> None:
        """Begin the file; blocking.

        Raises:
            OSError: It cannot be written.
        """
        self._server_id = place.server_id
        self._loop = loop
        self.header = header_of(settings, place)
        self.on_begun: Callable[[Recorder], None] = lambda _: None
        """Told of the recorder."""
        self.on_event: Callable[[Event], None] | None = None
        """Told of each event, beside the file."""
        self._executor = ThreadPoolExecutor(1, "oarlock-trace")
        self._writer: TraceWriter | None = None
        if settings.trace:
            self._writer = TraceWriter(settings.trace, self.header, self._executor.submit)
            self._writer.on_failed = self._failed
            self._writer.open()

    def begin(self, boot_epoch: int) -> Recorder:
        """The node has recovered; see `OpenTrace`."""
        recorder = live_recorder(self._server_id, boot_epoch, self._sink(), self._loop)
        if self._writer is not None:
            self._writer.on_rotated = recorder.keyframe
        self.on_begun(recorder)
        return recorder

    def _sink(self) -> Sink:
        writer, on_event = self._writer, self.on_event
        if on_event is None and writer is not None:
            return writer

        def keep(event: Event) -> bool:
            if on_event is not None:
                on_event(event)
            return writer is None or writer(event)

        return keep

    @staticmethod
    def _failed(error: OSError) -> None:
        logger.error("the trace ends here, and the server goes on without it: %s", error)

    async def close(self) -> None:
        """Write the rest; once the node has stopped."""
        await self._loop.run_in_executor(None, self._close)

    def _close(self) -> None:
        self._executor.shutdown(wait=True)
        try:
            if self._writer is not None:
                self._writer.close()
        except OSError as error:
            self._failed(error)

    def end_at_once(self) -> None:
        """Write the rest if that can be done in a moment: the process ends now, whatever the disk does."""
        last_words = threading.Thread(target=self._close, daemon=True)
        last_words.start()
        last_words.join(_LAST_WORDS_S)


def header_of(settings: ServeSettings, place: Place) -> Header:
    """The first line of a server's trace."""
    planned = {server_name(member.id): member.name for member in settings.members}
    known = {server_name(member): planned.get(server_name(member), "") for member in place.peer_urls}
    known[server_name(place.server_id)] = settings.name
    return Header(
        v=VERSION,
        run=f"cluster-{place.cluster_id:x}",
        kind="live",
        nodes={name: known[name] or name for name in sorted(known)},
        clock="wall",
        features=tuple(name for name in ("lease_reads", "pre_vote") if getattr(settings, name)),
    )
