"""Writes a trace to files beside a running server, which never waits for it.

Events are encoded at once, gathered, and handed to a thread in large pieces. What does not fit the bound is left out,
and the trace says so. A full file is closed under a number, and the next begins with a whole state of its own.
"""

import shutil
from collections.abc import Callable
from errno import ENOSPC
from pathlib import Path
from typing import IO, BinaryIO, Final

import msgspec

from oarlock.trace.reader import parts_of
from oarlock.trace.schema import Event, Header, Sink, encode

Submit = Callable[[Callable[[], None]], object]
"""Has a blocking call made elsewhere: `executor.submit`, or `loop.run_in_executor` with the executor filled in."""

_ROTATE: Final = None
"""Among pieces to be written: the file ends here."""


def stream_sink(out: IO[bytes], header: Header) -> Sink:
    """A sink that writes header and events to a stream at once, for whoever may wait for it, as a simulation may."""
    out.write(encode(header))

    def keep(event: Event) -> bool:
        out.write(encode(event))
        return True

    return keep


class TraceWriter:
    """The sink of a recorder. All calls but `close` come from one thread, the recorder's."""

    def __init__(
        self,
        path: str | Path,
        header: Header,
        submit: Submit,
        *,
        flush_bytes: int = 256 << 10,
        flush_us: int = 1_000_000,
        max_buffer_bytes: int = 16 << 20,
        rotate_bytes: int = 256 << 20,
        keep_files: int = 8,
        min_free_bytes: int = 256 << 20,
    ) -> None:
        """Open nothing yet: `open` does, or the first piece to be written.

        Args:
            path: Where; a trace that lies there already is kept, under a number.
            header: The first line of each file, but for `part`.
            submit: Runs what blocks.
            flush_bytes: So much is written at once.
            flush_us: What has waited for so long, by the events' own clock, is written with the next event.
            max_buffer_bytes: With so much waiting for a slow disk, events are lost.
            rotate_bytes: The size at which a file is full.
            keep_files: So many full files are kept; older ones are deleted.
            min_free_bytes: With less space left the trace ends, as others need it more.

        Raises:
            ValueError: A limit is not positive, or the buffer smaller than what is written at once.
        """
        if min(flush_bytes, flush_us, rotate_bytes, keep_files) <= 0 or max_buffer_bytes < flush_bytes:
            raise ValueError("a trace writer's limits must be positive, and its buffer not below flush_bytes")
        self._path = Path(path)
        self._header = header
        self._submit = submit
        self._flush_bytes = flush_bytes
        self._flush_us = flush_us
        self._max_buffer_bytes = max_buffer_bytes
        self._rotate_bytes = rotate_bytes
        self._keep_files = keep_files
        self._min_free_bytes = min_free_bytes
        self.on_rotated: Callable[[], None] = lambda: None
        """Called when a new file begins: the recorder's `keyframe`."""
        self.failure: OSError | None = None
        """Why no more is written, if so."""
        self.on_failed: Callable[[OSError], None] = lambda _: None
        """Told of that, once, in the thread that wrote."""
        self.lost = 0
        """Events for which there was no room."""
        self._buffer: list[bytes | None] = []
        self._buffered = 0
        self._file_bytes = 0
        self._flushed_at: int | None = None
        self._busy = False
        self._file: BinaryIO | None = None
        self._part = 0

    def __call__(self, event: Event) -> bool:
        """Take an event; False if it is lost."""
        if self.failure is not None or self._buffered >= self._max_buffer_bytes:
            self.lost += 1
            return False
        line = encode(event)
        self._buffer.append(line)
        self._buffered += len(line)
        self._file_bytes += len(line)
        if self._flushed_at is None:
            self._flushed_at = event.t
        if self._file_bytes >= self._rotate_bytes:
            self._file_bytes = 0
            self._buffer.append(_ROTATE)
            self.on_rotated()
        if self._buffered >= self._flush_bytes or event.t - self._flushed_at >= self._flush_us:
            self._flushed_at = event.t
            self.flush()
        return True

    def flush(self) -> None:
        """Have what waits written, unless that is under way."""
        if self._busy or not self._buffer:
            return
        self._busy = True
        pieces, self._buffer, self._buffered = self._buffer, [], 0

        def write() -> None:
            try:
                self._write(pieces)
            except OSError as error:
                self.failure = error
                self.on_failed(error)
            finally:
                self._busy = False

        self._submit(write)

    def open(self) -> None:
        """Begin the file, so that what is wrong with it shows before anything depends on it; blocking.

        Raises:
            OSError: It cannot be written.
        """
        self._begin_file()

    def close(self) -> None:
        """Write what is left and close; blocking, and only once nothing that was submitted still runs.

        Raises:
            OSError: The rest could not be written.
        """
        pieces, self._buffer, self._buffered = self._buffer, [], 0
        if self.failure is None and pieces:
            self._write(pieces)
        if self._file is not None:
            self._file.close()
            self._file = None

    # -- in the executor's thread --------------------------------------------------------------------------------

    def _write(self, pieces: list[bytes | None]) -> None:
        begin = 0
        for position, piece in enumerate(pieces):
            if piece is _ROTATE:
                self._append(pieces[begin:position])
                self._end_file()
                begin = position + 1
        self._append(pieces[begin:])

    def _append(self, pieces: list[bytes | None]) -> None:
        if not pieces:
            return
        if self._file is None:
            self._begin_file()
        assert self._file is not None  # noqa: S101 - just opened
        free = shutil.disk_usage(self._path.parent).free
        if free < self._min_free_bytes:
            raise OSError(ENOSPC, f"{free >> 20} MB are free, less than are left to others", str(self._path))
        self._file.write(b"".join(piece for piece in pieces if piece is not None))
        self._file.flush()

    def _begin_file(self) -> None:
        if self._part == 0:
            self._part = 1 + max((_number(part) for part in parts_of(self._path)), default=0)
            if self._path.exists():
                self._set_aside()
        self._file = self._path.open("xb")
        self._file.write(encode(msgspec.structs.replace(self._header, part=self._part)))
        self._file.flush()

    def _end_file(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
            self._set_aside()

    def _set_aside(self) -> None:
        self._path.rename(self._path.with_name(f"{self._path.stem}.{self._part:06d}{self._path.suffix}"))
        self._part += 1
        full = [part for part in parts_of(self._path) if part != self._path]
        for oldest in full[: -self._keep_files]:
            oldest.unlink()


def _number(part: Path) -> int:
    """The number in the name of a full file; 0 for the one being written."""
    number = Path(part.stem).suffix.removeprefix(".")
    return int(number) if number.isdecimal() and len(number) >= len("000001") else 0
