"""Who a server is: from its data directory, from the list of all servers, or from the cluster that it joins.

Servers that start together with one list of addresses agree on all ids without asking anybody, as in etcd: a server's
id is a hash of the cluster's name and its address, the cluster's a hash of all servers' ids. So servers with different
lists are of different clusters, and refuse to speak to each other. A server that joins later draws its id: an address
may have been a removed server's, whose id must not come back. Once a data directory has an identity that counts alone.
"""

import hashlib
from collections.abc import Sequence
from typing import Final

import msgspec

from oarlock.node.addresses import format_address, parse_address
from oarlock.raft.types import ServerId

_ID_BYTES: Final = 8
MAX_SERVERS: Final = 32


class Place(msgspec.Struct, frozen=True):
    """A server's place in its cluster."""

    cluster_id: int
    server_id: ServerId
    joins: bool
    """Whether the members are learnt from the cluster, or from the log."""
    members: dict[ServerId, str]
    """The members known by now, this one included, and where they are reached."""


def normal(address: str) -> str:
    """An address in the one spelling that ids are made from.

    Raises:
        ValueError: It is not of the form host:port.
    """
    return format_address(parse_address(address))


def server_id_of(name: str, address: str) -> ServerId:
    """The id of a server of a cluster that starts from a list."""
    return _hash("member", name, address)


def planned(name: str, address: str, peers: Sequence[str]) -> Place:
    """The place of a server in a cluster that starts from a list of addresses.

    Args:
        name: The cluster's.
        address: This server's.
        peers: All servers', with or without this one's.

    Raises:
        ValueError: An address stands there twice, or is none, or there are too many.
    """
    addresses = [normal(peer) for peer in peers]
    if len(set(addresses)) < len(addresses):
        raise ValueError(f"peers names an address twice: {', '.join(sorted(addresses))}")
    everybody = sorted({*addresses, normal(address)})
    if len(everybody) > MAX_SERVERS:
        raise ValueError(f"peers names {len(everybody)} servers; a cluster has {MAX_SERVERS} at most")
    members = {server_id_of(name, one): one for one in everybody}
    cluster_id = _hash("cluster", name, *(f"{server_id:x}" for server_id in sorted(members)))
    return Place(cluster_id, server_id_of(name, normal(address)), joins=False, members=members)


def _hash(*parts: str) -> int:
    digest = hashlib.sha256("\0".join(("oarlock", *parts)).encode()).digest()
    return int.from_bytes(digest[:_ID_BYTES]) or 1
