"""Who this server is: from its data directory, from its flags, or from the running cluster that it joins.

A member added to a running cluster gets an id that no flag tells, so with `--initial-cluster-state existing` a fresh
server asks the members named in `--initial-cluster`, at their peer URLs, for the member with its own. Once a directory
has an identity that counts alone, as in etcd. So it does, whatever the flags say, where a person decided on the
directory's cluster: it was recovered, or restored from a snapshot.
"""

from pathlib import Path

import msgspec

from oarlock.cli.settings import ServeSettings
from oarlock.cli.urls import Url, parse_url
from oarlock.etcd.joining import Asked, JoinError, ask_all, find_member
from oarlock.raft.types import ServerId
from oarlock.storage.disk import PosixDisk
from oarlock.storage.identity import load_identity
from oarlock.storage.origin import load_origin
from oarlock.transport.tls import PeerTls

__all__ = ["JoinError", "Place", "find_place"]


class Place(msgspec.Struct, frozen=True):
    """A server's place in its cluster."""

    cluster_id: int
    server_id: ServerId
    joins: bool
    """Whether the members are learnt from the cluster."""
    peer_urls: dict[ServerId, tuple[Url, ...]]
    """The members known by now, this one included."""


async def find_place(settings: ServeSettings, tls: PeerTls | None) -> Place:
    """Work out who this server is.

    Raises:
        JoinError: The cluster does not know it, or knows that it has lost its data.
        StorageError: The data directory's identity cannot be read.
    """
    planned = {member.id: member.peer_urls for member in settings.members}
    own_urls = planned[settings.server_id]
    directory = Path(settings.data_dir)
    identity = load_identity(PosixDisk(), directory)
    if identity is not None:
        was_decided = load_origin(PosixDisk(), directory, identity.cluster_id) is not None
        if settings.joins_existing or (was_decided and identity.server_id == settings.server_id):
            return Place(identity.cluster_id, identity.server_id, joins=True, peer_urls={identity.server_id: own_urls})
        return Place(settings.cluster_id, settings.server_id, joins=False, peer_urls=planned)
    others = sorted(url for member in settings.members if member.id != settings.server_id for url in member.peer_urls)
    if settings.joins_existing:
        return await _join(own_urls, others, tls)
    await _refuse_wrong_start(settings, others, tls)
    return Place(settings.cluster_id, settings.server_id, joins=False, peer_urls=planned)


async def _join(own_urls: tuple[Url, ...], others: list[Url], tls: PeerTls | None) -> Place:
    if not others:
        raise JoinError("--initial-cluster-state is existing, but --initial-cluster names no other member to ask")
    description, own = await find_member({url.text for url in own_urls}, _asked(others, tls))
    urls = {
        int(member.id, 16): tuple(parse_url(text, "a member's peer URL") for text in member.peer_urls)
        for member in description.members
    }
    return Place(int(description.cluster_id, 16), int(own.id, 16), joins=True, peer_urls=urls)


async def _refuse_wrong_start(settings: ServeSettings, others: list[Url], tls: PeerTls | None) -> None:
    """See that a server with an empty directory does not begin a cluster where there is one already.

    A member whose data were lost must not vote as if it never had: it may have acknowledged what it forgot. And where
    a cluster was recovered without its majority, servers of the old one that come back empty would be a majority of it.
    """
    descriptions, _ = await ask_all(_asked(others, tls))
    for description in descriptions:
        if description.cluster_id != f"{settings.cluster_id:x}":
            raise JoinError(
                f"a server of --initial-cluster belongs to cluster {description.cluster_id}, but these flags begin "
                f"cluster {settings.cluster_id:x}: to join the other one, add this server there (etcdctl member add), "
                f"and start it with --initial-cluster-state existing"
            )
        for member in description.members:
            is_own = (description.cluster_id, member.id) == (f"{settings.cluster_id:x}", f"{settings.server_id:x}")
            if is_own and member.has_started:
                raise JoinError(
                    f"member {member.id} has already been part of the cluster, but its data are not in "
                    f"{settings.data_dir}: remove it from the cluster and add it anew"
                )


def _asked(urls: list[Url], tls: PeerTls | None) -> list[Asked]:
    return [Asked(url.text, url.address, tls if url.is_secure else None) for url in urls]
