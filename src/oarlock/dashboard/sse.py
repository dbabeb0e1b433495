"""Server-sent events, as far as the dashboard needs them (HTML Living Standard, section 9.2).

A message without a name holds events of `raft-trace/1`, one a line. Named messages say something about the stream:
`header` (the trace's first line), `gap` (events were lost here), `servers` (the local processes, `oarlock up` alone).
"""

from collections.abc import Iterable, Iterator
from typing import Final

CONTENT_TYPE: Final = "text/event-stream"
PING: Final = b":\n\n"
"""A comment, which says only that the stream lives."""
MAX_MESSAGE_BYTES: Final = 32 << 20


class StreamError(Exception):
    """What came is no stream of ours."""


def message(name: str, lines: Iterable[bytes]) -> bytes:
    """One message.

    Args:
        name: Its name; empty for events of the trace.
        lines: Its data, without line ends.
    """
    head = f"event: {name}\n".encode() if name else b""
    return head + b"".join(b"data: " + line + b"\n" for line in lines) + b"\n"


class Messages:
    """Cuts a stream, however it was split on the way, into messages."""

    def __init__(self, max_message_bytes: int = MAX_MESSAGE_BYTES) -> None:
        self._max_message_bytes = max_message_bytes
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[tuple[str, list[bytes]]]:
        """The messages that end in `data`: name and lines; comments are left out.

        Raises:
            StreamError: One is too long.
        """
        *whole, self._rest = (self._rest + data).split(b"\n\n")
        for block in whole:
            name, lines = "", []
            for line in block.split(b"\n"):
                field, _, value = line.partition(b": ")
                if field == b"event":
                    name = value.decode("ascii", "replace")
                elif field == b"data":
                    lines.append(value)
            if lines:
                yield name, lines
        if len(self._rest) > self._max_message_bytes:
            raise StreamError(f"a message of more than {self._max_message_bytes} bytes")
