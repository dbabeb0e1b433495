"""Servers that stand together, and all that follows from that, whatever is under way between them."""

from collections.abc import Callable
from typing import NamedTuple

from oarlock.explore.choices import Choices, Menu
from oarlock.explore.numbers import Table

Settlers = tuple[tuple[Table, ...], ...]
"""For the part of each server, what becomes of it by that server, and by each of the others."""


class Names(NamedTuple):
    """Servers under other names."""

    servers: tuple[int, ...]
    owners: tuple[int, ...]
    """Of each place, whose part of the network comes there."""
    parts: Table
    """Parts under those names."""
    histories: Table
    """Histories under those names."""


class Standing:
    """Servers that stand together.

    Args:
        servers: Their numbers.
        names: The names under which they are counted; several, where it depends on what is under way. Empty for the
            names that they have.
    """

    __slots__ = ("choices", "names", "next", "servers", "settlers")

    def __init__(self, servers: tuple[int, ...], names: tuple[Names, ...]) -> None:
        self.servers = servers
        self.names = names
        self.next: dict[int, Standing] = {}
        """What becomes of them when one becomes another state."""
        self.choices: dict[int, tuple[tuple[Menu, Choices], ...]] = {}
        """What each may do, by what happened."""
        self.settlers: list[Settlers | None] = [None, None]
        """Where no crash is to come, and where one may."""


class Standings(dict[tuple[int, ...], Standing]):
    """All that were met.

    Args:
        make: Makes one.
    """

    def __init__(self, make: Callable[[tuple[int, ...]], Standing]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, servers: tuple[int, ...]) -> Standing:
        standing = self[servers] = self._make(servers)
        return standing
