"""Functions of numbers that are worked out where they are asked for, once, or again after they were forgotten."""

from collections.abc import Callable
from typing import Final

MOST_KNOWN: Final = 10_000_000
"""Values that are kept at a time, of all functions of an exploration: about a gigabyte."""


class Memory:
    """What many tables know together, so that they can forget it when it becomes too much."""

    def __init__(self) -> None:
        self._tables: list[Table] = []
        self.known = 0
        """How many values tables hold."""

    def add(self, table: "Table") -> None:
        """Have a table forget with the others."""
        self._tables.append(table)

    def forget(self) -> None:
        """Empty all tables."""
        for table in self._tables:
            table.clear()
        self.known = 0


class Table(dict[int, int]):
    """A function of numbers, as far as it was asked for.

    Args:
        function: The function.
        memory: Whose tables forget together.
    """

    __slots__ = ("_function", "_memory")

    def __init__(self, function: Callable[[int], int], memory: Memory) -> None:
        super().__init__()
        self._function = function
        self._memory = memory
        memory.add(self)

    def __missing__(self, number: int) -> int:
        value = self[number] = self._function(number)
        self._memory.known += 1
        return value

    # Two are one only if they are the same.
    __eq__ = object.__eq__
    __hash__ = object.__hash__  # type: ignore[assignment]
