"""The world of sharded services: groups that start and stop, ways between all of them, and clients of the whole."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from oarlock.lab.failure import LabFailure
from oarlock.lab.group import ServerGroup, Service
from oarlock.lab.interface import ClientEnd, Make, Persister, Runtime
from oarlock.lab.network import ClientEnd as NetworkEnd
from oarlock.lab.services.interface import Error, KvClerk, Services
from oarlock.lab.services.shard_config import ShardConfig, shard_of
from oarlock.lab.services.shard_server import Reach, ShardClerk, ShardServer
from oarlock.lab.services.shard_store import ShardStore
from oarlock.lab.suite.service_harness import ServiceHarness
from oarlock.lab.suite.versioned import RecordingClerk

GROUP_SIZE: Final = 3
END_S: Final = 30.0
"""For clients to end."""


class ShardHarness(ServiceHarness):
    """Groups by id, none of which lives yet; `start` begins them.

    Args:
        runtime: As for `ServiceHarness`.
        implementation: As for `ServiceHarness`.
        shards: How many there are.
        reliable: As for `ServiceHarness`.
        max_raft_state: Bytes above which logs are compacted, or -1.
    """

    def __init__(
        self,
        runtime: Runtime,
        implementation: Services | Make,
        *,
        shards: int,
        reliable: bool = True,
        max_raft_state: int = -1,
    ) -> None:
        super().__init__(runtime, implementation, reliable=reliable, max_raft_state=max_raft_state)
        self.shards = shards
        self.by_id: dict[int, ServerGroup] = {}
        self._ways: dict[str, dict[str, NetworkEnd]] = {}
        """By who owns them and where they lead."""
        self._cut: set[str] = set()

    def limited_groups(self) -> Iterable[ServerGroup]:
        """See `ServiceHarness.limited_groups`: those with shards."""
        return self.by_id.values()

    # -- groups --------------------------------------------------------------------------------------------------

    def make_group(self, group: int, size: int = GROUP_SIZE) -> tuple[str, ...]:
        """A new group, which lives; gives its servers' names."""

        def start_server(peers: Sequence[ClientEnd], me: int, persister: Persister) -> Mapping[str, Service]:
            store = ShardStore(group, self.shards, self.runtime.threading.Lock())
            rsm = self.make_rsm(peers, me, persister, self.max_raft_state, store)
            server = ShardServer(rsm)
            return {"Raft": rsm.raft, "Shard": server, **self.beside(group, me, rsm.raft, server, store)}

        self.by_id[group] = self.add_group(f"g{group}", size, start_server)
        self.start(group)
        return self.names(group)

    def beside(self, group: int, me: int, raft: Any, server: ShardServer, store: ShardStore) -> Mapping[str, Service]:  # noqa: ANN401, ARG002
        """What else each server does; nothing here."""
        return {}

    def names(self, group: int) -> tuple[str, ...]:
        """The names of a group's servers."""
        servers = self.by_id[group]
        return tuple(servers.server_name(server) for server in servers.everyone)

    def start(self, group: int, *servers: int) -> None:
        """Begin new lives of a group's servers, by default of all."""
        chosen = self.by_id[group]
        for server in servers or chosen.everyone:
            self._ways.pop(chosen.server_name(server), None)
            self._cut.discard(chosen.server_name(server))
            chosen.start(server)
            chosen.connect(server)

    def shut_down(self, group: int, *servers: int) -> None:
        """Crash a group's servers, by default all; what is left of them reaches nobody."""
        chosen = self.by_id[group]
        for server in servers or chosen.everyone:
            self.cut_off(chosen.server_name(server))
            chosen.crash(server)

    def restart_all(self) -> None:
        """Every server of every group crashes and begins anew."""
        for group in self.by_id:
            self.shut_down(group)
        for group in self.by_id:
            self.start(group)

    def leader(self, group: int) -> int:
        """A server of a group that believes to lead.

        Raises:
            LabFailure: None does in five seconds.
        """
        chosen = self.by_id[group]

        def leading() -> list[int]:
            living: list[tuple[int, Any]] = [(s, chosen.services[s]) for s in chosen.everyone if chosen.lives_now(s)]
            return [server for server, services in living if services["Raft"].get_state()[1]]

        if not self.poll(lambda: bool(leading()), 5):
            raise LabFailure(f"group {group} has no leader in 5 s")
        return next(iter(leading()), 0)

    # -- ways ----------------------------------------------------------------------------------------------------

    def reach_from(self, owner: str) -> Reach:
        """Ways that lead from one place to any server, until that place is cut off."""
        ways = self._ways.setdefault(owner, {})

        def reach(name: str) -> ClientEnd:
            if name not in ways:
                end = f"{owner}=>{name}#{next(self.numbers)}"
                ways[name] = self.network.make_end(end, name)
                self.network.enable(end, enabled=owner not in self._cut)
            return ways[name]

        return reach

    def cut_off(self, owner: str) -> None:
        """Nothing leads from there any more."""
        self._cut.add(owner)
        self._switch(owner, enabled=False)

    def let_back(self, owner: str) -> None:
        """The ways from there are open again."""
        self._cut.discard(owner)
        self._switch(owner, enabled=True)

    def _switch(self, owner: str, *, enabled: bool) -> None:
        for end in list(self._ways.get(owner, {}).values()):
            self.network.enable(end.name, enabled=enabled)

    # -- clients -------------------------------------------------------------------------------------------------

    def query(self, owner: str) -> Callable[[], ShardConfig]:
        """How somebody learns the newest configuration."""
        raise NotImplementedError

    def clerk(self, query: Callable[[], ShardConfig] | None = None) -> RecordingClerk:
        """A new client."""
        number = next(self.numbers)
        owner = f"client{number}"
        found = query or self.query(owner)
        clerk = ShardClerk(self.runtime, found, self.reach_from(owner), lambda: self.is_over)
        return RecordingClerk(self.runtime, clerk, self.operations, number)

    def shard_keys(self, each: int = 1) -> list[str]:
        """So many keys in each shard."""
        found: dict[int, list[str]] = {shard: [] for shard in range(self.shards)}
        number = 0
        while any(len(keys) < each for keys in found.values()):
            keys = found[shard_of(f"k{number}", self.shards)]
            if len(keys) < each:
                keys.append(f"k{number}")
            number += 1
        return [key for keys in found.values() for key in keys]

    def token(self) -> str:
        """A text unlike all others."""
        return f"{self.random.getrandbits(40):010x}"

    def fill(self, clerk: KvClerk, keys: Sequence[str], size: int = 0) -> dict[str, str]:
        """Write new values, of a size at least; gives them by key."""
        values = {key: self.token().ljust(size, ".") for key in keys}
        for key, value in values.items():
            while True:
                _, version, _ = clerk.get(key)
                error = clerk.put(key, value, version)
                if error == Error.OK or (error == Error.MAYBE and clerk.get(key)[0] == value):
                    break
        return values

    def append(self, clerk: KvClerk, key: str, more: str) -> None:
        """Add a text unlike all others to a key's value, once."""
        while True:
            value, version, _ = clerk.get(key)
            if more in value:
                return  # a put that was perhaps done was done
            if clerk.put(key, value + more, version) == Error.OK:
                return

    def append_all(self, clerk: KvClerk, values: dict[str, str]) -> None:
        """Check each key's value, and add to it."""
        self.check_all(clerk, values)
        for key in values:
            more = self.token()
            self.append(clerk, key, more)
            values[key] += more

    def check_all(self, clerk: KvClerk, values: Mapping[str, str]) -> None:
        """Keys must hold these values.

        Raises:
            LabFailure: One does not.
        """
        for key, value in values.items():
            found, version, error = clerk.get(key)
            self.require(found == value, f"key {key!r} holds {found!r} (version {version}, {error}), not {value!r}")

    def answered(self, keys: Sequence[str], seconds: float, query: Callable[[], ShardConfig] | None = None) -> set[str]:
        """The keys that clients, one for each, are answered in time."""
        done: set[str] = set()

        def get(key: str) -> None:
            self.clerk(query).get(key)
            done.add(key)

        for key in keys:
            self.spawn(get, key)
        self.poll(lambda: len(done) == len(keys), seconds)
        return set(done)

    # -- clients at work -----------------------------------------------------------------------------------------

    def work(self, keys: Sequence[str], is_over: Any, think_ms: int = 100) -> None:  # noqa: ANN401 - an event
        """A client that reads and writes until it is told to stop."""
        clerk = self.clerk()
        while not is_over.is_set():
            key = self.random.choice(keys)
            _, version, _ = clerk.get(key)
            if self.random.random() < 0.5:
                clerk.put(key, self.token(), version)
            self.sleep(self.random.randint(1, think_ms) / 1000)

    def appending(self, values: dict[str, str], is_over: Any) -> list[Any]:  # noqa: ANN401 - an event
        """Clients, one for each key, that add to it until they are told to stop; `values` follows."""

        def work(key: str) -> None:
            clerk = self.clerk()
            while not is_over.is_set():
                more = self.token()
                self.append(clerk, key, more)
                values[key] += more
                self.sleep(self.random.randint(1, 100) / 1000)

        return [self.spawn(work, key) for key in values]

    def join_all(self, threads: list[Any]) -> None:
        """Wait for clients that were told to stop.

        Raises:
            LabFailure: One takes long.
        """
        self.join(threads, END_S, "the end of the clients")
