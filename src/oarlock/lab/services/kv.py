"""The versioned key-value service: a put names the version that it replaces, so a repeated one does no harm."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

from oarlock.lab.group import Service
from oarlock.lab.interface import ClientEnd, Persister, Runtime
from oarlock.lab.services.asking import Asking
from oarlock.lab.services.interface import Error, MakeRsm, ReplicatedMachine


class Get(msgspec.Struct, frozen=True, tag=True):
    """Ask for a key."""

    key: str


class Put(msgspec.Struct, frozen=True, tag=True):
    """Write a key, if it has this version; 0 makes it."""

    key: str
    value: str
    version: int


class GetReply(msgspec.Struct, frozen=True, kw_only=True):
    """What a key holds."""

    error: Error
    value: str = ""
    version: int = 0


class PutReply(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a put."""

    error: Error


_ENCODER: Final = msgspec.msgpack.Encoder()
_REQUEST: Final = msgspec.msgpack.Decoder(Get | Put)
_GET_REPLY: Final = msgspec.msgpack.Decoder(GetReply)
_PUT_REPLY: Final = msgspec.msgpack.Decoder(PutReply)
_STATE: Final = msgspec.msgpack.Decoder(dict[str, tuple[str, int]])

Held = dict[str, tuple[str, int]]
"""Value and version by key."""


def get_from(held: Held, asked: Get) -> GetReply:
    """Answer a get."""
    if asked.key not in held:
        return GetReply(error=Error.NO_KEY)
    value, version = held[asked.key]
    return GetReply(error=Error.OK, value=value, version=version)


def put_into(held: Held, asked: Put) -> PutReply:
    """Carry out a put."""
    version = held[asked.key][1] if asked.key in held else 0
    if version != asked.version:
        return PutReply(error=Error.VERSION if asked.key in held else Error.NO_KEY)
    held[asked.key] = (asked.value, version + 1)
    return PutReply(error=Error.OK)


class VersionedStore:
    """The machine."""

    def __init__(self) -> None:
        self._held: Held = {}

    def do_op(self, request: bytes) -> bytes:
        """See `interface.Machine`."""
        asked = _REQUEST.decode(request)
        return _ENCODER.encode(get_from(self._held, asked) if isinstance(asked, Get) else put_into(self._held, asked))

    def snapshot(self) -> bytes:
        """See `interface.Machine`."""
        return _ENCODER.encode(self._held)

    def restore(self, data: bytes) -> None:
        """See `interface.Machine`."""
        self._held = _STATE.decode(data)


class KvServer:
    """Handlers that have requests agreed on."""

    def __init__(self, rsm: ReplicatedMachine) -> None:
        self._rsm = rsm

    def get(self, asked: Get) -> GetReply:
        """Handle a get."""
        error, reply = self._rsm.submit(_ENCODER.encode(asked))
        return _GET_REPLY.decode(reply) if error == Error.OK else GetReply(error=Error(error))

    def put(self, asked: Put) -> PutReply:
        """Handle a put."""
        error, reply = self._rsm.submit(_ENCODER.encode(asked))
        return _PUT_REPLY.decode(reply) if error == Error.OK else PutReply(error=Error(error))

    def kill(self) -> None:
        """Answer all who wait."""
        self._rsm.kill()


def start_kv_server(
    make_rsm: MakeRsm, peers: Sequence[ClientEnd], me: int, persister: Persister, max_raft_state: int
) -> Mapping[str, Service]:
    """A life of a server of the key-value service."""
    rsm = make_rsm(peers, me, persister, max_raft_state, VersionedStore())
    return {"Raft": rsm.raft, "Kv": KvServer(rsm)}


class Clerk:
    """A client: keeps asking, the leader that it knows first. For one thread at a time.

    Args:
        runtime: Where time comes from.
        ends: To all servers.
        is_over: Tells it to stop asking; it then raises `Interrupted`.
    """

    def __init__(
        self, runtime: Runtime, ends: Sequence[ClientEnd], is_over: Callable[[], bool] = lambda: False
    ) -> None:
        self._asking = Asking(runtime, ends, is_over)

    def get(self, key: str) -> tuple[str, int, Error]:
        """See `interface.KvClerk`."""
        while True:
            reply: GetReply | None = self._asking.end.call("Kv.get", Get(key), GetReply)
            if reply is not None and reply.error in (Error.OK, Error.NO_KEY):
                return reply.value, reply.version, reply.error
            self._asking.try_another()

    def put(self, key: str, value: str, version: int) -> Error:
        """See `interface.KvClerk`."""
        may_be_done = False
        while True:
            reply: PutReply | None = self._asking.end.call("Kv.put", Put(key, value, version), PutReply)
            if reply is not None and reply.error not in (Error.WRONG_LEADER, Error.UNKNOWN):
                return Error.MAYBE if may_be_done and reply.error is Error.VERSION else reply.error
            # A server that did not lead did nothing; all else may have been carried out.
            may_be_done = may_be_done or reply is None or reply.error is Error.UNKNOWN
            self._asking.try_another()
