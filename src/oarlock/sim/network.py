"""The simulated network: hosts, directed links between them, and what is wrong with each."""

import random
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

import msgspec

from oarlock.sim.frames import FrameFilter
from oarlock.sim.scheduler import Scheduler
from oarlock.sim.strikes import Strikes

if TYPE_CHECKING:
    import asyncio

    from oarlock.sim.connection import Pipe, SimTransport
    from oarlock.sim.loop import SimLoop
    from oarlock.sim.machine import Asked
    from oarlock.sim.mail import LinkMail

_TAIL: Final = 1.6
"""Exponent of the heavy tail of delays; the smaller, the heavier."""
_BYTES_PER_S: Final = 1e9
_LONGEST_TAIL: Final = 200.0
"""A delay in the tail is at most so many times the usual one."""


class LinkSettings(msgspec.Struct, frozen=True):
    """How a healthy link behaves."""

    delay_s: float = 0.0005
    """The least."""
    jitter_s: float = 0.0005
    """Added evenly, from nothing to this."""
    tail: float = 0.01
    """How many of the delays are in the heavy tail."""
    cut: float = 0.05
    """How many of the writes arrive in two pieces, cut anywhere."""


class Host:
    """One machine as the network sees it."""

    __slots__ = ("is_powered", "listeners", "loop", "name", "transports")

    def __init__(self, name: str) -> None:
        self.name = name
        self.loop: SimLoop | None = None
        """Of the process that runs there; None while there is none."""
        self.is_powered = True
        """Whether there is a kernel that answers for processes that are gone."""
        self.listeners: dict[int, Callable[[], asyncio.Protocol]] = {}
        self.transports: dict[SimTransport, None] = {}


class Link:
    """One direction between two hosts, with a stream of chance of its own."""

    __slots__ = (
        "_blocks",
        "_free_at",
        "_scheduler",
        "_settings",
        "busy",
        "clogged_until",
        "filter",
        "mail",
        "narrowings",
        "rng",
        "severing",
        "slowness",
        "strikes",
    )

    def __init__(self, scheduler: Scheduler, settings: LinkSettings, rng: random.Random, strikes: Strikes) -> None:
        self._scheduler = scheduler
        self._settings = settings
        self.rng = rng
        self.strikes = strikes
        self.filter = FrameFilter(rng, strikes)
        self.mail: LinkMail | None = None
        """Where a run is recorded: what becomes of each message."""
        self.severing: list[float] = []
        """How likely a write is to be cut short, and the connection to end there; the likeliest counts."""
        self.slowness = 1.0
        self.narrowings: list[float] = []
        """Limits on what passes, in bytes a second; the least counts."""
        self.clogged_until = 0.0
        self.busy: dict[Pipe, None] = {}
        """Pipes with something under way; what arrives at a closed link waits until TCP sends it again."""
        self._blocks = 0
        self._free_at = 0.0

    @property
    def is_open(self) -> bool:
        """Whether anything gets through."""
        return not self._blocks and self.clogged_until <= self._scheduler.now

    @property
    def is_blocked(self) -> bool:
        """Whether a partition lies across it."""
        return self._blocks > 0

    def block(self) -> None:
        """Let nothing through; as many `unblock` end it."""
        self._blocks += 1

    def unblock(self) -> None:
        """Let what was held through, as TCP tries again."""
        self._blocks -= 1
        if not self._blocks:
            self.release()

    def clog(self, seconds: float) -> None:
        """Hold everything for a while, and then let it through in a burst."""
        self.clogged_until = max(self.clogged_until, self._scheduler.now + seconds)
        self._scheduler.at(self.clogged_until, self.release)

    def release(self) -> None:
        """Let through what was held, if the link is open."""
        if self.is_open:
            for pipe in list(self.busy):
                pipe.resume()

    def recover(self) -> None:
        """Be well again: whatever is under way arrives."""
        self.clogged_until = self._free_at = 0.0
        for pipe in list(self.busy):
            pipe.hurry()

    def delay(self) -> float:
        """How long something that leaves now is under way, in seconds; its size comes on top."""
        settings, rng = self._settings, self.rng
        delay = settings.delay_s + rng.random() * settings.jitter_s
        if rng.random() < settings.tail:
            delay *= min(rng.paretovariate(_TAIL), _LONGEST_TAIL)
            self.strikes.hit("link.tail")
        if self.slowness != 1.0:
            delay *= self.slowness
            self.strikes.hit("link.slow")
        return delay

    def transmit(self, size: int) -> float:
        """Take the link for so many bytes; gives when the last of them is through."""
        start = self._scheduler.now
        if self._free_at > start:
            self.strikes.hit("link.queued")
            start = self._free_at
        self._free_at = start + size / (min(self.narrowings) if self.narrowings else _BYTES_PER_S)
        return self._free_at

    def pieces(self, data: bytes) -> list[bytes]:
        """How a write arrives: faults of frames applied, perhaps cut in two."""
        return self._cut(data, self.filter.apply(data) if self.filter.active else [data])

    def draw_for(self, data: bytes) -> None:
        """Draw what a write would have drawn that is left out, so that later ones find the chance they would have."""
        for _ in self._cut(data, [data]):
            self.delay()

    def _cut(self, data: bytes, pieces: list[bytes]) -> list[bytes]:
        if pieces and len(data) > 1 and self.rng.random() < self._settings.cut:
            first = pieces[0]
            at = self.rng.randrange(1, len(first)) if len(first) > 1 else 1
            pieces[:1] = [piece for piece in (first[:at], first[at:]) if piece]
        return pieces


