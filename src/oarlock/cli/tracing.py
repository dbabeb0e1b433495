"""`--trace FILE`: records what one server does, beside it and never in its way."""

import asyncio
import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from oarlock.cli.joining import Place
from oarlock.cli.settings import ServeSettings
from oarlock.trace.recorder import Recorder
from oarlock.trace.schema import VERSION, Header, server_name
from oarlock.trace.writer import TraceWriter

logger = logging.getLogger(__name__)

_LAST_WORDS_S: Final = 1.0
"""How long a server that must end at once waits for its trace."""


class LiveTrace:
    """The trace of this process: its file, its thread, and the recorder of the one node in it."""

    def __init__(self, settings: ServeSettings, place: Place, loop: asyncio.AbstractEventLoop) -> None:
        """Begin the file; blocking.

        Raises:
            OSError: It cannot be written.
        """
        self._server_id = place.server_id
        self._loop = loop
        self._executor = ThreadPoolExecutor(1, "oarlock-trace")
        self._writer = TraceWriter(settings.trace, header_of(settings, place), self._executor.submit)
        self._writer.on_failed = self._failed
        self._writer.open()

    def begin(self, boot_epoch: int) -> Recorder:
        """The node has recovered; see `OpenTrace`."""
        now = time.time()
        recorder = Recorder(
            self._server_id,
            boot_epoch,
            self._writer,
            time.monotonic,
            clock_offset_us=int((now - time.monotonic()) * 1e6),
            core_offset_us=int((now - self._loop.time()) * 1e6),
        )
        self._writer.on_rotated = recorder.keyframe
        return recorder

    @staticmethod
    def _failed(error: OSError) -> None:
        logger.error("the trace ends here, and the server goes on without it: %s", error)

    async def close(self) -> None:
        """Write the rest; once the node has stopped."""
        await self._loop.run_in_executor(None, self._close)

    def _close(self) -> None:
        self._executor.shutdown(wait=True)
        try:
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
