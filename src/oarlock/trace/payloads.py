"""Messages and values as JSON may show them: clients' bytes hashed unless asked otherwise, wide integers as strings."""

import base64
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from hashlib import blake2b
from typing import Any, Final

import msgspec

from oarlock.trace.schema import LARGEST_SAFE_INTEGER, ConfigurationView, LogRow, server_name

_KEPT_ROWS: Final = 4096
_LONGEST_TEXT: Final = 4096


class Payloads:
    """Shows bytes of clients.

    A hash says whether two payloads are equal, no more; but short or guessable ones can be found by trying. With a
    key, known to those who may compare, that too is closed.
    """

    def __init__(self, mode: str = "hashed", key: bytes = b"") -> None:
        """Choose how.

        Args:
            mode: `hashed`, `omitted` or `verbatim` (in base64).
            key: For the hashes, up to 64 bytes; the same on all servers, or hashes cannot be compared.

        Raises:
            ValueError: There is no such mode, or the key is too long.
        """
        shows: dict[str, Callable[[bytes], str | None]] = {
            "hashed": lambda data: blake2b(data, digest_size=8, key=key).hexdigest(),
            "omitted": lambda _: None,
            "verbatim": lambda data: base64.b64encode(data).decode(),
        }
        if mode not in shows:
            raise ValueError(f"payloads are shown hashed, omitted or verbatim, not {mode!r}")
        if len(key) > blake2b.MAX_KEY_SIZE:
            raise ValueError(f"the key for payloads must have at most {blake2b.MAX_KEY_SIZE} bytes, not {len(key)}")
        self.mode = mode
        self.show = shows[mode]
        self._rows: dict[int, tuple[Any, LogRow]] = {}

    def row(self, entry: Any) -> LogRow:  # noqa: ANN401 - an entry of the core's log
        """A log entry; a leader shows each of its own several times, so the newest are kept."""
        index: int = entry.index
        kept = self._rows.get(index)
        if kept is not None and kept[0] is entry:
            return kept[1]
        row = (index, int(entry.term), int(entry.kind), self.show(entry.data) if entry.data else "")
        self._rows[index] = (entry, row)
        if len(self._rows) > _KEPT_ROWS:
            del self._rows[next(iter(self._rows))]
        return row


class Fields:
    """Shows messages and operands."""

    def __init__(self, payloads: Payloads) -> None:
        self._payloads = payloads
        self._plans: dict[type, list[tuple[str, Any, Callable[[Any], Any]]]] = {}

    def of(self, message: Any) -> dict[str, Any]:  # noqa: ANN401 - any message
        """A message's fields but for its sender, which is the event's; those at their default are left out."""
        kind = type(message)
        plan = self._plans.get(kind)
        if plan is None:
            plan = self._plans[kind] = self._plan(kind)
        shown = {"type": kind.__name__}
        for name, default, show in plan:
            value = getattr(message, name)
            if value != default:
                shown[name] = show(value)
        return shown

    def _plan(self, kind: type) -> list[tuple[str, Any, Callable[[Any], Any]]]:
        shows: dict[str, Callable[[Any], Any]] = {
            "entries": lambda entries: [self._payloads.row(entry) for entry in entries],
            "metadata": lambda held: [held.last_included_index, held.last_included_term],
        }
        return [
            (field.name, field.default, shows.get(field.name, self.plain))
            for field in msgspec.structs.fields(kind)
            if field.name != "source"
        ]

    def plain(self, value: Any) -> Any:  # noqa: ANN401 - anything in, JSON out
        """Any value, as JSON can hold it."""
        kind = type(value)
        if kind is int and -LARGEST_SAFE_INTEGER <= value <= LARGEST_SAFE_INTEGER:
            return value
        if value is None or kind is bool:
            return value
        if isinstance(value, float):
            return round(value, 6)
        if isinstance(value, int):
            return int(value) if -LARGEST_SAFE_INTEGER <= value <= LARGEST_SAFE_INTEGER else str(int(value))
        if isinstance(value, str):
            return value[:_LONGEST_TEXT]
        if isinstance(value, bytes):
            return {"bytes": len(value), "payload": self._payloads.show(value)}
        if isinstance(value, Mapping):
            return {str(name): self.plain(each) for name, each in value.items()}
        if isinstance(value, AbstractSet):
            return sorted(map(self.plain, value))
        if isinstance(value, list | tuple):
            return [self.plain(each) for each in value]
        return str(value)[:_LONGEST_TEXT]


def name_or_none(server_id: int | None) -> str | None:
    """A server's name, if there is one."""
    return None if server_id is None else server_name(server_id)


def configuration_view(configuration: Any) -> ConfigurationView:  # noqa: ANN401 - the core's
    """A configuration, by names."""
    return ConfigurationView(
        tuple(map(server_name, sorted(configuration.voters))),
        tuple(map(server_name, sorted(configuration.voters_outgoing))),
        tuple(map(server_name, sorted(configuration.learners))),
    )
