"""Changes of members as an operator asks for them, and the configuration that each leads to.

The replicated configuration also carries where every member is reached, and, for servers that were removed, where they
were reached last: so a removed server that comes back can be told, and its id is never used again.
"""

from collections.abc import Callable, Collection, Sequence
from enum import IntEnum
from typing import Final

import msgspec

from oarlock.node.addresses import parse_address
from oarlock.node.errors import ChangeRefused, Refusal
from oarlock.raft.state import LeaderState, RaftState
from oarlock.raft.types import Configuration, Index, ServerId

MAX_REMOVED: Final = 128
"""Removed servers that are remembered; the one removed first is forgotten first."""

MAX_ADDRESSES: Final = 16
"""Of one member."""

_READY_PERCENT: Final = 90
"""How much of the leader's log a learner must hold to be promoted (etcd's rule)."""


class ChangeKind(IntEnum):
    """What is to become of one server."""

    ADD_VOTER = 0
    ADD_LEARNER = 1
    PROMOTE = 2
    """A learner gets a vote."""
    REMOVE = 3
    UPDATE = 4
    """It is reached elsewhere."""
    DEMOTE = 5
    """A voter becomes a learner."""


class Change(msgspec.Struct, frozen=True, array_like=True):
    """One server's part of a change of members."""

    kind: ChangeKind
    server_id: ServerId
    addresses: tuple[str, ...] = ()
    """Where it is reached, for those added or updated: `host:port` or a URL with just these."""


def removed_servers(configuration: Configuration) -> dict[ServerId, tuple[str, ...]]:
    """Servers that were members once, in the order of their removal, and where they were reached."""
    members = configuration.members
    if not members:
        return {}  # a joining server's first configuration: the addresses of those it may hear from
    return {server_id: addresses for server_id, addresses in configuration.addresses if server_id not in members}


def applied_configuration(state: RaftState, applied: Index) -> Configuration:
    """The configuration as of an applied entry; that of the log's base while a snapshot is being taken over."""
    return state.configuration_at(max(applied, state.log.base_index))


def target(current: Configuration, changes: Sequence[Change], *, max_learners: int, retried: bool) -> Configuration:
    """The configuration that changes lead to.

    Args:
        current: In force, not joint.
        changes: Of different servers.
        max_learners: How many there may be; judged only when there is to be one more.
        retried: Whether the changes may have been made already: then what is so already is no error.

    Raises:
        ChangeRefused: One of them is impossible.
    """
    voters, learners, addresses = set(current.voters), set(current.learners), dict(current.addresses)
    removed = removed_servers(current)
    for change in changes:
        server_id = change.server_id
        is_member = server_id in voters or server_id in learners
        match change.kind:
            case ChangeKind.ADD_VOTER | ChangeKind.ADD_LEARNER:
                if retried and is_member:
                    continue
                if is_member:
                    raise _refused(Refusal.MEMBER_EXISTS, f"server {server_id:x} is a member already")
                if server_id in removed:
                    raise _refused(Refusal.ID_REMOVED, f"server {server_id:x} was removed; it needs a new id")
                _check_addresses(change, addresses, removed)
                if change.kind is ChangeKind.ADD_LEARNER:
                    _add_learner(learners, server_id, max_learners)
                else:
                    voters.add(server_id)
                addresses[server_id] = change.addresses
            case ChangeKind.PROMOTE:
                if retried and server_id in voters:
                    continue
                if not is_member:
                    raise _unknown(server_id)
                if server_id in voters:
                    raise _refused(Refusal.NOT_A_LEARNER, f"server {server_id:x} has a vote already")
                learners.remove(server_id)
                voters.add(server_id)
            case ChangeKind.DEMOTE:
                if retried and server_id in learners:
                    continue
                if not is_member:
                    raise _unknown(server_id)
                if server_id in learners:
                    raise _refused(Refusal.NOT_A_VOTER, f"server {server_id:x} has no vote")
                voters.remove(server_id)
                _add_learner(learners, server_id, max_learners)
            case ChangeKind.REMOVE:
                if retried and server_id in removed:
                    continue
                if not is_member:
                    raise _unknown(server_id)
                voters.discard(server_id)
                learners.discard(server_id)
                addresses[server_id] = addresses.pop(server_id, ())  # the last removed stands last
                removed[server_id] = addresses[server_id]  # so another may be reached there
            case ChangeKind.UPDATE:
                if not is_member:
                    raise _unknown(server_id)
                _check_addresses(change, addresses, removed)
                addresses[server_id] = change.addresses
    if not voters:
        raise _refused(Refusal.LAST_VOTER, "a cluster needs a member that votes")
    return msgspec.structs.replace(
        current,
        voters=frozenset(voters),
        learners=frozenset(learners),
        addresses=_ordered(addresses, voters | learners),
    )


