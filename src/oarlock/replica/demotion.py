"""Whether this server was demoted: then it does not ask for its vote, in later lives neither.

A server that joins asks for its vote by itself once it has caught up; one whose vote was taken must not, or nobody
could take it. The configuration says the same of both: no vote. What tells them apart is that one of them had a vote
before, in what was applied here. That it notes in its directory, until it has a vote again.
"""

import asyncio
import logging
from concurrent.futures import Executor
from pathlib import Path
from typing import Final

from oarlock.raft.types import ServerId
from oarlock.replica.core import Core
from oarlock.storage.disk import Disk, sync_directory
from oarlock.storage.errors import StorageError
from oarlock.storage.small_file import replace_small_file

logger = logging.getLogger(__name__)

_NAME: Final = "demoted"
_TEXT: Final = b"This server's vote was taken; it does not ask for one while this file is here.\n"


class Demotion:
    """What is noted of it.

    Args:
        disk: Holds the directory.
        directory: The server's.
        executor: For what blocks; None for the loop's own.
    """

    def __init__(self, disk: Disk, directory: Path, executor: Executor | None) -> None:
        self._disk = disk
        self._path = directory / _NAME
        self._executor = executor
        self._is_noted = False
        self._had_vote: bool | None = None
        """Whether it ever had one; None before anybody has looked."""

    def read(self) -> None:
        """See what an earlier life has noted; blocking."""
        self._is_noted = self._disk.exists(self._path)

    async def look(self, core: Core, server_id: ServerId) -> bool:
        """Note what has become of this server's vote; whether it was taken."""
        try:
            return await self._look(core, server_id)
        except (StorageError, OSError) as error:
            logger.warning("it cannot be noted that this server was demoted, or has a vote again: %s", error)
            return True  # and seen again at the next look

    async def _look(self, core: Core, server_id: ServerId) -> bool:
        if self._had_vote is None:
            # Not as it is by now: what came since may be what took its vote.
            self._had_vote = server_id in core.recovered_configuration.voters
        configuration = core.configuration
        if server_id in configuration.voters:
            if (self._is_noted or not self._had_vote) and server_id in core.status().configuration.voters:
                self._had_vote = True
                await self._note(is_demoted=False)
            return False
        if self._had_vote and not self._is_noted:
            if server_id not in core.status().configuration.learners:
                return True  # not applied, and perhaps not committed
            await self._note(is_demoted=True)
            logger.info("this server was demoted, and has no vote", extra={"server_id": server_id})
        return self._is_noted

    async def _note(self, *, is_demoted: bool) -> None:
        if is_demoted != self._is_noted:
            await asyncio.get_running_loop().run_in_executor(self._executor, self._write, is_demoted)
            self._is_noted = is_demoted

    def _write(self, is_demoted: bool) -> None:
        if is_demoted:
            replace_small_file(self._disk, self._path, _TEXT)
        else:
            self._disk.remove(self._path)
            sync_directory(self._disk, self._path.parent)
