"""A recorder for a node that runs in real time."""

import asyncio
import time

from oarlock.trace.recorder import Recorder
from oarlock.trace.schema import Sink


def live_recorder(server_id: int, boot_epoch: int, sink: Sink, loop: asyncio.AbstractEventLoop) -> Recorder:
    """Record on the monotonic clock, shown as time since 1970, whatever the core's loop counts from.

    Args:
        server_id: The server.
        boot_epoch: Its boot.
        sink: Where events go.
        loop: The one that gives the core its time.
    """
    now = time.time()
    return Recorder(
        server_id,
        boot_epoch,
        sink,
        time.monotonic,
        clock_offset_us=int((now - time.monotonic()) * 1e6),
        core_offset_us=int((now - loop.time()) * 1e6),
    )
