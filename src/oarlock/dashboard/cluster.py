"""The dashboard of a local cluster: one page for all its servers, which also hurts and heals them."""

import asyncio
import json
from collections.abc import Sequence
from functools import partial
from typing import Any, Final, Protocol

import msgspec

from oarlock.dashboard import keyvalue
from oarlock.dashboard.gather import Follower
from oarlock.dashboard.guard import SAFETY_HEADERS, GuardedRouter
from oarlock.dashboard.hub import Hub, Line
from oarlock.dashboard.merge import LiveMerge
from oarlock.dashboard.port import DashboardPort, stream_of
from oarlock.dashboard.server import live_page
from oarlock.dashboard.world import WorldLane
from oarlock.etcd.http1 import HttpRequest, HttpResponse
from oarlock.trace.schema import Event, Header, encode

_PUMP_S: Final = 0.03
_CALL_S: Final = 10.0
_MAX_KEY_BYTES: Final = 1024
_MAX_VALUE_BYTES: Final = 32 << 10
_LINGER_S: Final = 3.0
"""So long the servers go on being followed when nobody looks: a page is perhaps only loaded again."""
ACTIONS: Final = ("kill", "pause", "resume", "restart", "partition", "heal")


class Order(msgspec.Struct, forbid_unknown_fields=True):
    """What a page wants done."""

    action: str
    servers: list[str] = []


class KeyValueCall(msgspec.Struct, forbid_unknown_fields=True):
    """What a page wants written or read."""

    op: str
    key: str
    value: str = ""
    server: str = ""


class Watched(msgspec.Struct, frozen=True):
    """One of the local servers."""

    name: str
    lane: str
    """Its name in traces."""
    client_port: int
    dashboard_port: int


class Supervisor(Protocol):
    """Who runs the servers."""

    def state(self, name: str) -> str:
        """`running`, `paused`, `down` (until it is told to start), or `starting`."""

    def act(self, action: str, name: str) -> None:
        """Kill, pause, resume or restart one."""

    def partition(self, names: Sequence[str]) -> None:
        """Cut these off from the rest."""

    def heal(self) -> None:
        """Let all talk to all."""


class Refused(Exception):
    """An order that cannot be followed."""


