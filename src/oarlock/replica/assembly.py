"""A library node put together: its machine, the node below it, and the thread that is between them or not."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from oarlock.machine.interface import StateMachine as CoreMachine
from oarlock.node.addresses import parse_address
from oarlock.node.config import NodeConfig
from oarlock.node.node import Node as CoreNode
from oarlock.node.node import OpenTrace
from oarlock.replica.apart import ApartCore
from oarlock.replica.context import Context
from oarlock.replica.core import Core, SameLoopCore
from oarlock.replica.disk_machine import DiskReplicaMachine
from oarlock.replica.hosting import HostedMachine, HostedObject
from oarlock.replica.joining import Doorkeeper
from oarlock.replica.machine import Events, Hosted, ReplicaMachine
from oarlock.replica.object import ReplicatedObject
from oarlock.replica.place import Place
from oarlock.replica.settings import Environment, Settings
from oarlock.replica.statemachine import DiskStateMachine, StateMachine
from oarlock.replica.tracing import NodeTrace
from oarlock.transport.interface import Address, OnMessage, OnUnreachable
from oarlock.transport.tcp import TcpTransport
from oarlock.transport.tls import PeerTls

_MAX_LEARNERS: Final = 8
"""Servers that join at one time, and those without a vote."""


@dataclass(frozen=True, kw_only=True)
class Assembly:
    """What a node is put together from; see `oarlock.replica.node.Node`."""

    place: Place
    name: str
    data_dir: str
    listen: Address
    token: str | None
    tls: PeerTls | None
    settings: Settings
    environment: Environment
    trace: NodeTrace | None = None

    def make_machine(
        self,
        loop: asyncio.AbstractEventLoop,
        objects: Sequence[ReplicatedObject],
        machine: StateMachine | DiskStateMachine | None,
        events: Events,
        context: Callable[[], Context | None],
    ) -> ReplicaMachine:
        """The machine, on the program's loop.

        Args:
            loop: The program's.
            objects: What it holds;
            machine: or this.
            events: Whom it tells.
            context: Of the command that is being applied.
        """
        settings, server_id = self.settings, self.place.server_id
        slow_s, every = settings.slow_command_ms / 1000, settings.agreement_interval
        if isinstance(machine, DiskStateMachine):
            directory = Path(self.data_dir) / "machine"
            open_table = self.environment.open_table
            return DiskReplicaMachine(server_id, machine, directory, loop.time, slow_s, every, events, open_table)
        hosted: list[Hosted] = [HostedObject(one) for one in objects]
        if machine is not None:
            hosted.append(HostedMachine(machine.version, machine.apply, machine.snapshot, machine.restore, context))
        return ReplicaMachine(server_id, hosted, loop.time, slow_s, every, events)

    def make_core(
        self,
        loop: asyncio.AbstractEventLoop,
        machine: ReplicaMachine,
        on_fatal: Callable[[BaseException], None],
        on_removed: Callable[[], None],
    ) -> Core:
        """The node, on the program's loop or one of its own.

        Args:
            loop: The program's.
            machine: On that loop.
            on_fatal: See `oarlock.node.node.Node`.
            on_removed: The same.
        """
        make = partial(self._make_node, machine)
        if self.settings.own_thread:
            return ApartCore(loop, machine, make, on_fatal, on_removed)
        watch = self.environment.watch_machine
        return SameLoopCore(loop, make(machine if watch is None else watch(machine), on_fatal, on_removed))

    def _make_node(
        self,
        machine: ReplicaMachine,
        seen: CoreMachine,
        on_fatal: Callable[[BaseException], None],
        on_removed: Callable[[], None],
    ) -> CoreNode:
        environment, place = self.environment, self.place
        doorkeeper = Doorkeeper(self.token, self.name, place.cluster_id, lambda: core, machine.versions.too_new)

        def open_transport(on_message: OnMessage, on_unreachable: OnUnreachable) -> TcpTransport:
            transport = environment.transport(
                asyncio.get_running_loop(),
                place.cluster_id,
                place.server_id,
                environment.rng,
                self.tls,
                on_message,
                on_unreachable,
                options=environment.transport_options,
            )
            transport.consider_by(doorkeeper.consider)
            return transport

        def open_machine() -> CoreMachine:
            machine.open()
            return seen

        core = CoreNode(
            self._config(),
            disk=environment.disk,
            rng=environment.rng,
            open_transport=open_transport,
            open_machine=open_machine,
            listen=[self.listen],
            executors=environment.executors,
            boot_epoch=int(environment.wall_clock() * 1000),
            on_fatal=on_fatal,
            on_removed=on_removed,
            open_trace=self._open_trace(),
            check_invariants=environment.check_invariants,
        )
        return core

    def _open_trace(self) -> OpenTrace | None:
        if self.trace is not None:
            return self.trace.begin
        make = self.environment.open_trace
        return partial(make, self.place.server_id) if make is not None else None

    def _config(self) -> NodeConfig:
        settings, place = self.settings, self.place
        return NodeConfig(
            cluster_id=place.cluster_id,
            server_id=place.server_id,
            data_dir=self.data_dir,
            members={server_id: (parse_address(address),) for server_id, address in place.members.items()},
            joins=place.joins,
            lease_reads=settings.lease_reads,
            max_clock_drift=settings.max_clock_drift,
            election_timeout_ms=settings.election_timeout_ms,
            heartbeat_interval_ms=settings.heartbeat_interval_ms,
            proposal_timeout_ms=settings.command_timeout_ms,
            read_timeout_ms=settings.read_timeout_ms,
            max_pending_proposals=settings.max_pending_commands,
            max_pending_bytes=settings.max_pending_bytes,
            max_command_bytes=settings.max_command_bytes,
            snapshot_count=settings.snapshot_count,
            snapshot_tail=settings.snapshot_tail,
            disk_reserve_bytes=settings.disk_reserve_bytes,
            max_learners=_MAX_LEARNERS,
        )
