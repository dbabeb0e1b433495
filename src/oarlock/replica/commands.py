"""What stands in the log: each command as one list in msgpack, its kind first, its proposer's time second.

A program calls many commands at once, and each entry of the log has its price on every server, so calls that come
together are one entry. They are encoded one by one, at the call, as arguments may change after it.
"""

from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import Any, Final

from oarlock.raft.types import Index, ServerId
from oarlock.replica.agreement import Vote
from oarlock.replica.codec import NOT_MSGPACK, SCALARS, Value, check, encode_checked, encode_plain


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
    BATCH = 7
    """Stamp, calls: each a list as above, in a session or not, without a stamp of its own."""


MOST_CALLS: Final = 128
"""Of one entry."""
MOST_BYTES: Final = 16 << 10
"""The same in bytes, unless a single call has more: logs are cut after so many entries, whatever their size."""

_BATCH_HEAD: Final = bytes((0x93, Kind.BATCH))
"""A list of three in msgpack, and the first of them."""
_LIST16: Final = b"\xdc"
"""Begins a list whose length follows in two bytes."""
_are_plain: Final = SCALARS.issuperset
"""Whether these types are of what has no parts."""


def call(
    target: str,
    method: str,
    version: int,
    args: tuple[Value, ...],
    kwargs: Mapping[str, Value],
    session: tuple[str, int, int] | None = None,
) -> bytes:
    """A call of an object's method, for `stamped`.

    Args:
        target: The object.
        method: Of it.
        version: In which it is called.
        args: For it.
        kwargs: For it.
        session: Its id, the serial, and the serial below which all replies are acknowledged; None for no session.

    Raises:
        NotEncodable: An argument is not plain data; names it.
    """
    if kwargs or not _are_plain(map(type, args)):
        _check_arguments(target, method, args, kwargs)
    parts: tuple[Any, ...] = (0, target, method, version, args, kwargs)
    if session is not None:
        parts = (1, *parts[1:], *session)
    try:
        return encode_plain(parts)
    except NOT_MSGPACK:
        return encode_checked(parts, f"the arguments of {target}.{method}")  # raises it by name


def stamped(stamp_ms: int, calls: Sequence[bytes]) -> bytes:
    """Calls as one entry.

    Args:
        stamp_ms: The proposer's time.
        calls: What `call` gave, 1 to 65,535 of them.
    """
    stamp = encode_checked(stamp_ms, "the stamp")
    if len(calls) == 1:
        [alone] = calls  # with a short list's head of one byte, and a kind of one; the list becomes longer by one
        return b"".join((bytes((alone[0] + 1, alone[1])), stamp, alone[2:]))
    return b"".join((_BATCH_HEAD, stamp, _LIST16, len(calls).to_bytes(2), *calls))


def most_calls(data: bytes, start: int) -> int:
    """How many calls an entry may hold whose command begins at a place; no fewer than it has."""
    return MOST_CALLS if data.startswith(_BATCH_HEAD, start) else 1


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
