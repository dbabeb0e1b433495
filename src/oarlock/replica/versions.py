"""Which version of each object's commands is in force, for upgrades one server at a time.

Every server puts into the log which versions its program knows. Once all members know a newer one, an entry of the
leader's puts it in force: at one index, alike on all servers. Until then commands are proposed in the older version,
and methods that do not exist there are refused with the name of the server that lacks them. A version is never taken
back.

A member that has announced nothing counts as knowing version 1 of everything: the servers of a new cluster come up one
by one, and must not wait for the last.
"""

from collections.abc import Iterable
from typing import Any

from oarlock.raft.types import ServerId


class Versions:
    """What was announced, and what is in force: a part of the replicated state."""

    def __init__(self) -> None:
        self.announced: dict[ServerId, dict[str, int]] = {}
        self._in_force: dict[str, int] = {}

    def in_force(self, name: str) -> int:
        """The version of an object's commands that is in force."""
        return self._in_force.get(name, 1)

    def announce(self, server_id: ServerId, known: dict[str, int]) -> None:
        """A server's program knows these versions."""
        self.announced[server_id] = dict(known)

    def put_in_force(self, versions: dict[str, int]) -> None:
        """All members know these versions."""
        for name, version in versions.items():
            self._in_force[name] = max(version, self.in_force(name))

    def forget(self, members: Iterable[ServerId]) -> None:
        """Keep what these servers announced, and nothing of others."""
        kept = set(members)
        self.announced = {server_id: known for server_id, known in self.announced.items() if server_id in kept}

    def due(self, members: Iterable[ServerId]) -> dict[str, int]:
        """What could be put in force: known to all of them, and newer than what is."""
        tables = [self.announced.get(server_id) for server_id in members]
        if not tables or any(table is None for table in tables):
            return {}
        first, *others = [table for table in tables if table is not None]
        due = {}
        for name, known in first.items():
            version = min([known, *(table.get(name, 0) for table in others)])
            if version > self.in_force(name):
                due[name] = version
        return due

    def lacking(self, name: str, version: int, members: Iterable[ServerId]) -> list[ServerId]:
        """The members that do not know a version of an object, as far as they have said."""
        return [
            server_id
            for server_id in members
            if (self.announced[server_id].get(name, 0) if server_id in self.announced else 1) < version
        ]

    def too_new(self, known: dict[str, int]) -> str | None:
        """Why a program that knows these versions cannot take part; None if it can."""
        for name, version in sorted(self._in_force.items()):
            if known.get(name, 0) < version:
                return f"version {version} of {name} is in force; this program knows {known.get(name, 0) or 'none'}"
        return None

    def dump(self) -> list[Any]:
        """All of it as plain data."""
        return [[[server_id, known] for server_id, known in sorted(self.announced.items())], self._in_force]

    def load(self, table: list[Any]) -> None:
        """Replace all of it by what was dumped."""
        announced, self._in_force = table
        self.announced = dict(announced)
