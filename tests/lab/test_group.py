"""Groups of servers: lives, zombies, disks, and who can reach whom."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from oarlock.lab.group import ServerGroup
from oarlock.lab.network import ClientEnd, Network
from oarlock.lab.persister import Persister
from oarlock.lab.threads import VirtualRuntime


class Plain:
    """A server that answers with its number and its life."""

    def __init__(self, peers: Sequence[ClientEnd], me: int, persister: Persister) -> None:
        self.peers = peers
        self.me = me
        self.persister = persister
        self.dead = False

    def who(self, _: Any) -> int:
        return self.me

    def save(self, text: str) -> bool:
        self.persister.save(text.encode(), None)
        return True

    def kill(self) -> None:
        self.dead = True


class World:
    """Three servers on virtual time."""

    def __init__(self) -> None:
        self.runtime = VirtualRuntime(1)
        self.network = Network(self.runtime)
        self.made: list[Plain] = []
        self.group = ServerGroup(self.runtime, self.network, "g", 3, self._start)

    def _start(self, peers: Sequence[ClientEnd], me: int, persister: Persister) -> Mapping[str, Any]:
        self.made.append(Plain(peers, me, persister))
        return {"Plain": self.made[-1]}

    def run(self, function: Callable[[], Any]) -> Any:
        """With all three started and connected."""

        def main() -> Any:
            for server in self.group.everyone:
                self.group.start(server)
            self.group.heal()
            return function()

        return self.runtime.run(main)

    def reached(self) -> set[tuple[int, int]]:
        """Who reaches whom, of those that live."""
        living = {each.me: each for each in self.made if not each.dead}
        return {
            (source, to)
            for source, plain in living.items()
            for to, end in enumerate(plain.peers)
            if end.call("who", 0) == to
        }


PAIRS = {(source, to) for source in range(3) for to in range(3)}


def test_disconnect_shuts_all_ways_of_a_server() -> None:
    """Who is cut off reaches nobody, not even itself, and nobody reaches it; connect undoes it."""
    world = World()

    def main() -> tuple[set[tuple[int, int]], set[tuple[int, int]]]:
        world.group.disconnect(1)
        cut = world.reached()
        world.group.connect(1)
        return cut, world.reached()

    assert world.run(main) == ({(0, 0), (0, 2), (2, 0), (2, 2)}, PAIRS)


def test_partition_leaves_the_ways_within_each_side() -> None:
    """Servers of one side reach each other, and nobody else."""
    world = World()

    def main() -> set[tuple[int, int]]:
        world.group.partition([0, 2], [1])
        return world.reached()

    assert world.run(main) == {(0, 0), (0, 2), (2, 0), (2, 2), (1, 1)}
    assert world.group.connected == [True, True, True]


def test_a_crash_leaves_a_zombie_without_ways_or_disk() -> None:
    """A crashed server keeps its ends and its persister, which lead nowhere: its next life has the disk as it was."""
    world = World()

    def main() -> None:
        zombie = world.made[0]
        world.made[1].peers[0].call("save", "before")
        world.group.crash(0)
        assert zombie.dead
        zombie.save("after")
        assert zombie.peers[1].call("who", 0) is None
        assert world.made[1].peers[0].call("who", 0) is None
        world.group.start(0)
        world.group.connect(0)
        assert world.made[-1].persister.read_raft_state() == b"before"
        assert world.reached() == PAIRS
        assert zombie.peers[1].call("who", 0) is None

    world.run(main)
    assert world.group.lives == [2, 1, 1]


def test_a_restart_is_connected_only_when_asked() -> None:
    """Restarting one server opens no way, neither its own nor another's."""
    world = World()

    def main() -> set[tuple[int, int]]:
        world.group.disconnect(2)
        world.group.start(0)
        return world.reached()

    assert world.run(main) == {(1, 1)}


def test_clients_reach_whom_they_are_connected_to() -> None:
    """A client's ends lead to every server, and may be limited to some."""
    world = World()

    def main() -> list[list[Any]]:
        ends = world.group.client_ends()
        answers = [[end.call("who", 0) for end in ends]]
        world.group.connect_client(ends, [2])
        return [*answers, [end.call("who", 0) for end in ends]]

    assert world.run(main) == [[0, 1, 2], [None, None, 2]]


def test_changes_of_ways_are_told() -> None:
    """Observers hear of each way that changed, once."""
    world = World()
    told: list[tuple[int, bool]] = []

    def main() -> None:
        world.group.on_links = lambda links, *, opened: told.append((len(links), opened))
        world.group.disconnect(1)
        world.group.disconnect(1)
        world.group.connect(1)

    world.run(main)
    assert told == [(5, False), (5, True)]


def test_sizes_are_of_what_is_persisted() -> None:
    """The largest state now, and ever, through crashes."""
    world = World()

    def main() -> None:
        world.made[0].persister.save(b"x" * 100, b"y" * 7)
        world.made[0].persister.save(b"x" * 10, b"y" * 7)
        world.group.crash(0)

    world.run(main)
    group = world.group
    assert (group.largest_raft_state(), group.largest_raft_state_ever(), group.largest_snapshot()) == (10, 100, 7)
    assert group.persisted_bytes() == 17