class Network:
    """All hosts and links.

    Args:
        scheduler: Time.
        settings: Of every link.
        seed: From which each link's own stream of chance is made.
        strikes: Where to count.
    """

    def __init__(self, scheduler: Scheduler, settings: LinkSettings, seed: str, strikes: Strikes) -> None:
        self.scheduler = scheduler
        self.strikes = strikes
        self._settings = settings
        self._seed = seed
        self.hosts: dict[str, Host] = {}
        self.asked_over: dict[tuple[str, int], Asked] = {}
        """What clients ask over connections, by their address and the stream; servers note what becomes of it."""
        self._ports = 40_000
        self._links: dict[tuple[str, str], Link] = {}
        self.on_new_link: Callable[[str, str, Link], None] | None = None
        """For whoever records."""

    def add_host(self, name: str) -> Host:
        """A new machine."""
        host = self.hosts[name] = Host(name)
        return host

    def host(self, name: str) -> Host:
        """The machine of that name, new or old."""
        return self.hosts.get(name) or self.add_host(name)

    def own_address(self, host: Host) -> tuple[str, int]:
        """A host, and a port that none of its connections has had."""
        self._ports += 1
        return host.name, self._ports

    def link(self, source: str, target: str) -> Link:
        """The link from one host to another."""
        found = self._links.get((source, target))
        if found is None:
            rng = random.Random(f"{self._seed}/link/{source}/{target}")  # noqa: S311
            found = Link(self.scheduler, self._settings, rng, self.strikes)
            self._links[source, target] = found
            if self.on_new_link is not None:
                self.on_new_link(source, target, found)
        return found

    def links_at(self, name: str) -> "list[tuple[str, str, Link]]":
        """The links from and to a host."""
        return [(source, target, link) for (source, target), link in self._links.items() if name in (source, target)]

    def blocked(self) -> list[tuple[str, str]]:
        """The links that a partition lies across."""
        return [pair for pair, link in self._links.items() if link.is_blocked]

    def recover(self) -> None:
        """All is well: nothing is held back, and nothing is slow to arrive that was sent before."""
        for link in self._links.values():
            link.recover()

    def links_of(self, pairs: Iterable[tuple[str, str]]) -> list[Link]:
        """The links of pairs of hosts, without those of a host with itself."""
        return [self.link(source, target) for source, target in pairs if source != target]

    def reset(self, source: str, target: str, *, midframe: bool) -> None:
        """Break every connection between two hosts."""
        for transport in list(self.hosts[source].transports):
            if transport.peer_host_name == target:
                self.strikes.hit("connection.reset_midframe" if midframe else "connection.reset")
                transport.break_off(midframe=midframe)

    def half_open(self, source: str, target: str) -> None:
        """Have one side forget its connections without the other being told."""
        for transport in list(self.hosts[source].transports):
            if transport.peer_host_name == target:
                self.strikes.hit("connection.half_open")
                transport.forget()
