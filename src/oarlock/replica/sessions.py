"""Sessions of clients outside the servers: each serial is carried out once, however often sent (dissertation 6.3).

The table is part of the replicated state, so it goes through elections, restarts and snapshots with the rest. It is
bounded in sessions, in replies that a session keeps, and in how long an idle session lasts, by machine time; all of
which are fixed when a session is opened, by its entry in the log, and so alike on all servers.
"""

from collections.abc import Callable
from typing import Any, Final

import msgspec

from oarlock.raft.types import Index
from oarlock.replica.errors import Overloaded, SerialForgotten, SessionExpired, TooManySessions

MAX_REPLIES: Final = 1024
"""That a session keeps because the client has not yet said that it has them."""


class _Session(msgspec.Struct, array_like=True):
    ttl_ms: int
    used_ms: int
    """When it was last used, in machine time."""
    floor: int = 1
    """The lowest serial whose reply the client may still ask for."""
    replies: dict[int, bytes] = {}


class Sessions:
    """The table of sessions."""

    def __init__(self) -> None:
        self._sessions: dict[str, _Session] = {}

    def __len__(self) -> int:
        return len(self._sessions)

    def open(self, index: Index, now_ms: int, nonce: str, ttl_ms: int, most: int) -> str:
        """Open a session; its id, which nobody can guess.

        Args:
            index: Of the entry.
            now_ms: Machine time.
            nonce: Drawn by the server that proposed.
            ttl_ms: How long it may lie idle.
            most: How many there may be with this one.

        Raises:
            TooManySessions: There are as many, and all in use.
        """
        if len(self._sessions) >= most:
            self._sessions = {key: held for key, held in self._sessions.items() if not _is_over(held, now_ms)}
        if len(self._sessions) >= most:
            raise TooManySessions(f"{len(self._sessions)} sessions are open; the limit is {most}")
        key = f"{index:x}-{nonce}"
        self._sessions[key] = _Session(ttl_ms, now_ms)
        return key

    def call(self, now_ms: int, key: str, serial: int, acknowledged: int, run: Callable[[], bytes]) -> bytes:
        """Carry out a serial, or give the reply that it had.

        Args:
            now_ms: Machine time.
            key: The session's id.
            serial: From 1; the same for every attempt at one command.
            acknowledged: The client has the replies to all serials below.
            run: Carries it out; the reply.

        Raises:
            SessionExpired: There is no such session.
            SerialForgotten: The client had said that it has this reply.
            Overloaded: The client keeps too many replies waiting.
        """
        session = self._find(key, now_ms)
        session.used_ms = now_ms
        if acknowledged > session.floor:
            session.floor = acknowledged
            session.replies = {number: reply for number, reply in session.replies.items() if number >= acknowledged}
        if serial < session.floor:
            raise SerialForgotten(f"session {key}: serial {serial} was acknowledged, as all below {session.floor}")
        reply = session.replies.get(serial)
        if reply is None:
            if len(session.replies) >= MAX_REPLIES:
                raise Overloaded(f"session {key}: {MAX_REPLIES} replies are not acknowledged")
            reply = session.replies[serial] = run()
        return reply

    def _find(self, key: str, now_ms: int) -> _Session:
        session = self._sessions.get(key)
        if session is not None and _is_over(session, now_ms):
            del self._sessions[key]
            session = None
        if session is None:
            raise SessionExpired(f"session {key} is not known, or was idle for too long")
        return session

    def close(self, key: str) -> None:
        """Forget a session."""
        self._sessions.pop(key, None)

    def dump(self) -> dict[str, Any]:
        """The table as plain data."""
        table: dict[str, Any] = msgspec.to_builtins(self._sessions, builtin_types=(bytes,))
        return table

    def load(self, table: object) -> None:
        """Replace the table by a dumped one."""
        self._sessions = msgspec.convert(table, dict[str, _Session])


def _is_over(session: _Session, now_ms: int) -> bool:
    return now_ms - session.used_ms > session.ttl_ms
