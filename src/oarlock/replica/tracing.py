"""Recording what a library node does, for `oarlock draw` and its kin: beside the node and never in its way."""

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from oarlock.replica.place import Place
from oarlock.trace.live import live_recorder
from oarlock.trace.recorder import Recorder
from oarlock.trace.schema import VERSION, Header, server_name
from oarlock.trace.writer import TraceWriter

logger = logging.getLogger(__name__)


class NodeTrace:
    """The trace of one node: its file, and the thread that writes it.

    Args:
        path: Of the file; one that is there is kept, under a number.
        place: The server's.
        lease_reads: Whether leaders answer under their lease.
    """

    def __init__(self, path: Path, place: Place, *, lease_reads: bool) -> None:
        self._server_id = place.server_id
        self._executor = ThreadPoolExecutor(1, "oarlock-trace")
        header = Header(
            v=VERSION,
            run=f"cluster-{place.cluster_id:x}",
            kind="live",
            nodes={server_name(member): address for member, address in sorted(place.members.items())},
            clock="wall",
            features=("lease_reads", "pre_vote") if lease_reads else ("pre_vote",),
        )
        self._writer = TraceWriter(path, header, self._executor.submit)
        self._writer.on_failed = self._failed

    def open(self) -> None:
        """Begin the file; blocking.

        Raises:
            OSError: It cannot be written.
        """
        self._writer.open()

    def begin(self, boot_epoch: int) -> Recorder:
        """The node has recovered, and runs on this loop; see `OpenTrace`."""
        recorder = live_recorder(self._server_id, boot_epoch, self._writer, asyncio.get_running_loop())
        self._writer.on_rotated = recorder.keyframe
        return recorder

    @staticmethod
    def _failed(error: OSError) -> None:
        logger.error("the trace ends here, and the node goes on without it: %s", error)

    def close(self) -> None:
        """Write the rest, once the node has stopped; blocking."""
        self._executor.shutdown(wait=True)
        try:
            self._writer.close()
        except OSError as error:
            self._failed(error)
