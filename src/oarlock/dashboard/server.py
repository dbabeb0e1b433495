"""One server's dashboard, in its own process: it is shown, and takes no orders."""

import asyncio
from collections import deque
from functools import partial
from typing import Any, Final

from oarlock.dashboard.guard import SAFETY_HEADERS, GuardedRouter
from oarlock.dashboard.hub import Hub, Line, line_of
from oarlock.dashboard.port import DashboardPort, stream_of
from oarlock.diagram.page import page
from oarlock.etcd.http1 import HttpRequest, HttpResponse
from oarlock.trace.recorder import Recorder
from oarlock.trace.schema import Event, Header, encode

_EARLY_EVENTS: Final = 4096
"""The beginning of a life is kept for the first who looks, until it is longer than this."""


class ServerDashboard:
    """Shows what this process's recorder tells."""

    def __init__(self, loop: asyncio.AbstractEventLoop, header: Header, name: str) -> None:
        """Prepare.

        Args:
            loop: The running loop.
            header: Of the trace.
            name: This server's, for people.
        """
        self._loop = loop
        self._header = header
        self._name = name
        self._recorder: Recorder | None = None
        self._early: deque[Event] | None = deque()
        self.hub = Hub(encode(header).rstrip(), self._write_states)
        self.hub.standing = self._take_early
        router = GuardedRouter()
        router.add("/", self._page)
        router.add("/events", lambda _: stream_of(self.hub))
        router.add("/key", self._key, methods=("POST",))
        self._port = DashboardPort(loop, router)

    async def start(self, host: str, port: int) -> tuple[str, int]:
        """Listen.

        Raises:
            OSError: The address cannot be listened on.
        """
        return await self._port.start(host, port)

    async def close(self) -> None:
        """Listen no more."""
        await self._port.close()

    def watch(self, recorder: Recorder) -> None:
        """The recorder whose events `publish` gets."""
        self._recorder = recorder

    def publish(self, event: Event) -> None:
        """Take an event; it is encoded only if somebody watches."""
        if self._early is not None:
            self._early.append(event)
            if len(self._early) > _EARLY_EVENTS:
                self._early = None
        elif self.hub.clients:
            self.hub.publish(_line(event))

    def _take_early(self) -> list[Line]:
        early, self._early = self._early, None
        return [_line(event) for event in early or ()]

    def _write_states(self) -> None:
        if self._recorder is not None and self._recorder.number:
            self._recorder.keyframe()

    async def _page(self, _request: HttpRequest) -> HttpResponse:
        text = await self._loop.run_in_executor(
            None, partial(live_page, self._header, self._name, {"events": "events"})
        )
        return HttpResponse(200, text, SAFETY_HEADERS, content_type="text/html; charset=utf-8")

    def _key(self, _request: HttpRequest) -> HttpResponse:
        """Someone who watches needs the whole state once more."""
        self._write_states()
        return HttpResponse(204, b"", SAFETY_HEADERS)


def live_page(header: Header, title: str, live: dict[str, Any]) -> bytes:
    """The page without a run: that comes over the stream."""
    return page(header, [], title=title, extras={"live": live}).encode()


def _line(event: Event) -> Line:
    return line_of(event, encode(event).rstrip())
