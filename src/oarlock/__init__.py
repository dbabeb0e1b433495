"""Oarlock: Raft, laid out as Figure 2 is, a library that replicates your own objects, and a server that speaks etcd v3.

The library's names are here; they are loaded when they are first asked for, as a server needs none of them.
"""

import importlib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from oarlock.replica.context import Context
    from oarlock.replica.deadline import deadline
    from oarlock.replica.errors import (
        BadTransferee,
        ChangeRefused,
        CommandFailed,
        DiskFull,
        Diverged,
        JoinRefused,
        NoLeader,
        NotEncodable,
        NotLeader,
        NotStarted,
        NotUnderstood,
        OarlockError,
        Overloaded,
        ProposalTooLarge,
        ResultUnavailable,
        SerialForgotten,
        ServerRemoved,
        SessionExpired,
        Stopped,
        Timeout,
        TooManySessions,
        TooStale,
    )
    from oarlock.replica.failures import register_error
    from oarlock.replica.node import Node
    from oarlock.replica.object import ReplicatedObject, replicated
    from oarlock.replica.settings import Settings
    from oarlock.replica.statemachine import DiskStateMachine, StateMachine
    from oarlock.transport.tls import PeerTls

__version__ = "0.1.0"

__all__ = [
    "BadTransferee",
    "ChangeRefused",
    "CommandFailed",
    "Context",
    "DiskFull",
    "DiskStateMachine",
    "Diverged",
    "JoinRefused",
    "NoLeader",
    "Node",
    "NotEncodable",
    "NotLeader",
    "NotStarted",
    "NotUnderstood",
    "OarlockError",
    "Overloaded",
    "PeerTls",
    "ProposalTooLarge",
    "ReplicatedObject",
    "ResultUnavailable",
    "SerialForgotten",
    "ServerRemoved",
    "SessionExpired",
    "Settings",
    "StateMachine",
    "Stopped",
    "Timeout",
    "TooManySessions",
    "TooStale",
    "deadline",
    "register_error",
    "replicated",
]

_ELSEWHERE: Final = {
    "Context": "oarlock.replica.context",
    "DiskStateMachine": "oarlock.replica.statemachine",
    "Node": "oarlock.replica.node",
    "PeerTls": "oarlock.transport.tls",
    "ReplicatedObject": "oarlock.replica.object",
    "Settings": "oarlock.replica.settings",
    "StateMachine": "oarlock.replica.statemachine",
    "deadline": "oarlock.replica.deadline",
    "register_error": "oarlock.replica.failures",
    "replicated": "oarlock.replica.object",
}
"""Where names are that are not errors."""


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(importlib.import_module(_ELSEWHERE.get(name, "oarlock.replica.errors")), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
