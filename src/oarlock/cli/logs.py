"""The log: one line an event, for people on a terminal or as JSON for programs."""

import json
import logging
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final, TextIO

_LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "error": logging.ERROR,
    "dpanic": logging.CRITICAL,
    "panic": logging.CRITICAL,
    "fatal": logging.CRITICAL,
}
_NAMES: Final = {"WARNING": "warn", "CRITICAL": "fatal"}
_COLOURS: Final = {"debug": "\x1b[2m", "warn": "\x1b[33m", "error": "\x1b[31m", "fatal": "\x1b[1;31m"}
_RESET: Final = "\x1b[0m"


class JsonFormatter(logging.Formatter):
    """etcd's field names: level, ts, logger, msg, and the error's trace where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """One JSON object in one line."""
        line = {
            "level": _level(record),
            "ts": _time(record).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "logger": record.name,
            "msg": record.getMessage(),
        }
        if record.exc_info:
            line["stacktrace"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


class ConsoleFormatter(logging.Formatter):
    """Time, level, message, and where it comes from."""

    def __init__(self, *, colour: bool) -> None:
        super().__init__()
        self._colour = colour

    def format(self, record: logging.LogRecord) -> str:
        """One line, and the error's trace below where there is one."""
        level = _level(record)
        time = _time(record).astimezone().strftime("%H:%M:%S.%f")[:-3]
        line = f"{time} {level:<5} {record.getMessage()}"
        if self._colour and level in _COLOURS:
            line = f"{_COLOURS[level]}{line}{_RESET}"
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


def _level(record: logging.LogRecord) -> str:
    return _NAMES.get(record.levelname, record.levelname.lower())


def _time(record: logging.LogRecord) -> datetime:
    return datetime.fromtimestamp(record.created, UTC)


def wants_colour(stream: TextIO) -> bool:
    """Whether colours are welcome there (https://no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def set_up(level: str, outputs: Sequence[str], log_format: str) -> None:
    """Send everything logged to the outputs.

    Args:
        level: etcd's name of the lowest level shown.
        outputs: `default` (stderr), `stderr`, `stdout`, or paths of files to append to.
        log_format: `console`, `json`, or `auto`: console on a terminal.

    Raises:
        OSError: A file cannot be opened.
    """
    root = logging.getLogger()
    for handler in list(root.handlers):
        root.removeHandler(handler)
        handler.close()
    for output in outputs:
        root.addHandler(_handler(output, log_format))
    root.setLevel(_LEVELS[level])
    logging.captureWarnings(capture=True)


def _handler(output: str, log_format: str) -> logging.Handler:
    stream = {"default": sys.stderr, "stderr": sys.stderr, "stdout": sys.stdout}.get(output)
    handler: logging.Handler = logging.StreamHandler(stream) if stream else logging.FileHandler(output)
    on_terminal = stream is not None and stream.isatty()
    if log_format == "json" or (log_format == "auto" and not on_terminal):
        handler.setFormatter(JsonFormatter())
    else:
        handler.setFormatter(ConsoleFormatter(colour=stream is not None and wants_colour(stream)))
    return handler
