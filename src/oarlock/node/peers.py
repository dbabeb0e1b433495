"""Whom the transport keeps links to: the members of the newest configuration, where it says that they are.

A server that was removed is served until it can know (MC-9), and told whenever it speaks up again; a server that was
just added is dialled from the moment its entry is in the log. A member whose log has not come so far cannot answer it
then, so whoever leads or campaigns tells those who may not know it where it is reached.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from oarlock.node.addresses import parse_address
from oarlock.node.codec import AmIRemoved, ReachMe, Removed
from oarlock.node.config import NodeConfig
from oarlock.node.members import MAX_ADDRESSES, applied_configuration, removed_servers
from oarlock.raft.state import RaftState, Role
from oarlock.raft.types import Configuration, ServerId
from oarlock.transport.interface import Address, Transport

logger = logging.getLogger(__name__)

_TELL_FOR_S: Final = 10.0
"""How long the link to a removed server stays that spoke up."""
_TOLD_AFTER_S: Final = 1.0
"""The same once the message has left."""
_MAX_TOLD: Final = 8
"""Removed servers with such a link at a time."""
_ASK_EVERY_S: Final = 1.0
_GUEST_FOR_S: Final = 10.0
"""How long the link to a server stays that is in no configuration known here, once it is silent."""
_MAX_GUESTS: Final = 8
"""Such servers at a time."""


class Peers:
    """Keeps the transport's peers in step with the configuration, and knows whether this server was removed."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        config: NodeConfig,
        transport: Transport,
        send: Callable[[ServerId, Removed | AmIRemoved | ReachMe], bool],
        on_removed: Callable[[str], None],
        wake: Callable[[], None],
    ) -> None:
        """Start without a link.

        Args:
            loop: The loop.
            config: Where members are of which the configuration tells no address.
            transport: Whose peers they are.
            send: Sends a message; False when it was dropped.
            on_removed: Told, once, how it is known that this server is a member no more.
            wake: Has `follow` be called.
        """
        self._loop = loop
        self._config = config
        self._server_id = config.server_id
        self._transport = transport
        self._send = send
        self._on_removed: Callable[[str], None] | None = on_removed
        self._wake = wake
        self._followed: Configuration | None = None
        """The configuration that the links are made for; None while some are to go."""
        self._linked: dict[ServerId, tuple[Address, ...]] = {}
        self._told: dict[ServerId, asyncio.TimerHandle] = {}
        self._asks_again: asyncio.TimerHandle | None = None
        self._guests: dict[ServerId, float] = {}
        """Servers linked because they said where they are, and when each was last heard."""
        self._introduced_at = float("-inf")
        self.is_leaving = False
        """Whether the newest configuration, committed or not, removes this server."""

    def __contains__(self, server_id: ServerId) -> bool:
        return server_id in self._linked

    def follow(self, state: RaftState) -> None:
        """See that there are links to just the right servers; cheap where nothing has changed."""
        configuration = state.configuration
        if configuration is not self._followed:
            self._relink(state, configuration)
        if self.is_leaving:
            self._look_at_removal(state)
        if state.role is not Role.FOLLOWER and self._loop.time() - self._introduced_at >= _ASK_EVERY_S:
            self._introduce_myself(state)

    def _relink(self, state: RaftState, configuration: Configuration) -> None:
        is_settled = state.configuration_index <= state.commit_index
        wanted = self._wanted(configuration)
        if not is_settled:
            # It may yet be undone, by a leader that it removes and that has to be answered.
            wanted |= state.configuration_at(max(state.commit_index, state.log.base_index)).members - {self._server_id}
        for server_id in sorted(wanted):
            addresses = self._addresses(server_id, configuration)
            if self._linked.get(server_id) != addresses:
                self._linked[server_id] = addresses
                self._guests.pop(server_id, None)
                self._stop_telling(server_id)
                self._transport.add_peer(server_id, addresses)
        served = state.leader.peers if state.leader is not None else {}
        late = not is_settled
        for server_id in sorted(self._linked.keys() - wanted):
            if is_settled and server_id not in served:
                del self._linked[server_id]
                self._transport.remove_peer(server_id)
            else:
                late = True
        self._followed = None if late else configuration
        self.is_leaving = self._server_id in removed_servers(configuration)

    def _wanted(self, configuration: Configuration) -> set[ServerId]:
        wanted = set(configuration.members)
        if self._server_id not in wanted:
            # Not a member yet, or no more: whoever may have to be answered stays linked.
            wanted.update(self._linked, self._config.members)
            if not configuration.members:
                wanted.update(server_id for server_id, _ in configuration.addresses)
        wanted.discard(self._server_id)
        return wanted

    def _addresses(self, server_id: ServerId, configuration: Configuration) -> tuple[Address, ...]:
        for member, texts in configuration.addresses:
            if member == server_id:
                return _readable(server_id, texts)
        return self._linked.get(server_id) or tuple(self._config.members.get(server_id, ()))

    # -- servers that a member's log does not know yet -------------------------------------------------------------

    def _introduce_myself(self, state: RaftState) -> None:
        """Tell those who do not answer where this server is reached, in case they do not know it."""
        self._introduced_at = now = self._loop.time()
        own = dict(state.configuration.addresses).get(self._server_id, ())
        for server_id in sorted(self._linked):
            progress = state.leader.peers.get(server_id) if state.leader is not None else None
            answers = progress is not None and now - progress.last_heard < state.config.election_timeout
            if own and not answers:
                self._send(server_id, ReachMe(self._server_id, own))

    def on_reach_me(self, message: ReachMe, state: RaftState) -> None:
        """A server says where it is reached: if the log here does not know it, link to it as long as it speaks."""
        server_id, now = message.source, self._loop.time()
        for guest, heard_at in list(self._guests.items()):
            if now - heard_at > _GUEST_FOR_S:
                del self._guests[guest]
                self._transport.remove_peer(guest)
        is_removed = server_id in removed_servers(state.configuration)
        if server_id in self._linked or server_id in self._guests or is_removed or len(self._guests) >= _MAX_GUESTS:
            return
        addresses = _readable(server_id, message.addresses[:MAX_ADDRESSES])
        if addresses:
            logger.info("server %x is not known here yet, and says where it is", server_id)
            self._guests[server_id] = now
            self._transport.add_peer(server_id, addresses)

    # -- removed servers -----------------------------------------------------------------------------------------

    def _look_at_removal(self, state: RaftState) -> None:
        if state.configuration_index <= min(state.commit_index, state.last_applied):
            self.note_removal("the configuration without it is committed")
        elif self._asks_again is None:
            for server_id in sorted(state.configuration.members):
                self._send(server_id, AmIRemoved(self._server_id))
            # By a timer: where nobody speaks to it, only its election timer wakes it, and that may be long.
            self._asks_again = self._loop.call_later(_ASK_EVERY_S, self._ask_again)

    def _ask_again(self) -> None:
        self._asks_again = None
        self._wake()

    def on_removed(self, message: Removed) -> None:
        """A member says that this server was removed."""
        if message.server_id == self._server_id and message.source in self._linked:
            self.note_removal(f"server {message.source:x} says so")

    def note_removal(self, why: str) -> None:
        """This server is known to be removed."""
        if self._on_removed is not None:
            on_removed, self._on_removed = self._on_removed, None
            on_removed(why)

    def heard_from_stranger(self, server_id: ServerId, state: RaftState) -> None:
        """A server without a link spoke: if it was removed, and that is committed, let it know.

        Its first words make the link, the next ones are answered over it.
        """
        if server_id in self._guests:
            self._guests[server_id] = self._loop.time()
            return
        removed = removed_servers(applied_configuration(state, state.commit_index))
        if server_id not in removed or self._server_id in removed:
            return
        if server_id not in self._told:
            addresses = _readable(server_id, removed[server_id])
            if not addresses or len(self._told) >= _MAX_TOLD:
                return
            logger.info("server %x was removed from this cluster, but speaks: telling it", server_id)
            self._transport.add_peer(server_id, addresses)
            self._told[server_id] = self._loop.call_later(_TELL_FOR_S, self._end_telling, server_id)
        if self._send(server_id, Removed(self._server_id, server_id)):
            self._told[server_id].cancel()
            self._told[server_id] = self._loop.call_later(_TOLD_AFTER_S, self._end_telling, server_id)

    def _end_telling(self, server_id: ServerId) -> None:
        self._stop_telling(server_id)
        self._transport.remove_peer(server_id)

    def _stop_telling(self, server_id: ServerId) -> None:
        timer = self._told.pop(server_id, None)
        if timer is not None:
            timer.cancel()

    def close(self) -> None:
        """Leave no timer."""
        for server_id in list(self._told):
            self._stop_telling(server_id)
        if self._asks_again is not None:
            self._asks_again.cancel()


def _readable(server_id: ServerId, texts: tuple[str, ...]) -> tuple[Address, ...]:
    addresses = []
    for text in texts:
        try:
            addresses.append(parse_address(text))
        except ValueError as error:
            logger.warning("server %x cannot be reached: %s", server_id, error)
    return tuple(addresses)
