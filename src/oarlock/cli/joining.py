"""Who this server is: from its data directory, from its flags, or from the running cluster that it joins.

A member added to a running cluster gets an id that no flag tells, so with `--initial-cluster-state existing` a fresh
server asks the members named in `--initial-cluster`, at their peer URLs, for the member with its own. Once a directory
has an identity that counts alone, as in etcd.
"""

import asyncio
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from oarlock.cli.settings import ServeSettings
from oarlock.cli.urls import Url, parse_url
from oarlock.etcd.machine import EtcdMachine
from oarlock.node.node import Node
from oarlock.raft.types import ServerId
from oarlock.storage.disk import PosixDisk
from oarlock.storage.identity import load_identity
from oarlock.transport.discovery import ask
from oarlock.transport.tls import PeerTls

logger = logging.getLogger(__name__)

_ASK_S: Final = 2.0
_ASK_AGAIN_S: Final = 0.5
_JOIN_FOR_S: Final = 5.0
"""How long a server that joins waits for the cluster to know it."""


class JoinError(Exception):
    """This server cannot take its place in the cluster; the message says why and what to do."""


class DescribedMember(msgspec.Struct, frozen=True):
    """One member, as a member tells it to a server that asks; ids in hexadecimal."""

    id: str
    peer_urls: tuple[str, ...]
    is_learner: bool
    has_started: bool
    """Whether it has ever told the cluster its name."""


class Description(msgspec.Struct, frozen=True):
    """A cluster, as a member tells it to a server that asks."""

    cluster_id: str
    members: tuple[DescribedMember, ...]


class Place(msgspec.Struct, frozen=True):
    """A server's place in its cluster."""

    cluster_id: int
    server_id: ServerId
    joins: bool
    """Whether the members are learnt from the cluster."""
    peer_urls: dict[ServerId, tuple[Url, ...]]
    """The members known by now, this one included."""


def description_of(cluster_id: int, node: Node) -> bytes:
    """What a member answers: the members in force, since a second voter is committed only with its own help."""
    configuration = node.configuration
    addresses = dict(configuration.addresses)
    published: Mapping[ServerId, object] = node.machine.members if isinstance(node.machine, EtcdMachine) else {}
    members = tuple(
        DescribedMember(
            id=f"{server_id:x}",
            peer_urls=addresses.get(server_id, ()),
            is_learner=server_id in configuration.learners,
            has_started=server_id in published,
        )
        for server_id in sorted(configuration.members)
    )
    return msgspec.json.encode(Description(cluster_id=f"{cluster_id:x}", members=members))


async def find_place(settings: ServeSettings, tls: PeerTls | None) -> Place:
    """Work out who this server is.

    Raises:
        JoinError: The cluster does not know it, or knows that it has lost its data.
        StorageError: The data directory's identity cannot be read.
    """
    planned = {member.id: member.peer_urls for member in settings.members}
    own_urls = planned[settings.server_id]
    identity = load_identity(PosixDisk(), Path(settings.data_dir))
    if identity is not None:
        if settings.joins_existing:
            return Place(identity.cluster_id, identity.server_id, joins=True, peer_urls={identity.server_id: own_urls})
        return Place(settings.cluster_id, settings.server_id, joins=False, peer_urls=planned)
    others = sorted(url for member in settings.members if member.id != settings.server_id for url in member.peer_urls)
    if settings.joins_existing:
        return await _join(own_urls, others, tls)
    await _refuse_lost_data(settings, others, tls)
    return Place(settings.cluster_id, settings.server_id, joins=False, peer_urls=planned)


async def _join(own_urls: tuple[Url, ...], others: list[Url], tls: PeerTls | None) -> Place:
    if not others:
        raise JoinError("--initial-cluster-state is existing, but --initial-cluster names no other member to ask")
    loop = asyncio.get_running_loop()
    give_up_at = loop.time() + _JOIN_FOR_S
    own = {url.text for url in own_urls}
    while True:
        descriptions, failures = await _ask_all(others, tls)
        for description in descriptions:
            for member in description.members:
                if set(member.peer_urls) == own:
                    return _place(description, member)
        if loop.time() >= give_up_at:
            break
        await asyncio.sleep(_ASK_AGAIN_S)
    wanted = ",".join(sorted(own))
    if not descriptions:
        raise JoinError(f"no member of the cluster answers: {'; '.join(failures)}")
    raise JoinError(f"the cluster has no member with peer URLs {wanted}: add it first (etcdctl member add)")


def _place(description: Description, own: DescribedMember) -> Place:
    if own.has_started:
        raise JoinError(
            f"member {own.id} of the cluster has run before, and its data are not in this data directory: "
            f"remove it from the cluster and add it anew"
        )
    urls = {
        int(member.id, 16): tuple(parse_url(text, "a member's peer URL") for text in member.peer_urls)
        for member in description.members
    }
    return Place(int(description.cluster_id, 16), int(own.id, 16), joins=True, peer_urls=urls)


async def _refuse_lost_data(settings: ServeSettings, others: list[Url], tls: PeerTls | None) -> None:
    """A member whose data were lost must not vote as if it never had: it may have acknowledged what it forgot."""
    descriptions, _ = await _ask_all(others, tls)
    for description in descriptions:
        for member in description.members:
            is_own = (description.cluster_id, member.id) == (f"{settings.cluster_id:x}", f"{settings.server_id:x}")
            if is_own and member.has_started:
                raise JoinError(
                    f"member {member.id} has already been part of the cluster, but its data are not in "
                    f"{settings.data_dir}: remove it from the cluster and add it anew"
                )


async def _ask_all(urls: list[Url], tls: PeerTls | None) -> tuple[list[Description], list[str]]:
    """The answers of all members that answer, and what went wrong with the others."""
    loop = asyncio.get_running_loop()

    async def ask_one(url: Url) -> Description | str:
        try:
            answer = await ask(loop, url.address, tls if url.is_secure else None, _ASK_S)
            return msgspec.json.decode(answer, type=Description)
        except (OSError, msgspec.MsgspecError) as error:
            return f"{url.text}: {str(error) or type(error).__name__}"

    answers = await asyncio.gather(*(ask_one(url) for url in urls))
    descriptions = [answer for answer in answers if isinstance(answer, Description)]
    return descriptions, [answer for answer in answers if isinstance(answer, str)]
