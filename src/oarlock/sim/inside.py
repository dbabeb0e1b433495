"""What an observer must see of a production node that the node has no reason to show: its core, and its parts' state.

The only module of this room that reaches for private names.
"""

# ruff: noqa: SLF001

from oarlock.node.node import Node
from oarlock.raft.state import RaftState
from oarlock.raft.types import Index


def raft_state(node: Node) -> RaftState | None:
    """The core's state; None before the node has recovered."""
    owner = getattr(node, "_owner", None)
    return owner.raft.state if owner is not None else None


def applied_index(node: Node) -> Index:
    """How far the applier has come."""
    return node._applier.applied_index


def boot_epoch(node: Node) -> int:
    """The number of this start, as its proposals carry it."""
    return node._opened.boot_epoch


def last_sequence(node: Node) -> int:
    """The sequence of the newest proposal that the node took."""
    return node._proposals._sequence
