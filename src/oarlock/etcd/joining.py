"""Joining a running cluster: a server asks the members who it is, and members answer.

A member added to a running cluster gets an id that no flag tells. So a fresh server asks the members it knows of, at
their peer URLs, for the member with its own URLs.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from oarlock.etcd.machine import EtcdMachine
from oarlock.node.node import Node
from oarlock.raft.types import Index
from oarlock.transport.discovery import ask
from oarlock.transport.interface import Address
from oarlock.transport.tls import PeerTls

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
    commit_index: Index = 0
    """How far it knows that to be so; an earlier version does not tell."""


class Asked(msgspec.Struct, frozen=True):
    """Where a member may be that can be asked."""

    text: str
    """For messages."""
    address: Address
    tls: PeerTls | None = None


def description_of(cluster_id: int, node: Node) -> bytes:
    """What a member answers: the configuration in force, since a second voter is committed only with its own help.

    Args:
        cluster_id: The cluster's.
        node: The member's; its machine tells who has started.
    """
    configuration, machine = node.configuration, node.machine
    addresses = dict(configuration.addresses)
    published: Mapping[int, object] = machine.members if isinstance(machine, EtcdMachine) else {}
    members = tuple(
        DescribedMember(
            id=f"{server_id:x}",
            peer_urls=addresses.get(server_id, ()),
            is_learner=server_id in configuration.learners,
            has_started=server_id in published,
        )
        for server_id in sorted(configuration.members)
    )
    return msgspec.json.encode(Description(f"{cluster_id:x}", members, node.commit_index))


async def find_member(own: set[str], others: Sequence[Asked]) -> tuple[Description, DescribedMember]:
    """The cluster, and which of its members this server is, by those who know the cluster best.

    Others may have been removed, or cut off, and tell of members that are none any more.

    Args:
        own: This server's peer URLs.
        others: Whom to ask.

    Raises:
        JoinError: The cluster does not know it, or knows that it has lost its data.
    """
    loop = asyncio.get_running_loop()
    give_up_at = loop.time() + _JOIN_FOR_S
    while True:
        descriptions, failures = await ask_all(others)
        newest = max((description.commit_index for description in descriptions), default=0)
        for description in (each for each in descriptions if each.commit_index == newest):
            for member in description.members:
                if set(member.peer_urls) == own:
                    _refuse_lost_data(member)
                    return description, member
        if loop.time() >= give_up_at:
            break
        await asyncio.sleep(_ASK_AGAIN_S)
    if not descriptions:
        raise JoinError(f"no member of the cluster answers: {'; '.join(failures)}")
    raise JoinError(
        f"the cluster has no member with peer URLs {','.join(sorted(own))}: add it first (etcdctl member add)"
    )


def _refuse_lost_data(own: DescribedMember) -> None:
    if own.has_started:
        raise JoinError(
            f"member {own.id} of the cluster has run before, and its data are not in this data directory: "
            f"remove it from the cluster and add it anew"
        )


async def ask_all(others: Sequence[Asked]) -> tuple[list[Description], list[str]]:
    """The answers of all members that answer, and what went wrong with the others."""
    loop = asyncio.get_running_loop()

    async def ask_one(asked: Asked) -> Description | str:
        try:
            answer = await ask(loop, asked.address, asked.tls, _ASK_S)
            return msgspec.json.decode(answer, type=Description)
        except (OSError, msgspec.MsgspecError) as error:
            return f"{asked.text}: {str(error) or type(error).__name__}"

    answers = await asyncio.gather(*(ask_one(asked) for asked in others))
    descriptions = [answer for answer in answers if isinstance(answer, Description)]
    return descriptions, [answer for answer in answers if isinstance(answer, str)]
