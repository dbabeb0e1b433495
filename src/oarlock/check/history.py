"""What clients asked and were answered, and when: histories, and their file format `oarlock-history/1`.

The file is JSON Lines, UTF-8. Its first line says what it is, `{"format": "oarlock-history/1", "model": "kv"}`;
every other line is one operation. Times are numbers of any one clock; only their order counts.
"""

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias, TypeVar

import msgspec

FORMAT: Final = "oarlock-history/1"

MAX_OPERATIONS: Final = 1_000_000
"""In one history; a longer one is refused, because the search must hold all of it."""
MAX_LINE_BYTES: Final = 1 << 20
"""In one line of a file."""

_T = TypeVar("_T")

Time = int | float
"""A moment, in any unit, on the one clock of the history."""
ClientId = int | str

Json: TypeAlias = Any
"""A value as JSON has it."""


class HistoryError(ValueError):
    """A history that cannot be read: says the source, the line and the field."""


class Operation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One request of one client, and its answer if there was one.

    A request that certainly took no effect does not belong in a history. One that may have taken effect, at any time
    after its call or never, has no return.
    """

    client: ClientId
    kind: str
    """What was asked, such as "read"; the model says which kinds there are."""
    key: str = ""
    """The object asked, where a model has several independent ones."""
    input: Json = None
    output: Json = None
    call: Time
    """When the request may have begun to take effect: just before it was sent."""
    return_: Time | None = msgspec.field(default=None, name="return")
    """When the answer was known; None if the outcome is not."""


class History(msgspec.Struct, frozen=True):
    """Operations of all clients, in any order."""

    operations: tuple[Operation, ...]
    model: str | None = None
    """The model that the history was recorded for, by name."""
    source: str = "history"
    """Where it came from, for messages."""

    def place(self, position: int) -> str:
        """Where the operation at `position` stands, for messages."""
        return f"{self.source}:{position + 2}"


class Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The first line of a file."""

    format: str
    model: str | None = None
    comment: str = ""


_HEADER = msgspec.json.Decoder(Header)
_OPERATION = msgspec.json.Decoder(Operation)
_AT_PATH = re.compile(r"^(?P<why>.*) - at `\$(?P<path>.+)`$", re.DOTALL)


def read_history(path: Path | str) -> History:
    """Read a history from a file.

    Raises:
        HistoryError: The file is not one, or too long; names the line and the field.
        OSError: The file cannot be opened.
    """
    path = Path(path)
    with path.open("rb") as lines:
        return parse_history(iter(lambda: lines.readline(MAX_LINE_BYTES + 1), b""), path.name)


def parse_history(lines: Iterable[bytes], source: str = "history") -> History:
    """Read a history from its lines.

    Raises:
        HistoryError: As `read_history`.
    """
    numbered = enumerate(lines, 1)
    _, first = next(numbered, (1, b""))
    header = _decode(_HEADER, first, f"{source}:1")
    if header.format != FORMAT:
        raise HistoryError(f'{source}:1: format: expected "{FORMAT}", got "{header.format}"')
    operations: list[Operation] = []
    for number, line in numbered:
        if len(operations) == MAX_OPERATIONS:
            raise HistoryError(f"{source}:{number}: more than {MAX_OPERATIONS} operations")
        operation = _decode(_OPERATION, line, f"{source}:{number}")
        _check_times(operation, f"{source}:{number}")
        operations.append(operation)
    return History(tuple(operations), header.model, source)


def make_history(operations: Iterable[Operation], model: str | None = None, source: str = "history") -> History:
    """A history of operations at hand.

    Raises:
        HistoryError: An operation returns before its call, or there are too many.
    """
    history = History(tuple(operations), model, source)
    if len(history.operations) > MAX_OPERATIONS:
        raise HistoryError(f"{source}: more than {MAX_OPERATIONS} operations")
    for position, operation in enumerate(history.operations):
        _check_times(operation, history.place(position))
    return history


def history_lines(history: History, comment: str = "") -> Iterator[bytes]:
    """The lines of a file, each with its line feed."""
    header: dict[str, str] = {"format": FORMAT}
    if history.model is not None:
        header["model"] = history.model
    if comment:
        header["comment"] = comment
    yield msgspec.json.encode(header) + b"\n"
    for operation in history.operations:
        yield _encode(operation) + b"\n"


def write_history(history: History, path: Path | str, comment: str = "") -> None:
    """Write a history to a file, replacing it."""
    with Path(path).open("wb") as file:
        file.writelines(history_lines(history, comment))


def clients_of(operations: Sequence[Operation]) -> list[ClientId]:
    """Every client, in order of first appearance."""
    return list(dict.fromkeys(operation.client for operation in operations))


def explain(error: Exception, field: str = "") -> str:
    """An error of msgspec as "field: reason", where the value that was decoded is `field`."""
    match = _AT_PATH.match(str(error))
    if match is None:
        return f"{field}: {error}" if field else str(error)
    return f"{(field + match['path']).removeprefix('.')}: {match['why']}"


def _encode(operation: Operation) -> bytes:
    fields: dict[str, Any] = {"client": operation.client, "kind": operation.kind}
    if operation.key:
        fields["key"] = operation.key
    for name in ("input", "output"):
        if (value := getattr(operation, name)) is not None:
            fields[name] = value
    fields["call"] = operation.call
    fields["return"] = operation.return_
    return msgspec.json.encode(fields)


def _decode(decoder: msgspec.json.Decoder[_T], line: bytes, where: str) -> _T:
    if len(line) > MAX_LINE_BYTES:
        raise HistoryError(f"{where}: longer than {MAX_LINE_BYTES} bytes")
    try:
        return decoder.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise HistoryError(f"{where}: {explain(error)}") from None


def _check_times(operation: Operation, where: str) -> None:
    for name, moment in (("call", operation.call), ("return", operation.return_)):
        if moment is not None and not math.isfinite(moment):
            raise HistoryError(f"{where}: {name}: {moment} is no time")
    if operation.return_ is not None and operation.return_ < operation.call:
        raise HistoryError(f"{where}: return: {operation.return_} is before the call at {operation.call}")
