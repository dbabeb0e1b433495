"""What an observer must see of a production node that the node has no reason to show: its core, and its parts' state.

The only module of this room that reaches for private names.
"""

# ruff: noqa: SLF001

from collections.abc import Callable, Collection

from oarlock.check.invariants import Monitor
from oarlock.etcd.grpc import RpcContext
from oarlock.etcd.grpc.call import Call
from oarlock.node.node import Node
from oarlock.raft.quorum import VoteResult, vote_result
from oarlock.raft.state import RaftState
from oarlock.raft.types import Configuration, Index, ServerId


def raft_state(node: Node) -> RaftState | None:
    """The core's state; None before the node has recovered."""
    owner = getattr(node, "_owner", None)
    return owner.raft.state if owner is not None else None


def hand_over(node: Node, source: ServerId, payload: bytes) -> None:
    """Give a node a message as its transport does."""
    node._owner.receive(source, payload)


def applied_index(node: Node) -> Index:
    """How far the applier has come."""
    return node._applier.applied_index


def boot_epoch(node: Node) -> int:
    """The number of this start, as its proposals carry it."""
    return node._opened.boot_epoch


def last_sequence(node: Node) -> int:
    """The sequence of the newest proposal that the node took."""
    return node._proposals._sequence


def lose_patience(node: Node) -> None:
    """Have a node forward again, in a batch of its own, whatever the leader has not answered yet."""
    node._proposals.resend_unanswered(0.0)


def origin_of(context: RpcContext) -> tuple[str, int]:
    """The connection and the stream that a call came over; nowhere, for one that came over none."""
    return (context.peer, context._stream.id) if isinstance(context, Call) else ("", 0)


def call_within(make: Callable[[], bytes]) -> RpcContext | None:
    """The call that an answer was put off for, which is to be made now."""
    context = getattr(getattr(make, "func", None), "__self__", None)
    return context if isinstance(context, Call) else None


def changes_members(node: Node) -> bool:
    """Whether a change of members is awaited at the node, or waits to be begun."""
    return node._changes.has_work


def possible_configurations(monitor: Monitor, gone: Collection[ServerId]) -> list[Configuration]:
    """Of the log of each server that is not gone: the newest configuration known to be committed, and all after it."""
    found: dict[Configuration, None] = {}
    for server_id, mirror in monitor._mirrors.items():
        if server_id in gone:
            continue
        committed = mirror.seen.commit_index
        held = mirror.configurations
        first = max((at for at, (index, _) in enumerate(held) if index <= committed), default=0)
        for _, configuration in held[first:]:
            if configuration.voters:
                found[configuration] = None
    return list(found)


def is_admitted_without(monitor: Monitor, server_id: ServerId) -> bool:
    """Whether a majority of the voters, a server apart, hold the admission of its disk, committed, on their own disks.

    So in each configuration that anybody may act upon: then no word from another disk of the server can do harm.
    """
    own = monitor._mirrors.get(server_id)
    if own is None:
        return False
    holders: dict[ServerId, bool] = {}
    for other, mirror in monitor._mirrors.items():
        known = min(mirror.durable_index or 0, mirror.seen.commit_index)
        newest = [configuration for index, configuration in mirror.configurations if index <= known]
        is_held = bool(newest) and newest[-1].disk_of(server_id) == own.seen.disk_id
        holders[other] = is_held and other != server_id
    configurations = possible_configurations(monitor, ())
    return all(vote_result(configuration, holders) is VoteResult.WON for configuration in configurations)
