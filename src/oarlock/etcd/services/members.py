"""Who the members are, as etcd tells it: the replicated configuration, and what each member has published of itself.

The configuration knows ids, votes and peer URLs; names and client URLs are published by each member when it starts, so
a member that has not started yet has neither.
"""

import json

from oarlock.etcd.proto.rpc_pb2 import Member
from oarlock.etcd.services.calls import Calls
from oarlock.node.members import removed_servers
from oarlock.raft.types import Configuration


def members_of(calls: Calls, configuration: Configuration | None = None) -> list[Member]:
    """Every member in order of id.

    Args:
        calls: What the services share.
        configuration: Which members; None for those as of what this server has applied.
    """
    configuration = configuration or calls.cluster.status().configuration
    urls = dict(configuration.addresses)
    published = calls.machine.members
    members = []
    for server_id in sorted(configuration.members):
        member = Member(ID=server_id, peerURLs=urls.get(server_id, ()), isLearner=server_id in configuration.learners)
        if server_id in published:
            member.name = published[server_id].name
            member.clientURLs.extend(published[server_id].clientURLs)
        members.append(member)
    return members


def started_voters(calls: Calls) -> dict[int, bool]:
    """Every voter's id, and whether it has ever started: whether it has published a name."""
    return {member.ID: bool(member.name) for member in members_of(calls) if not member.isLearner}


def member_buckets(calls: Calls) -> dict[str, dict[bytes, bytes]]:
    """The buckets in which etcd's own database holds members, and ids that were removed."""
    removed = removed_servers(calls.cluster.status().configuration)
    return {
        "members": {b"%x" % member.ID: _as_json(member) for member in members_of(calls)},
        "members_removed": {b"%x" % server_id: b"removed" for server_id in removed},
    }


def _as_json(member: Member) -> bytes:
    content: dict[str, object] = {"id": member.ID, "peerURLs": list(member.peerURLs)}
    if member.isLearner:
        content["isLearner"] = True
    if member.name:
        content["name"] = member.name
    if member.clientURLs:
        content["clientURLs"] = list(member.clientURLs)
    return json.dumps(content, separators=(",", ":")).encode()
