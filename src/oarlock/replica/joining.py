"""A server joins by one address and a token, both sides proving that they know it without sending it.

The one that joins draws an id and asks to be taken in; whichever member is asked has it added as a learner, by way of
the leader, so that an empty server counts for nothing. When it has caught up it asks for its vote. What was recorded of
such a talk is of no use to anybody: asked again, the same server would be added at the same address, and an id that was
removed is never added again. Whoever reads the traffic can try tokens offline, so a token is to be long and drawn by
chance, or the traffic encrypted.
"""

import asyncio
import hmac
import logging
import random
from collections.abc import Callable
from typing import Final

import msgspec

from oarlock.node.addresses import parse_address
from oarlock.node.errors import ChangeRefused, Refusal
from oarlock.node.members import Change, ChangeKind
from oarlock.node.node import Node as CoreNode
from oarlock.raft.types import Configuration, ServerId
from oarlock.replica.errors import JoinRefused, OarlockError
from oarlock.replica.place import Place, normal
from oarlock.transport.discovery import ask
from oarlock.transport.tls import PeerTls

logger = logging.getLogger(__name__)

_ASK_S: Final = 5.0
_JOIN_FOR_S: Final = 20.0
_PAUSE_S: Final = 0.3
_CHANGE_S: Final = 4.0
"""Below the time that a connection has for its question."""
_NONCE_BITS: Final = 128
_ID_BITS: Final = 63


class _Request(msgspec.Struct, frozen=True, array_like=True):
    version: int
    server_id: ServerId
    address: str
    nonce: bytes
    proof: bytes
    known: dict[str, int] | None = None
    """Which versions its program knows; not said by servers of before, which are refused later."""


class _Answer(msgspec.Struct, frozen=True, array_like=True):
    error: str
    retry: bool
    cluster_id: int
    members: dict[ServerId, str]
    proof: bytes


def _prove(token: str, label: str, name: str, nonce: bytes, *parts: object) -> bytes:
    message = msgspec.msgpack.encode([label, name, nonce, *parts])
    return hmac.digest(token.encode(), message, "sha256")


# -- the side that joins -----------------------------------------------------------------------------------------------


