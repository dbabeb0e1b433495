"""What an implementation goes through while it is watched: three servers, a network, and a service that holds a lock.

The service is one that the labs' key-value servers are like: it has a lock of its own, under which it calls `start`,
and which its reader of the apply channel takes for each message. About twenty seconds of virtual time, in parts:

1. an election, and commands from two clients at a time;
2. a follower is cut off, commands, it comes back; then the leader is;
3. with replies that overtake each other by seconds, servers are cut off in turn;
4. where the implementation takes them, snapshots of what was applied, behind which a server that was cut off is left;
5. a crash and a restart, and two quiet seconds.

It judges nothing that the implementation decides: that is for the suite. It goes on whatever happens.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Any, Final

from oarlock.lab.advisor.names import term_in
from oarlock.lab.advisor.record import Rpc
from oarlock.lab.advisor.watch import Watch
from oarlock.lab.group import ServerGroup, Service
from oarlock.lab.interface import ClientEnd, Make, Persister
from oarlock.lab.network import Network
from oarlock.lab.threads import BadTarget, RunError, VirtualRuntime

SERVERS: Final = 3
CALLS: Final = frozenset({"start", "get_state", "snapshot", "persist_bytes", "kill"})
SNAPSHOT_EVERY: Final = 10
"""Applied commands."""


class WatchedEnd:
    """An end whose calls are told of."""

    def __init__(self, end: ClientEnd, watch: Watch, peer: int) -> None:
        self._end = end
        self._watch = watch
        self._peer = peer

    def call(self, method: str, args: Any, reply_type: Any = None, /) -> Any:  # noqa: ANN401 - see the protocol
        """See `interface.ClientEnd.call`."""
        watch = self._watch
        activity = watch.activity()
        if activity is None:
            return None
        with watch.pause():
            rpc = Rpc(activity, self._peer, method, term_in(args), watch.frames(), watch.scheduler.now_ns)
        watch.on_rpc(rpc, ended=False)
        reply = self._end.call(method, args, reply_type)
        rpc.ended_ns = watch.scheduler.now_ns
        rpc.replied = reply is not None
        with watch.pause():
            rpc.reply_term = term_in(reply[0] if isinstance(reply, list | tuple) and reply else reply)
        watch.on_rpc(rpc, ended=True)
        return reply


class WatchedChannel:
    """An apply channel with room for one message."""

    def __init__(self, queue: Any, watch: Watch, server: int, life: int) -> None:  # noqa: ANN401 - a runtime's queue
        self._queue = queue
        self._watch = watch
        self._server = server
        self._life = life
        self.put_nowait = queue.put_nowait

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:  # noqa: ANN401
        """See `queue.Queue.put`."""
        self._watch.on_apply(self._server, self._life, item)
        self._queue.put(item, block, timeout)


class WatchedRaft:
    """What `make` returned, with every way in marked as such."""

    def __init__(self, raft: Any, watch: Watch, server: int) -> None:  # noqa: ANN401 - a user's
        self._raft = raft
        self._watch = watch
        self._server = server

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the user's has
        with self._watch.pause():
            value = getattr(self._raft, name)
        if not callable(value):
            return value
        entry = "call" if name in CALLS else "handler"

        @wraps(value)
        def entered(*args: Any) -> Any:  # noqa: ANN401
            with self._watch.entered(f"{entry} {name}", self._server, entry):
                return value(*args)

        return entered


class Scenario:
    """One run.

    Args:
        runtime: On which `make` was loaded.
        watch: Who looks on.
        make: The implementation.
    """

    def __init__(self, runtime: VirtualRuntime, watch: Watch, make: Make) -> None:
        self._runtime = runtime
        self._watch = watch
        self._make = make
        self._network = Network(runtime)
        self._group = ServerGroup(runtime, self._network, "raft", SERVERS, self._start_server)
        self._rafts: list[Any] = [None] * SERVERS
        self._locks: list[Any] = [None] * SERVERS
        self._takes_snapshots = True
        self._commands = 0
        self._accepted = 0
        self._applied = 0
        self.errors: list[str] = []
        """What handlers and calls raised."""
        self._network.on_handler_error = lambda server, method, error: self._failed(f"{method} of {server}", error)

    def run(self) -> None:
        """Go through all parts."""
        for part in (self._agree, self._cut_off, self._reorder, self._leave_behind, self._restart):
            part()
        self._network.reliable = True
        self._sleep(2.0)
        self._watch.finish()
        if not self._accepted:
            self.errors.append("no server ever took a command as the leader: most of the advice could not be checked")
        elif not self._applied:
            self.errors.append("nothing was ever applied: some of the advice could not be checked")
        for server in range(SERVERS):
            self._group.crash(server)
        self._sleep(0.5)
        self._network.close()

    # -- parts ---------------------------------------------------------------------------------------------------

    def _agree(self) -> None:
        for server in range(SERVERS):
            self._group.start(server)
        self._group.heal()
        self._sleep(1.5)
        clients = [self._runtime.threading.Thread(target=self._submit, args=(6,), name=f"client-{n}") for n in range(2)]
        for client in clients:
            client.start()
        for client in clients:
            client.join()

    def _cut_off(self) -> None:
        for wanted in (False, True):
            server = self._one_that(leads=wanted)
            self._group.disconnect(server)
            self._submit(3)
            self._sleep(1.5)
            self._submit(3)
            self._group.connect(server)
            self._sleep(0.7)

    def _reorder(self) -> None:
        self._network.reliable = False
        self._network.long_reordering = True
        for _ in range(3):
            server = self._one_that(leads=True)
            self._submit(2)
            self._group.disconnect(server)
            self._sleep(1.2)
            self._submit(2)
            self._group.connect(server)
            self._sleep(0.8)
        self._network.long_reordering = False
        self._network.reliable = True
        self._sleep(1.0)

    def _leave_behind(self) -> None:
        server = self._one_that(leads=False)
        self._group.disconnect(server)
        self._submit(2 * SNAPSHOT_EVERY)
        self._sleep(0.5)
        self._group.connect(server)
        self._sleep(1.5)

    def _restart(self) -> None:
        server = self._one_that(leads=False)
        self._group.crash(server)
        self._submit(2)
        self._group.start(server)
        self._group.connect(server)
        self._sleep(1.0)
        self._submit(3)

    # -- servers and their service -------------------------------------------------------------------------------

    def _start_server(self, peers: Sequence[ClientEnd], me: int, persister: Persister) -> Mapping[str, Service]:
        watch = self._watch
        life = watch.begin_life(me)
        queue = self._runtime.queue.Queue(1)
        lock = self._runtime.threading.Lock()
        watch.lock_names[lock] = "the service's lock"
        watch.service_locks.add(lock)
        ends = [WatchedEnd(end, watch, peer) for peer, end in enumerate(peers)]
        with watch.entered("make", me, "make"):
            made = self._call_make(ends, me, persister, WatchedChannel(queue, watch, me, life))
        raft = WatchedRaft(made, watch, me)
        self._rafts[me], self._locks[me] = raft, lock
        reader = self._runtime.threading.Thread(target=self._read, args=(raft, queue, lock), name=f"reader-{me}")
        reader.start()
        return {"Raft": raft}

    def _call_make(self, *args: Any) -> Any:  # noqa: ANN401 - a user's Raft
        """What `make` returns, looked at.

        Raises:
            BadTarget: It raises, or returns something else than a Raft.
        """
        try:
            made = self._make(*args)
        except RunError:
            raise
        except Exception as error:
            raise BadTarget(f"make raised {type(error).__name__}: {error}") from error
        missing = [name for name in ("start", "get_state", "kill") if not callable(getattr(made, name, None))]
        if missing:
            raise BadTarget(f"make returned a {type(made).__name__}, which has no {', no '.join(missing)}")
        return made

    def _read(self, raft: Any, queue: Any, lock: Any) -> None:  # noqa: ANN401 - of the runtime
        applied = 0
        while True:
            message = queue.get()
            if message is None:
                continue
            self._applied += 1
            with lock:
                applied += 1
                index = message.command_index if message.command_valid else 0
            if self._takes_snapshots and index and applied % SNAPSHOT_EVERY == 0:
                self._takes_snapshots = (
                    self._try("snapshot", lambda at=index: raft.snapshot(at, b"up to there")) != "no"
                )

    def _submit(self, count: int) -> None:
        for _ in range(count):
            self._commands += 1
            command = f"command {self._commands}"
            for server in range(SERVERS):
                raft, lock = self._rafts[server], self._locks[server]
                if self._group.lives_now(server):
                    with lock:
                        answer = self._try("start", raft.start, command)
                        self._accepted += isinstance(answer, list | tuple) and len(answer) == 3 and bool(answer[2])
            self._sleep(0.02)

    def _one_that(self, *, leads: bool) -> int:
        """The first that says it leads, or that it does not."""
        for server in range(SERVERS):
            if self._group.lives_now(server):
                state = self._try("get_state", self._rafts[server].get_state)
                if isinstance(state, list | tuple) and len(state) == 2 and bool(state[1]) is leads:
                    return server
        return 0

    def _try(self, what: str, call: Callable[..., Any], *args: Any) -> Any:  # noqa: ANN401 - whatever it returns
        """The result of a call; "no" if it raises."""
        try:
            return call(*args)
        except NotImplementedError:
            return "no"
        except RunError:
            raise
        except Exception as error:  # noqa: BLE001 - a user's code may raise anything
            self._failed(what, error)
            return "no"

    def _failed(self, what: str, error: Exception) -> None:
        sentence = f"{what} raised {type(error).__name__}: {error}"
        if sentence not in self.errors and len(self.errors) < 20:
            self.errors.append(sentence)

    def _sleep(self, seconds: float) -> None:
        self._runtime.time.sleep(seconds)