def _add_learner(learners: set[ServerId], server_id: ServerId, most: int) -> None:
    if len(learners) >= most:
        raise _refused(Refusal.TOO_MANY_LEARNERS, f"there are {len(learners)} learners already")
    learners.add(server_id)


def _ordered(
    addresses: dict[ServerId, tuple[str, ...]], members: set[ServerId]
) -> tuple[tuple[ServerId, tuple[str, ...]], ...]:
    held = tuple((server_id, addresses[server_id]) for server_id in sorted(members) if server_id in addresses)
    removed = tuple((server_id, texts) for server_id, texts in addresses.items() if server_id not in members)
    return held + removed[-MAX_REMOVED:]


def _check_addresses(change: Change, addresses: dict[ServerId, tuple[str, ...]], removed: Collection[ServerId]) -> None:
    if not 0 < len(change.addresses) <= MAX_ADDRESSES:
        raise _refused(Refusal.BAD_ADDRESS, f"a member needs 1 to {MAX_ADDRESSES} addresses")
    for text in change.addresses:
        try:
            parse_address(text)
        except ValueError as error:
            raise _refused(Refusal.BAD_ADDRESS, str(error)) from None
    for other, texts in addresses.items():
        if other in removed or other == change.server_id:
            continue
        if shared := set(texts) & set(change.addresses):
            raise _refused(Refusal.ADDRESS_IN_USE, f"{min(shared)} is an address of server {other:x}")


def _unknown(server_id: ServerId) -> ChangeRefused:
    return _refused(Refusal.NOT_A_MEMBER, f"server {server_id:x} is no member")


def _refused(refusal: Refusal, why: str) -> ChangeRefused:
    return ChangeRefused(refusal, why)


# -- what only the leader can judge ------------------------------------------------------------------------------


def check_health(
    state: RaftState,
    leader: LeaderState,
    changes: Sequence[Change],
    now: float,
    is_connected: Callable[[ServerId], bool],
) -> None:
    """Refuse what could leave the cluster without a majority that is there (etcd's strict reconfiguration check).

    A member is there if it has answered this leader within an election timeout. One is added only while all voters are.
    Voters of whom any is there lose their votes (removed or demoted), together, only if those who stay have a majority
    that is there; such as are not may always go. Where nobody stays, it is up to the new ones.

    Args:
        state: The core's.
        leader: Its part as leader.
        changes: Asked for.
        now: In seconds.
        is_connected: Whether there is a link to a server: one that was killed is missed at once.

    Raises:
        ChangeRefused: UNHEALTHY.
    """
    voters = state.configuration.voters
    active = {
        server_id
        for server_id in voters
        if server_id == state.server_id
        or (is_connected(server_id) and _is_active(leader, server_id, now - state.config.election_timeout))
    }
    for change in changes:
        adds_voter = change.kind in (ChangeKind.ADD_VOTER, ChangeKind.ADD_LEARNER)
        if adds_voter and active != voters:
            raise _refused(Refusal.UNHEALTHY, f"only {len(active)} of {len(voters)} voters answer")
    leaving = {change.server_id for change in changes if change.kind in (ChangeKind.REMOVE, ChangeKind.DEMOTE)} & voters
    staying = voters - leaving
    is_replaced = not staying and any(change.kind is ChangeKind.ADD_VOTER for change in changes)
    if leaving & active and not is_replaced and len(staying & active) <= len(staying) // 2:
        raise _refused(Refusal.UNHEALTHY, f"only {len(active)} of {len(voters)} voters answer")


def _is_active(leader: LeaderState, server_id: ServerId, since: float) -> bool:
    progress = leader.peers.get(server_id)
    return (
        progress is not None
        and progress.counts
        and progress.acknowledged_request_id > 0
        and progress.last_heard >= since
    )


def check_ready(state: RaftState, leader: LeaderState, changes: Sequence[Change], now: float) -> None:
    """Refuse to promote a learner that lags or does not answer: it would vote, and commits could have to wait for it.

    etcd looks at the log alone. But of one voter and a learner that is gone, the promotion makes two who can never
    again commit anything.

    Raises:
        ChangeRefused: LEARNER_NOT_READY.
    """
    for change in changes:
        if change.kind is ChangeKind.PROMOTE and change.server_id in state.configuration.learners:
            progress = leader.peers.get(change.server_id)
            if progress is None or now - progress.last_heard > state.config.election_timeout:
                raise _refused(Refusal.LEARNER_NOT_READY, f"learner {change.server_id:x} does not answer")
            if progress.match_index * 100 < state.log.last_index * _READY_PERCENT:
                raise _refused(
                    Refusal.LEARNER_NOT_READY,
                    f"learner {change.server_id:x} has {progress.match_index} of {state.log.last_index} entries",
                )
