"""Members of a library's cluster, by their addresses: who leads, who has a vote, who is removed, who leaves."""

import contextlib
import logging
from collections.abc import Callable
from functools import partial

from oarlock.node.errors import Refusal
from oarlock.node.members import Change, ChangeKind
from oarlock.raft.types import Configuration, ServerId
from oarlock.replica.core import Core
from oarlock.replica.errors import BadTransferee, ChangeRefused, OarlockError, translated
from oarlock.replica.place import Place, normal

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


def _id_at(core: Core, address: str, error: Callable[[str], OarlockError]) -> ServerId:
    """The member that is reached at an address; where there is none, an error that names all."""
    wanted, members = normal(address), addresses_of(core.configuration)
    for server_id, held in members.items():
        if held == wanted:
            return server_id
    raise error(f"there is no server at {wanted}; the members are {', '.join(sorted(members.values()))}")


def hindrance(core: Core) -> str:
    """Why a server may not be up to date: whom it does not reach, and whether it knows a leader."""
    traffic, leader = core.peer_traffic(), leader_of(core)
    unreached = sorted(
        address
        for server_id, address in addresses_of(core.configuration).items()
        if server_id in traffic and not traffic[server_id].control.connected
    )
    unheard = f"; not reached: {', '.join(unreached)}" if unreached else ""
    return (f"its leader is {leader}" if leader else "no leader is known") + unheard


def compare_address(core: Core, own: ServerId, address: str, data_dir: str) -> None:
    """Whoever hands a server the directory of another one should not have to find out by silence."""
    configuration = core.configuration
    if own in configuration.members and (known := address_of(configuration, own)) != address:
        logger.warning(
            "the data in %s are of the server at %s: as %s its cluster does not reach it",
            data_dir,
            known,
            address,
            extra={"server_id": own, "address": known},
        )


class MembersCalls:
    """What a `Node` can be asked about its cluster's members."""

    _place: Place

    @property
    def _running(self) -> Core:
        raise NotImplementedError

    @property
    def is_leader(self) -> bool:
        """Whether this server leads, as far as it knows."""
        return self._running.is_leader

    @property
    def leader(self) -> str | None:
        """Where the leader is reached, as far as this server knows."""
        return leader_of(self._running)

    @property
    def members(self) -> dict[ServerId, str]:
        """All members, and where they are reached."""
        return addresses_of(self._running.configuration)

    async def transfer_leadership(self, to: str | None = None, timeout_s: float | None = None) -> None:
        """Have another server lead; asked of the leader.

        Args:
            to: Its address; None for any.
            timeout_s: When to give up.

        Raises:
            NotLeader: This server does not lead; says who does.
            BadTransferee: There is no such server, or it has no vote.
            Timeout: The other did not take over.
        """
        await _transfer(self._running, self._place.server_id, to, timeout_s)

    async def remove(self, address: str, timeout_s: float | None = None) -> None:
        """Remove a server from the cluster for good; it ends when it learns of that.

        Raises:
            ChangeRefused: There is no such server, or it is the last one.
            Timeout: It is not known to be removed.
        """
        await _change(self._running, ChangeKind.REMOVE, self._id_at(address), timeout_s)

    async def demote(self, address: str, timeout_s: float | None = None) -> None:
        """Take a server's vote: it keeps its copy, and takes commands and reads; the cluster does not wait for it.

        It asks for no vote by itself any more, in later lives neither; `promote` gives it one.

        Raises:
            ChangeRefused: There is no such server, it has no vote, it is the last that has one, too few of those who
                stay answer, or there are as many without a vote as there may be.
            Timeout: It is not known to be demoted.
        """
        await _change(self._running, ChangeKind.DEMOTE, self._id_at(address), timeout_s)

    async def promote(self, address: str, timeout_s: float | None = None) -> None:
        """Give a vote to a server that has none; those that join ask for it themselves.

        Raises:
            ChangeRefused: There is no such server, it has a vote, or it has not caught up or does not answer.
            Timeout: It is not known to have a vote.
        """
        await _change(self._running, ChangeKind.PROMOTE, self._id_at(address), timeout_s)

    def _id_at(self, address: str) -> ServerId:
        return _id_at(self._running, address, partial(ChangeRefused, Refusal.NOT_A_MEMBER))


async def leave(core: Core, own: ServerId, timeout_s: float | None) -> None:
    """See `Node.leave`."""
    if core.is_leader and len(core.configuration.voters) > 1:
        with contextlib.suppress(OarlockError):  # a leader can be removed as well
            await _transfer(core, own, None, timeout_s)
    await _change(core, ChangeKind.REMOVE, own, timeout_s)
    logger.info("this server has left the cluster", extra={"server_id": own})


async def _transfer(core: Core, own: ServerId, to: str | None, timeout_s: float | None) -> None:
    anybody = sorted(core.configuration.voters - {own}) or [own]
    candidates = anybody if to is None else [_id_at(core, to, BadTransferee)]
    for position, server_id in enumerate(candidates, 1):
        try:
            await core.transfer_leadership(server_id, timeout_s)
        except OarlockError as error:
            if position == len(candidates):
                raise translated(error, leader_of(core)) from None
        else:
            return


async def _change(core: Core, kind: ChangeKind, server_id: ServerId, timeout_s: float | None) -> None:
    try:
        await core.change_membership([Change(kind, server_id)], timeout_s)
    except OarlockError as error:
        raise translated(error, leader_of(core)) from None
