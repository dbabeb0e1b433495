"""Who last wrote each variable of one server: the other half of read-provenance."""

from bisect import bisect_right
from collections.abc import Iterator

from oarlock.trace.schema import LogDelta
from oarlock.trace.watch import SCALARS

_LONGEST_RANGE = 64
"""Runs of entries, each written by one event, that one read may name."""


class LastWriters:
    """From variable to event id."""

    def __init__(self) -> None:
        self._by_variable: dict[str, str] = {}
        self._firsts: list[int] = []
        self._runs: list[tuple[int, str]] = []
        """Of entries: the last index of a run, and who wrote it; `_firsts` has where each begins."""

    def get(self, variable: str) -> str | None:
        """The event that last wrote it, as far as known; `log.7` and `prefix.7` by the entry there or before."""
        head, _, index = variable.partition(".")
        if head == "log":
            return self._of_entry(int(index))
        if head == "prefix":
            return self._of_entry(int(index))
        return self._by_variable.get(variable)

    def set(self, variable: str, event_id: str) -> None:
        """An event wrote a variable that no delta shows."""
        self._by_variable[variable] = event_id

    def of_entries(self, first: int, last: int) -> Iterator[tuple[str, str]]:
        """Variables and writers for a range of entries, one for each run."""
        position = max(0, bisect_right(self._firsts, first) - 1)
        for begins, (ends, event_id) in zip(
            self._firsts[position : position + _LONGEST_RANGE],
            self._runs[position : position + _LONGEST_RANGE],
            strict=True,
        ):
            if begins > last:
                return
            if ends >= first:
                yield f"log.{max(first, begins)}", event_id

    def _of_entry(self, index: int) -> str | None:
        position = bisect_right(self._firsts, index) - 1
        if position >= 0 and self._runs[position][0] >= index:
            return self._runs[position][1]
        return self._by_variable.get("base")

    def begin(self, event_id: str, first: int, last: int) -> None:
        """A life begins: all of it is as recovered."""
        for name in (*SCALARS, "base", "last"):
            self._by_variable[name] = event_id
        if first <= last:
            self._append(first, last, event_id)

    def wrote(self, event_id: str, changed: list[str], gone: list[str], log: LogDelta | None) -> None:
        """An event changed variables, ended others, and perhaps wrote entries of the log."""
        for variable in gone:
            self._by_variable.pop(variable, None)
        for variable in changed:
            self._by_variable[variable] = event_id
        if log is not None:
            self._wrote_log(event_id, log)

    def _wrote_log(self, event_id: str, log: LogDelta) -> None:
        if log.base is not None:
            gone = 0
            while gone < len(self._runs) and self._runs[gone][0] <= log.base[0]:
                gone += 1
            del self._firsts[:gone], self._runs[:gone]
        if log.trunc:
            while self._firsts and self._firsts[-1] >= log.trunc:
                self._firsts.pop()
                self._runs.pop()
            if self._runs and self._runs[-1][0] >= log.trunc:
                self._runs[-1] = (log.trunc - 1, self._runs[-1][1])
        if log.app:
            self._append(log.app[0][0], log.app[-1][0], event_id)

    def _append(self, first: int, last: int, event_id: str) -> None:
        self._firsts.append(first)
        self._runs.append((last, event_id))
