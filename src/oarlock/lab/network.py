"""The labs' simulated RPC network: requests and replies are lost, late and reordered, and servers die under them.

A reliable network does not delay. An unreliable one delays each request by 0 to 26 ms, loses a tenth of the requests,
whose handlers do not run, and a tenth of the replies, whose handlers did. With `long_reordering` two thirds of the
replies come 200 to 2,200 ms late, so that they overtake each other. Who calls a server that is not there waits 0 to
99 ms before it learns so, or 0 to 6,999 ms with `long_delays`. While a handler runs, every 100 ms and before the
reply, it is checked that its server lives and the way is open; else there is no reply, though the handler ran.

The caller's own thread does the waiting. A handler has a thread of the network's, since its server may die under it.
"""

from collections.abc import Callable, Mapping
from itertools import count
from typing import Any, Final, Protocol

import msgspec

from oarlock.lab.interface import Runtime
from oarlock.lab.wire import NotPlain, decode, encode, parameter_type
from oarlock.lab.workers import Workers

REQUEST_DELAY_MS: Final = 26
"""The longest delay of a request on an unreliable network."""
LOST_PER_MILLE: Final = 100
"""How many of 1,000 requests an unreliable network loses, and how many of the replies that are left."""
LATE_PER_MILLE: Final = 667
"""How many of 1,000 replies come late with `long_reordering`: two of three."""
LATE_MS: Final = (200, 2000)
"""By how much at least, and the bound of what is drawn twice on top."""
ABSENT_MS: Final = 99
"""The longest wait of who calls a server that is not there."""
ABSENT_LONG_MS: Final = 6999
"""The same with `long_delays`."""
LIVENESS_CHECK_S: Final = 0.1
"""How often it is looked whether the server of a running handler lives."""


class Rpc(msgspec.Struct, frozen=True):
    """One call, when it is over."""

    began: float
    """Seconds on the runtime's clock."""
    ended: float
    end: str
    """The name of the end called."""
    server: str
    """The name of the server at the other side; empty if none."""
    method: str
    request: int
    """Bytes."""
    reply: int
    """Bytes; 0 if there was none."""
    outcome: str
    """`ok`, or why there is no reply: `absent`, `request lost`, `reply lost`, `server died`,
    `handler failed`, `closed`."""


class Watcher(Protocol):
    """Is told of each call as it goes on, in the threads in which it does; must neither wait nor take a lab's lock."""

    def sent(self, call: int, end: str, method: str, payload: bytes) -> None:
        """A call, with a number of its own, leaves an end."""

    def arrived(self, call: int) -> None:
        """Its handler begins."""

    def replied(self, call: int, payload: bytes) -> None:
        """Its handler is done."""

    def ended(self, call: int, outcome: str) -> None:
        """It is over; the outcome as in `Rpc`, or `cut off` where a server that is absent lives."""


class NoSuchHandler(Exception):
    """A method was called that the server has not."""


class Server:
    """The services of one life of one server."""

    def __init__(self, services: Mapping[str, object]) -> None:
        """Offer services.

        Args:
            services: By name. The public methods of each, with one parameter, are its handlers.
        """
        self.services = dict(services)
        self.handled = 0
        """Requests whose handler was run."""
        self._handlers: dict[str, tuple[Callable[[Any], Any], Any]] = {}

    def dispatch(self, method: str, payload: bytes) -> bytes:
        """Run a handler.

        Raises:
            NoSuchHandler: There is none of that name.
            NotPlain: Its argument or its reply is not plain data.
            Exception: Whatever the handler raises.
        """
        handler, type_ = self._handlers.get(method) or self._find(method)
        reply = handler(decode(payload, type_, f"the argument of {method}"))
        if reply is None:
            raise NotPlain(f"{method} returned None, which stands for a lost reply: a handler must return something")
        return encode(reply, f"the reply of {method}")

    def _find(self, method: str) -> tuple[Callable[[Any], Any], Any]:
        service, dot, name = method.rpartition(".")
        places = [self.services.get(service)] if dot else list(self.services.values())
        for place in places:
            handler = None if name.startswith("_") else getattr(place, name, None)
            if callable(handler):
                self._handlers[method] = found = (handler, parameter_type(handler))
                return found
        raise NoSuchHandler(f"no handler {method!r} in {', '.join(self.services) or 'a server without services'}")


class ClientEnd:
    """One way through the network, leading to one server; see `interface.ClientEnd`."""

    __slots__ = ("_network", "name")

    def __init__(self, network: "Network", name: str) -> None:
        self._network = network
        self.name = name

    @property
    def network(self) -> "Network":
        """What it leads through."""
        return self._network

    def call(self, method: str, args: Any, reply_type: Any = None, /) -> Any:  # noqa: ANN401 - see the protocol
        """See `interface.ClientEnd.call`.

        Raises:
            NotPlain: The arguments cannot travel, or the reply is not of that type.
        """
        reply = self._network.transmit(self.name, method, encode(args, f"the argument of {method}"))
        return None if reply is None else decode(reply, reply_type, f"the reply of {method}")


class _Way(msgspec.Struct):
    """What an end leads to."""

    server: str = ""
    enabled: bool = False


