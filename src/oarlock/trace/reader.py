"""Reads traces as streams, and says of a bad one which line and which field is wrong."""

import gzip
import re
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final, cast

import msgspec

from oarlock.trace.schema import FORMAT, VERSION, Event, Header, parse_id

MAX_LINE_BYTES: Final = 64 << 20
"""Of one event; an AppendEntries with very many entries is long."""
MAX_EVENTS: Final = 50_000_000
"""Of one file."""

_HEADER: Final = msgspec.json.Decoder(Header)
_EVENT: Final = msgspec.json.Decoder(Event)


class TraceError(ValueError):
    """A file is no trace that can be read here; the text names file, line, field and reason."""


class _Version(msgspec.Struct):
    v: int
    format: str = FORMAT


class TraceReader:
    """The events of one file, in its order."""

    def __init__(
        self,
        stream: BinaryIO,
        name: str,
        *,
        max_line_bytes: int = MAX_LINE_BYTES,
        max_events: int = MAX_EVENTS,
    ) -> None:
        """Read the header.

        Args:
            stream: Lines.
            name: For errors.
            max_line_bytes: A longer line is refused.
            max_events: A longer file is refused.

        Raises:
            TraceError: This is no trace, or one of a version unknown here.
        """
        self._stream = stream
        self._name = name
        self._max_line_bytes = max_line_bytes
        self._max_events = max_events
        self._line = 0
        self.torn = False
        """Whether the last line was cut off, as a crash leaves it; it is left out."""
        line = self._next_line()
        if line is None:
            raise self._error("", "the file is empty")
        self.header: Header = self._header(line)
        """The first line."""

    def _header(self, line: bytes) -> Header:
        try:
            version = msgspec.json.decode(line, type=_Version)
        except msgspec.DecodeError as error:
            raise self._wrong(error, "is no header of a trace") from error
        if version.format != FORMAT:
            raise self._error("format", f"it is {version.format!r}, not {FORMAT!r}")
        if version.v != VERSION:
            raise self._error("v", f"version {version.v} is not known here, only {VERSION}")
        try:
            return _HEADER.decode(line)
        except msgspec.DecodeError as error:
            raise self._wrong(error, "is no header of a trace") from error

    def __iter__(self) -> Iterator[Event]:
        """The events.

        Raises:
            TraceError: A line is no event.
        """
        number = 0
        while (line := self._next_line()) is not None:
            number += 1
            if number > self._max_events:
                raise self._error("", f"there are more than {self._max_events} events")
            try:
                event = _EVENT.decode(line)
            except msgspec.DecodeError as error:
                raise self._wrong(error, "is no event") from error
            self._check_ids(event)
            yield event

    def _check_ids(self, event: Event) -> None:
        for field, text in (("id", event.id), ("m", event.m), ("by", event.by), *event.rd.items()):
            if text or field == "id":
                try:
                    parse_id(text)
                except ValueError as error:
                    raise self._error(field, str(error)) from error

    def _next_line(self) -> bytes | None:
        try:
            line = self._stream.readline(self._max_line_bytes + 1)
        except EOFError:
            self.torn = True
            return None
        self._line += 1
        if len(line) > self._max_line_bytes:
            raise self._error("", f"it is longer than {self._max_line_bytes} bytes")
        if line and not line.endswith(b"\n"):
            self.torn = True
            return None
        return line or None

    def _wrong(self, error: msgspec.DecodeError, what: str) -> TraceError:
        found = re.fullmatch(r"(?s)(.*?)(?: - at `(?:\$\.?)?(.*?)`)?", str(error))
        assert found is not None  # noqa: S101 - it matches anything
        return self._error(found[2] or "", f"{what}: {found[1]}")

    def _error(self, field: str, why: str) -> TraceError:
        place = f"{self._name}, line {max(1, self._line)}"
        return TraceError(f"{place}, field {field}: {why}" if field else f"{place}: {why}")


@contextmanager
def open_trace(path: str | Path, *, max_line_bytes: int = MAX_LINE_BYTES) -> Iterator[TraceReader]:
    """Read a file, which may be compressed by gzip if its name says so.

    Raises:
        TraceError: It is no trace, or one of a version unknown here.
        OSError: It cannot be read.
    """
    path = Path(path)
    with path.open("rb") as file:
        if path.suffix != ".gz":
            yield TraceReader(file, path.name, max_line_bytes=max_line_bytes)
            return
        with gzip.open(file) as stream:
            try:
                yield TraceReader(cast("BinaryIO", stream), path.name, max_line_bytes=max_line_bytes)
            except (gzip.BadGzipFile, zlib.error) as error:
                raise TraceError(f"{path.name}: it is not compressed by gzip: {error}") from error


def parts_of(path: str | Path) -> list[Path]:
    """The files of a rotated series, oldest first, that ends with `path`."""
    path = Path(path)
    pattern = re.compile(re.escape(path.stem) + r"\.(\d{6,})" + re.escape(path.suffix))
    parts = {int(found[1]): each for each in path.parent.iterdir() if (found := pattern.fullmatch(each.name))}
    return [*(parts[number] for number in sorted(parts)), *([path] if path.exists() else [])]


def read_parts(paths: Iterable[str | Path]) -> Iterator[Event]:
    """The events of several files of one server, one after the other.

    Raises:
        TraceError: One is no trace.
        OSError: One cannot be read.
    """
    for path in paths:
        with open_trace(path) as reader:
            yield from reader