class ClusterDashboard:
    """Serves the page, its events, and its orders."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        header: Header,
        servers: Sequence[Watched],
        supervisor: Supervisor,
        world: WorldLane,
        token: str,
    ) -> None:
        """Prepare.

        Args:
            loop: The running loop.
            header: Of the trace of all.
            servers: Those there are.
            supervisor: Follows the orders.
            world: What happens to no server.
            token: Without it nobody is answered.
        """
        self._loop = loop
        self._header = header
        self._servers = {server.name: server for server in servers}
        self._supervisor = supervisor
        self._world = world
        self._merge = LiveMerge(self._emit, loop.time)
        self._hub = Hub(encode(header).rstrip(), self._ask_for_states)
        self._hub.standing = world.standing
        self._hub.on_empty = self._on_empty
        self._followers = [
            Follower(server.name, server.dashboard_port, self._merge, self._on_gap) for server in servers
        ]
        self._tasks: list[asyncio.Task[None]] = []
        self._asking: set[asyncio.Task[None]] = set()
        self._lingering: asyncio.TimerHandle | None = None
        world.listeners.append(self._on_world)
        router = GuardedRouter(token)
        router.add("/", partial(self._page, token))
        router.add("/events", self._events)
        router.add("/control", self._control, methods=("POST",))
        router.add("/kv", self._key_value, methods=("POST",))
        self._port = DashboardPort(loop, router)

    async def start(self, port: int) -> int:
        """Listen on 127.0.0.1.

        Returns:
            The port.

        Raises:
            OSError: It cannot be listened on.
        """
        return (await self._port.start("127.0.0.1", port))[1]

    async def close(self) -> None:
        """Listen and follow no more."""
        await self._port.close()
        self._stop_following()

    def servers_changed(self) -> None:
        """Tell the pages how the servers are."""
        states = [
            {"name": server.name, "lane": server.lane, "state": self._supervisor.state(server.name)}
            for server in self._servers.values()
        ]
        self._expect()
        self._hub.say("servers", json.dumps(states, separators=(",", ":")).encode(), lasts=True)

    # -- events ----------------------------------------------------------------------------------------------------

    def _events(self, _request: HttpRequest) -> HttpResponse:
        if self._lingering is not None:
            self._lingering.cancel()
            self._lingering = None
        self.servers_changed()
        return stream_of(self._hub)

    def _ask_for_states(self) -> None:
        """Somebody looks who does not know the servers' states yet."""
        if not self._tasks:
            self._expect(begins=True)
            self._tasks = [self._loop.create_task(follower.run()) for follower in self._followers]
            self._tasks.append(self._loop.create_task(self._pump()))
            return
        for follower in self._followers:
            task = self._loop.create_task(follower.ask_for_state())
            self._asking.add(task)
            task.add_done_callback(self._asking.discard)

    def _expect(self, *, begins: bool = False) -> None:
        """Have events wait for those of servers that run, though their streams have perhaps not begun."""
        if self._tasks or begins:
            for server in self._servers.values():
                if self._supervisor.state(server.name) in ("running", "starting"):
                    self._merge.begin(server.name, server.lane)

    def _on_empty(self) -> None:
        self._lingering = self._loop.call_later(_LINGER_S, self._stop_following)

    def _stop_following(self) -> None:
        self._lingering = None
        for task in [*self._tasks, *self._asking]:
            task.cancel()
        self._tasks = []

    async def _pump(self) -> None:
        while True:
            await asyncio.sleep(_PUMP_S)
            self._merge.pump()

    def _emit(self, _event: Event, line: Line) -> None:
        self._hub.publish(line)

    def _on_world(self, event: Event, line: Line) -> None:
        """It takes its turn among the servers' events."""
        if self._tasks:
            self._merge.begin("")
            self._merge.take("", event, line)
            self._merge.end("")

    def _on_gap(self, name: str, lost: int) -> None:
        self._hub.say("gap", json.dumps({"lost": lost, "server": name}).encode())

    # -- pages and orders ------------------------------------------------------------------------------------------

    async def _page(self, token: str, _request: HttpRequest) -> HttpResponse:
        live = {
            "events": f"events?token={token}",
            "control": "control",
            "kv": "kv",
            "token": token,
            "servers": [{"name": server.name, "lane": server.lane} for server in self._servers.values()],
        }
        text = await self._loop.run_in_executor(None, partial(live_page, self._header, "Local cluster", live))
        return HttpResponse(200, text, SAFETY_HEADERS, content_type="text/html; charset=utf-8")

    def _control(self, request: HttpRequest) -> HttpResponse:
        try:
            order = msgspec.json.decode(request.body, type=Order)
            self._follow(order)
        except (Refused, msgspec.MsgspecError) as error:
            return _json(400, {"error": str(error)})
        self.servers_changed()
        return _json(200, {"done": order.action})

    def _follow(self, order: Order) -> None:
        if order.action not in ACTIONS:
            raise Refused(f"there is no action {order.action!r}; there are {', '.join(ACTIONS)}")
        unknown = [name for name in order.servers if name not in self._servers]
        if unknown:
            raise Refused(f"there is no server {unknown[0]!r}")
        if order.action == "heal":
            self._supervisor.heal()
            return
        if not order.servers:
            raise Refused(f"{order.action} needs the name of a server")
        if order.action == "partition":
            if len(set(order.servers)) == len(self._servers):
                raise Refused("a partition needs a server on its other side")
            self._supervisor.partition(order.servers)
            return
        for name in order.servers:
            self._supervisor.act(order.action, name)

    async def _key_value(self, request: HttpRequest) -> HttpResponse:
        try:
            call = msgspec.json.decode(request.body, type=KeyValueCall)
            key, value = _checked(call)
            server = self._server_for(call)
        except (Refused, msgspec.MsgspecError) as error:
            return _json(400, {"error": str(error)})
        began = self._loop.time()
        answer: dict[str, Any] = {"server": server.name}
        try:
            if call.op == "put":
                answer["revision"] = await keyvalue.put(server.client_port, key, value, _CALL_S)
            else:
                answer["revision"], found = await keyvalue.get(server.client_port, key, _CALL_S)
                answer["value"] = None if found is None else found.decode("utf-8", "replace")
        except keyvalue.CallFailed as error:
            answer["error"] = str(error)
        answer["ms"] = round((self._loop.time() - began) * 1000, 1)
        return _json(502 if "error" in answer else 200, answer)

    def _server_for(self, call: KeyValueCall) -> Watched:
        """The server asked for; else the first that runs, or is about to."""
        if call.server:
            if call.server not in self._servers:
                raise Refused(f"there is no server {call.server!r}")
            return self._servers[call.server]
        for wanted in ("running", "starting"):
            for server in self._servers.values():
                if self._supervisor.state(server.name) == wanted:
                    return server
        raise Refused("no server runs")


def _checked(call: KeyValueCall) -> tuple[bytes, bytes]:
    """Key and value as bytes."""
    if call.op not in ("put", "get"):
        raise Refused(f"there is no operation {call.op!r}; there are put and get")
    key, value = call.key.encode(), call.value.encode()
    if not 1 <= len(key) <= _MAX_KEY_BYTES or len(value) > _MAX_VALUE_BYTES:
        raise Refused(f"a key has 1 to {_MAX_KEY_BYTES} bytes here, a value at most {_MAX_VALUE_BYTES}")
    return key, value


def _json(status: int, content: dict[str, Any]) -> HttpResponse:
    return HttpResponse(status, json.dumps(content).encode(), SAFETY_HEADERS, content_type="application/json")
