"""Three PySyncObj nodes on a network in memory and a clock of our own: what happens when is the test's choice alone."""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pysyncobj.syncobj
import pysyncobj.transport
from pysyncobj import FAIL_REASON, SyncObj, SyncObjConf, replicated
from pysyncobj.node import Node
from pysyncobj.transport import Transport

NAMES = ("a", "b", "c")
ELECTION_TIMEOUT_S = 1.0
HEARTBEAT_S = 0.125
SNAPSHOT_CHUNK_BYTES = 256
"""Small, so that a snapshot takes several messages, as a large one does with the default of 64 KiB."""


class Clock:
    """Stands still unless it is moved."""

    def __init__(self) -> None:
        """Starts somewhere above 0."""
        self.now = 1000.0

    def __call__(self) -> float:
        """What PySyncObj takes for `monotonic`."""
        return self.now


@contextmanager
def own_clock() -> Iterator[Clock]:
    """Puts PySyncObj on a clock of ours for as long as the context lasts."""
    clock = Clock()
    modules = (pysyncobj.syncobj, pysyncobj.transport)
    before = [module.monotonicTime for module in modules]
    for module in modules:
        module.monotonicTime = clock
    try:
        yield clock
    finally:
        for module, function in zip(modules, before, strict=True):
            module.monotonicTime = function


class Network:
    """Holds every message until it is delivered; a node that is cut off neither sends nor receives."""

    def __init__(self) -> None:
        """No node yet."""
        self.links: dict[str, _Link] = {}
        self.cut_off: set[str] = set()
        self._queues: dict[tuple[str, str], deque[Any]] = {}

    def send(self, source: str, target: str, message: Any) -> bool:
        """Queues a message, or drops it."""
        if self.cut_off & {source, target}:
            return False
        self._queues.setdefault((source, target), deque()).append(message)
        return True

    def deliver(self, source: str, target: str, most: int | None = None) -> int:
        """Delivers what is queued now, in order, at most so many messages; says how many there were."""
        queue = self._queues.get((source, target), deque())
        count = len(queue) if most is None else min(most, len(queue))
        for _ in range(count):
            self.links[target].receive(source, queue.popleft())
        return count

    def deliver_all(self) -> int:
        """Delivers what is queued now everywhere."""
        return sum(self.deliver(*pair) for pair in sorted(self._queues))

    def cut(self, name: str) -> None:
        """Cuts a node off; its messages under way are lost, and everybody sees the connection break."""
        self.cut_off.add(name)
        for pair, queue in self._queues.items():
            if name in pair:
                queue.clear()
        for other in self.links.keys() - {name}:
            self.links[name].lose(other)
            self.links[other].lose(name)

    def heal(self, name: str) -> None:
        """Connects it again."""
        self.cut_off.discard(name)
        for other in self.links.keys() - {name}:
            self.links[name].find(other)
            self.links[other].find(name)


class _Link(Transport):  # type: ignore[misc]
    """A node's end of the network."""

    def __init__(self, network: Network, own: str) -> None:
        """Joins the network."""
        super().__init__(None, None, [])
        self._network = network
        self._own = own
        network.links[own] = self

    @property
    def ready(self) -> bool:
        return True

    def tryGetReady(self) -> None:  # noqa: N802 - PySyncObj's
        pass

    def send(self, node: Node, message: Any) -> bool:
        return self._network.send(self._own, node.id, message)

    def receive(self, source: str, message: Any) -> None:
        self._onMessageReceived(Node(source), message)

    def lose(self, other: str) -> None:
        self._onNodeDisconnected(Node(other))

    def find(self, other: str) -> None:
        self._onNodeConnected(Node(other))


class Register(SyncObj):  # type: ignore[misc]
    """A list of all values that were ever written."""

    def __init__(self, own: str, network: Network) -> None:
        """A node that does nothing unless it is told to."""
        conf = SyncObjConf(
            autoTick=False,
            raftMinTimeout=ELECTION_TIMEOUT_S,
            raftMaxTimeout=ELECTION_TIMEOUT_S + 0.001,
            appendEntriesPeriod=HEARTBEAT_S / 2,
            logCompactionMinEntries=10**9,
            logCompactionMinTime=10**9,
            logCompactionBatchSize=SNAPSHOT_CHUNK_BYTES,
            dynamicMembershipChange=False,
        )
        others = [Node(name) for name in NAMES if name != own]
        super().__init__(Node(own), others, conf, transport=_Link(network, own))
        self.written: list[str] = []

    @replicated
    def write(self, value: str) -> int:
        """Appends a value; answers how many there are."""
        self.written.append(value)
        return len(self.written)


class Answers:
    """What callbacks were told: the value's name and PySyncObj's reason, once each."""

    def __init__(self) -> None:
        """Nobody was told anything."""
        self.told: dict[str, int] = {}

    def write(self, node: Register, value: str) -> None:
        """Writes a value through a node and notes the answer."""

        def answered(_result: object, reason: int) -> None:
            self.told[value] = reason

        node.write(value, callback=answered)

    def successes(self) -> list[str]:
        """What was acknowledged."""
        return [value for value, reason in self.told.items() if reason == FAIL_REASON.SUCCESS]