class Network:
    """Ends, servers, and what happens between them.

    The three switches may be changed at any time; calls under way go on as they began.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._lock = runtime.threading.Lock()
        self._closed = runtime.threading.Event()
        self._workers = Workers(runtime)
        self._ways: dict[str, _Way] = {}
        self._servers: dict[str, Server] = {}
        self._counted_before: dict[str, int] = {}
        """Requests handled by earlier lives of each server."""
        self.reliable = True
        self.long_reordering = False
        self.long_delays = False
        self.total_rpcs = 0
        """Requests sent, those to absent servers too."""
        self.total_bytes = 0
        """Of all arguments, lost ones too, and of the replies that arrived."""
        self.on_rpc: Callable[[Rpc], None] | None = None
        """Is told of each call that is over, in its thread."""
        self.on_handler_error: Callable[[str, str, Exception], None] | None = None
        """Is told by server and method of each exception out of a handler, in the handler's thread."""
        self.watcher: Watcher | None = None
        self._calls = count(1)

    # -- what is where -------------------------------------------------------------------------------------------

    def make_end(self, name: str, server: str) -> ClientEnd:
        """A new end that leads to a server, and is not enabled."""
        with self._lock:
            if name in self._ways:
                raise ValueError(f"the network has an end {name!r} already")
            self._ways[name] = _Way(server)
        return ClientEnd(self, name)

    def enable(self, name: str, *, enabled: bool = True) -> bool:
        """Open or shut the way from an end; whether that is a change."""
        with self._lock:
            way = self._ways[name]
            was, way.enabled = way.enabled, enabled
            return was != enabled

    def add_server(self, name: str, server: Server) -> None:
        """A server's life begins; one that was there under that name is there no more."""
        self.delete_server(name)
        with self._lock:
            self._servers[name] = server

    def delete_server(self, name: str) -> None:
        """A server is gone: what its handlers still do brings no reply."""
        with self._lock:
            gone = self._servers.pop(name, None)
            if gone is not None:
                self._counted_before[name] = self._counted_before.get(name, 0) + gone.handled

    def rpcs_of(self, name: str) -> int:
        """Requests that a server has handled, in all its lives."""
        with self._lock:
            living = self._servers.get(name)
            return self._counted_before.get(name, 0) + (living.handled if living is not None else 0)

    def close(self) -> None:
        """End: every call under way, and every later one, returns None at once."""
        self._closed.set()
        self._workers.close()

    # -- one call ------------------------------------------------------------------------------------------------

    def transmit(self, end: str, method: str, payload: bytes) -> bytes | None:
        """Carry a request to where its end leads, and the reply back; None if either is lost."""
        began = self._runtime.time.monotonic()
        with self._lock:
            self.total_rpcs += 1
            self.total_bytes += len(payload)
            name, server = self._destination(end)
        call = next(self._calls)
        if self.watcher is not None:
            self.watcher.sent(call, end, method, payload)
        if self._closed.is_set():
            reply, outcome = None, "closed"
        elif server is None:
            self._pause_ms(self._chance(ABSENT_LONG_MS if self.long_delays else ABSENT_MS))
            reply, outcome = None, "absent"
        else:
            reply, outcome = self._carry(call, end, server, name, method, payload)
        if reply is not None:
            with self._lock:
                self.total_bytes += len(reply)
        if self.watcher is not None:
            lives = name in self._servers
            self.watcher.ended(call, "cut off" if outcome == "absent" and lives else outcome)
        if self.on_rpc is not None:
            size = 0 if reply is None else len(reply)
            now = self._runtime.time.monotonic()
            self.on_rpc(Rpc(began, now, end, name, method, len(payload), size, outcome))
        return reply

    def _destination(self, end: str) -> tuple[str, Server | None]:
        way = self._ways[end]
        return way.server, self._servers.get(way.server) if way.enabled else None

    def _leads_to(self, end: str, server: Server) -> bool:
        with self._lock:
            return self._destination(end)[1] is server

    def _carry(
        self, call: int, end: str, server: Server, name: str, method: str, payload: bytes
    ) -> tuple[bytes | None, str]:
        reliable, reorders = self.reliable, self.long_reordering
        if not reliable:
            self._pause_ms(self._chance(REQUEST_DELAY_MS))
            if self._chance(999) < LOST_PER_MILLE:
                return None, "request lost"
        reply = self._run_handler(call, end, server, name, method, payload)
        if not self._leads_to(end, server):
            return None, "server died"
        if reply is None:
            return None, "handler failed"
        if not reliable and self._chance(999) < LOST_PER_MILLE:
            return None, "reply lost"
        if reorders and self._chance(999) < LATE_PER_MILLE:
            least, span = LATE_MS
            self._pause_ms(least + self._chance(self._chance(span - 1)))
        return (None, "closed") if self._closed.is_set() else (reply, "ok")

    def _run_handler(self, call: int, end: str, server: Server, name: str, method: str, payload: bytes) -> bytes | None:
        """The reply; None if the server died before there was one, or the handler raised."""
        done = self._runtime.threading.Event()
        replies: list[bytes] = []

        def handle() -> None:
            try:
                with self._lock:
                    server.handled += 1
                if self.watcher is not None:
                    self.watcher.arrived(call)
                replies.append(server.dispatch(method, payload))
                if self.watcher is not None:
                    self.watcher.replied(call, replies[0])
            except Exception as error:  # noqa: BLE001 - a user's handler may raise anything
                if self.on_handler_error is not None:
                    self.on_handler_error(name, method, error)
            finally:
                done.set()

        self._workers.submit(handle)
        while not done.wait(LIVENESS_CHECK_S):
            if self._closed.is_set() or not self._leads_to(end, server):
                return None
        return replies[0] if replies else None

    def _chance(self, most: int) -> int:
        """From 0 to `most`, both included."""
        number: int = self._runtime.random.randint(0, most)
        return number

    def _pause_ms(self, milliseconds: int) -> None:
        """Wait, but not longer than the network is there."""
        if milliseconds:
            self._closed.wait(milliseconds / 1000)