async def join(
    loop: asyncio.AbstractEventLoop,
    contact: str,
    address: str,
    name: str,
    token: str,
    tls: PeerTls | None,
    rng: random.Random,
    known: dict[str, int] | None = None,
) -> Place:
    """Have this server taken in.

    Args:
        loop: The running loop.
        contact: Where a member is reached.
        address: Of this server.
        name: The cluster's.
        token: The cluster's.
        tls: This server's files.
        rng: For its id.
        known: Which versions of each object its program knows.

    Raises:
        JoinRefused: It was not; the text says why.
    """
    server_id = rng.getrandbits(_ID_BITS) | 1
    nonce = rng.getrandbits(_NONCE_BITS).to_bytes(_NONCE_BITS // 8)
    proof = _prove(token, "join", name, nonce, server_id, address)
    question = msgspec.msgpack.encode(_Request(1, server_id, address, nonce, proof, known))
    give_up_at = loop.time() + _JOIN_FOR_S
    former = ""
    while True:
        why, retry = "", True
        try:
            answer = msgspec.msgpack.decode(
                await ask(loop, parse_address(contact), tls, _ASK_S, question), type=_Answer
            )
        except (OSError, msgspec.DecodeError) as error:
            why = str(error) or type(error).__name__
        else:
            if not answer.error:
                return _place(answer, token, name, nonce, server_id, address)
            why, retry = answer.error, answer.retry
        if not retry or loop.time() >= give_up_at:
            raise JoinRefused(f"{contact} does not take {address} into cluster {name}: {why}")
        if why != former:
            logger.warning(
                "server %s asks %s to take it in, for up to %.0f s: %s",
                address,
                contact,
                _JOIN_FOR_S,
                why,
                extra={"address": address, "reason": why},
            )
            former = why
        await asyncio.sleep(_PAUSE_S)


def _place(answer: _Answer, token: str, name: str, nonce: bytes, server_id: ServerId, address: str) -> Place:
    expected = _prove(token, "welcome", name, nonce, answer.cluster_id, sorted(answer.members.items()))
    if not hmac.compare_digest(expected, answer.proof):
        raise JoinRefused(f"whoever answers for cluster {name} does not know its token")
    return Place(answer.cluster_id, server_id, joins=True, members={**answer.members, server_id: address})


# -- the side that is asked --------------------------------------------------------------------------------------------


class Doorkeeper:
    """Answers servers that want to join; on the node's loop.

    Args:
        token: What they must know; servers without one take nobody in.
        name: The cluster's.
        cluster_id: The cluster's.
        core: The node, once there is one.
        too_new: Why a program that knows certain versions cannot take part, as far as this server has applied the log.
    """

    def __init__(
        self,
        token: str | None,
        name: str,
        cluster_id: int,
        core: Callable[[], CoreNode],
        too_new: Callable[[dict[str, int]], str | None],
    ) -> None:
        self._token = token
        self._name = name
        self._cluster_id = cluster_id
        self._core = core
        self._too_new = too_new

    async def consider(self, question: bytes) -> bytes:
        """Answer one question."""
        try:
            request = msgspec.msgpack.decode(question, type=_Request)
            address = normal(request.address)
        except (msgspec.DecodeError, ValueError) as error:
            return self._refusal(f"a request that cannot be read: {error}")
        token = self._token
        if not token:
            return self._refusal("this cluster has no token: it takes nobody in")
        proof = _prove(token, "join", self._name, request.nonce, request.server_id, request.address)
        if not hmac.compare_digest(proof, request.proof):
            logger.warning(
                "refused a server that calls itself %s: wrong token, or of another cluster",
                address,
                extra={"address": address, "reason": "token"},
            )
            return self._refusal("wrong token, or another cluster's name")
        too_new = self._too_new(request.known) if request.known is not None else None
        if too_new is not None:
            logger.warning(
                "refused server %s, whose program is too old: %s",
                address,
                too_new,
                extra={"address": address, "reason": too_new},
            )
            return self._refusal(f"its program is too old: {too_new}")
        core = self._core()
        try:
            configuration = await core.change_membership(_admission(core, request.server_id, address), _CHANGE_S)
        except ChangeRefused as error:
            return self._refusal(str(error), retry=error.refusal is Refusal.UNHEALTHY)
        except OarlockError as error:
            return self._refusal(f"{type(error).__name__}: {error}", retry=True)
        logger.info(
            "server %s (%x) joins",
            address,
            request.server_id,
            extra={"address": address, "server_id": request.server_id},
        )
        members = _addresses(configuration)
        proof = _prove(token, "welcome", self._name, request.nonce, self._cluster_id, sorted(members.items()))
        return msgspec.msgpack.encode(_Answer("", False, self._cluster_id, members, proof))

    def _refusal(self, why: str, *, retry: bool = False) -> bytes:
        return msgspec.msgpack.encode(_Answer(why, retry, 0, {}, b""))


def _admission(core: CoreNode, server_id: ServerId, address: str) -> list[Change]:
    """Add the server; in the place of a learner at the same address, which it was itself before it got anywhere."""
    configuration = core.configuration
    if server_id in configuration.members:
        return [Change(ChangeKind.UPDATE, server_id, (address,))]
    held = _addresses(configuration)
    former = [learner for learner in sorted(configuration.learners) if held.get(learner) == address]
    return [
        *(Change(ChangeKind.REMOVE, learner) for learner in former),
        Change(ChangeKind.ADD_LEARNER, server_id, (address,)),
    ]


def _addresses(configuration: Configuration) -> dict[ServerId, str]:
    return {
        server_id: addresses[0]
        for server_id, addresses in configuration.addresses
        if addresses and server_id in configuration.members
    }
