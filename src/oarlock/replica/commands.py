"""What stands in the log: each command as one list in msgpack, its kind first, its proposer's time second."""

from collections.abc import Mapping
from enum import IntEnum
from typing import Any, Final

from oarlock.raft.types import Index, ServerId
from oarlock.replica.agreement import Vote
from oarlock.replica.codec import SCALARS, Value, check, encode_checked


class Kind(IntEnum):
    """What an entry is; the numbers are in logs and never change their meaning."""

    CALL = 0
    """Stamp, object, method, version, arguments, named arguments."""
    IN_SESSION = 1
    """Stamp, object, method, version, arguments, named arguments, session, serial, acknowledged."""
    OPEN_SESSION = 2
    """Stamp, nonce, idle limit in ms, how many sessions there may be."""
    CLOSE_SESSION = 3
    """Stamp, session."""
    ANNOUNCE = 4
    """Stamp, server, {object: version}."""
    PUT_IN_FORCE = 5
    """Stamp, {object: version}, members."""
    VOTE = 6
    """Stamp, server, index, hash of results, hash of the state or nothing."""


_are_plain: Final = SCALARS.issuperset
"""Whether these types are of what has no parts."""


def call(
    stamp_ms: int, target: str, method: str, version: int, args: tuple[Value, ...], kwargs: Mapping[str, Value]
) -> bytes:
    """A call of an object's method.

    Raises:
        NotEncodable: An argument is not plain data; names it.
    """
    if kwargs or not _are_plain(map(type, args)):
        _check_arguments(target, method, args, kwargs)
    command = (0, stamp_ms, target, method, version, args, kwargs)
    return encode_checked(command, "the arguments of %s.%s", target, method)


def in_session(
    stamp_ms: int,
    target: str,
    method: str,
    version: int,
    args: tuple[Value, ...],
    kwargs: Mapping[str, Value],
    session: tuple[str, int, int],
) -> bytes:
    """The same, as a serial of a session.

    Args:
        stamp_ms: The proposer's time.
        target: The object.
        method: Of it.
        version: In which it is called.
        args: For it.
        kwargs: For it.
        session: Its id, the serial, and the serial below which all replies are acknowledged.

    Raises:
        NotEncodable: An argument is not plain data; names it.
    """
    _check_arguments(target, method, args, kwargs)
    command = (int(Kind.IN_SESSION), stamp_ms, target, method, version, args, kwargs, *session)
    return encode_checked(command, "the arguments of %s.%s", target, method)


def _check_arguments(target: str, method: str, args: tuple[Value, ...], kwargs: Mapping[str, Value]) -> None:
    for position, value in enumerate(args, 1):
        check(value, "argument %d of %s.%s", position, target, method)
    for name, value in kwargs.items():
        check(value, "argument %s of %s.%s", name, target, method)


def open_session(stamp_ms: int, nonce: str, ttl_ms: int, most: int) -> bytes:
    """Open a session."""
    return _encode(Kind.OPEN_SESSION, stamp_ms, nonce, ttl_ms, most)


def close_session(stamp_ms: int, session: str) -> bytes:
    """Close a session."""
    return _encode(Kind.CLOSE_SESSION, stamp_ms, session)


def announce(stamp_ms: int, server_id: ServerId, known: dict[str, int]) -> bytes:
    """A server says which versions its program knows."""
    return _encode(Kind.ANNOUNCE, stamp_ms, server_id, known)


def put_in_force(stamp_ms: int, versions: dict[str, int], members: list[ServerId]) -> bytes:
    """The leader has seen that all members know these versions; of others nothing need be remembered."""
    return _encode(Kind.PUT_IN_FORCE, stamp_ms, versions, members)


def vote(stamp_ms: int, server_id: ServerId, index: Index, cast: Vote) -> bytes:
    """A server's hashes at an index."""
    return _encode(Kind.VOTE, stamp_ms, server_id, index, cast.results, cast.state)


def _encode(kind: Kind, *rest: Any) -> bytes:  # noqa: ANN401
    return encode_checked([int(kind), *rest], kind.name)
