"""What the library asks of the node that it embeds, in whatever thread that runs."""

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from typing import Protocol

from oarlock.node.members import Change
from oarlock.node.status import Counters, NodeStatus
from oarlock.raft.types import Configuration, ServerId
from oarlock.transport.stats import PeerStats


class Core(Protocol):
    """A node; see `oarlock.node.node.Node`."""

    @property
    def counters(self) -> Counters:
        """Running totals."""

    @property
    def leader_id(self) -> ServerId | None:
        """The leader, as far as this server knows."""

    @property
    def is_leader(self) -> bool:
        """Whether this server leads."""

    @property
    def configuration(self) -> Configuration:
        """The members in force."""

    async def start(self) -> None:
        """Recover and take part."""

    async def stop(self) -> None:
        """Hand over and end."""

    def fail(self, error: BaseException) -> None:
        """End at once."""

    def propose(self, command: bytes, timeout: float | None = None) -> asyncio.Future[object]:
        """Have a command applied."""

    def read_barrier(self, timeout: float | None = None) -> asyncio.Future[None]:
        """Wait until reading is linearizable."""

    def change_membership(
        self, changes: Sequence[Change], timeout: float | None = None, *, strict: bool = False
    ) -> asyncio.Future[Configuration]:
        """Change the members."""

    def transfer_leadership(self, to: ServerId, timeout: float | None = None) -> Coroutine[None, None, None]:
        """Have another lead."""

    def peer_traffic(self) -> Mapping[ServerId, PeerStats]:
        """Bytes exchanged."""

    def status(self) -> NodeStatus:
        """A consistent picture."""
