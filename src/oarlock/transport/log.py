"""The room's logger, and a valve for lines that strangers can provoke."""

import asyncio
import logging
from typing import Final

logger: Final = logging.getLogger("oarlock.transport")

_LINES: Final = 20
_WINDOW_S: Final = 10.0


class LogValve:
    """Lets at most 20 warnings through in 10 seconds, and tells how many were held back."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._window_end = 0.0
        self._lines = 0

    def warning(self, message: str, *args: object) -> None:
        """Log a warning if the valve is open."""
        now = self._loop.time()
        if now >= self._window_end:
            if self._lines > _LINES:
                logger.warning("%d warnings about incoming connections were held back", self._lines - _LINES)
            self._window_end = now + _WINDOW_S
            self._lines = 0
        self._lines += 1
        if self._lines <= _LINES:
            logger.warning(message, *args)
