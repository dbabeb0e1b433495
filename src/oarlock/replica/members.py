"""Members of a library's cluster, by their addresses: who leads, who is removed, who leaves."""

import contextlib
import logging

from oarlock.node.members import Change, ChangeKind
from oarlock.raft.types import Configuration, ServerId
from oarlock.replica.core import Core
from oarlock.replica.errors import BadTransferee, OarlockError, translated
from oarlock.replica.place import normal

logger = logging.getLogger(__name__)


def address_of(configuration: Configuration, server_id: ServerId) -> str:
    """Where a server is reached; its id where that is not known."""
    addresses = dict(configuration.addresses).get(server_id, ())
    return addresses[0] if addresses else f"{server_id:x}"


def addresses_of(configuration: Configuration) -> dict[ServerId, str]:
    """All members, and where they are reached."""
    return {server_id: address_of(configuration, server_id) for server_id in sorted(configuration.members)}


def leader_of(core: Core) -> str | None:
    """Where the leader is reached, as far as this server knows."""
    leader_id = core.leader_id
    return None if leader_id is None else address_of(core.configuration, leader_id)


async def transfer_leadership(core: Core, own: ServerId, to: str | None, timeout_s: float | None) -> None:
    """See `Node.transfer_leadership`."""
    members = addresses_of(core.configuration)
    if to is None:
        candidates = sorted(core.configuration.voters - {own}) or [own]
    else:
        candidates = [server_id for server_id, address in members.items() if address == normal(to)]
        if not candidates:
            raise BadTransferee(f"there is no server at {to}")
    for position, server_id in enumerate(candidates, 1):
        try:
            await core.transfer_leadership(server_id, timeout_s)
        except OarlockError as error:
            if position == len(candidates):
                raise translated(error, leader_of(core)) from None
        else:
            return


async def remove(core: Core, address: str, timeout_s: float | None) -> None:
    """See `Node.remove`."""
    members = addresses_of(core.configuration)
    found = [server_id for server_id, held in members.items() if held == normal(address)]
    await _remove(core, found[0] if found else 0, timeout_s)


async def leave(core: Core, own: ServerId, timeout_s: float | None) -> None:
    """See `Node.leave`."""
    if core.is_leader and len(core.configuration.voters) > 1:
        with contextlib.suppress(OarlockError):  # a leader can be removed as well
            await transfer_leadership(core, own, None, timeout_s)
    await _remove(core, own, timeout_s)
    logger.info("this server has left the cluster", extra={"server_id": own})


async def _remove(core: Core, server_id: ServerId, timeout_s: float | None) -> None:
    try:
        await core.change_membership([Change(ChangeKind.REMOVE, server_id)], timeout_s)
    except OarlockError as error:
        raise translated(error, leader_of(core)) from None
