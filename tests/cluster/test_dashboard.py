"""`oarlock serve --dashboard-listen`: one server of any cluster, watched by a browser on its own machine."""

import asyncio
import http.client
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from tests.support.ports import free_ports
from tests.support.process_cluster import ProcessCluster, until

from oarlock.dashboard.gather import request
from oarlock.dashboard.sse import Messages, StreamError
from oarlock.trace.schema import Event, Header

pytestmark = pytest.mark.cluster


@pytest.fixture
async def port(tmp_path: Path) -> AsyncIterator[int]:
    """The dashboard's port of a running server."""
    port = free_ports(1)[0]
    async with ProcessCluster(tmp_path, 1, "--dashboard-listen", f"127.0.0.1:{port}"):
        yield port


def _ask(port: int, method: str, path: str, **headers: str) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
    answer = connection.getresponse()
    answer.body = answer.read()  # type: ignore[attr-defined]
    connection.close()
    return answer


async def _watch(port: int, *, events: int) -> tuple[Header, list[Event]]:
    """The header and so many events, as a client that comes now gets them."""
    messages = Messages()
    header: Header | None = None
    found: list[Event] = []
    stream = request(port, "GET", "/events")
    async with asyncio.timeout(30):
        async for piece in stream:
            for name, lines in messages.feed(piece):
                if name == "header":
                    header = msgspec.json.decode(lines[0], type=Header)
                elif not name:
                    found += [msgspec.json.decode(line, type=Event) for line in lines]
            if len(found) >= events:
                break
    await stream.aclose()
    assert header is not None
    return header, found


async def test_server_is_watched_from_a_whole_state_on(port: int) -> None:
    """Who looks first gets the server's life from its beginning, who comes later a whole state; ids rise without gaps."""
    header, events = await _watch(port, events=10)
    assert header.kind == "live"
    assert events[0].k == "restart"
    assert any(event.w is not None and event.w.role is not None for event in events)
    _, later = await _watch(port, events=3)
    assert later[0].k == "key"
    assert later[0].s is not None
    assert later[0].s.role == "leader"
    numbers = [int(event.id.rpartition(".")[2]) for event in later]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


async def test_server_shows_itself_and_takes_no_orders(port: int) -> None:
    """The page is served to who asks by address, and nothing to other names or pages; nothing can be ordered."""
    page = await asyncio.to_thread(_ask, port, "GET", "/")
    assert page.status == 200
    assert page.getheader("content-type") == "text/html; charset=utf-8"
    assert page.getheader("access-control-allow-origin") is None
    assert b'"live":{"events":"events"}' in page.body  # type: ignore[attr-defined]
    for headers in ({"host": "evil.example"}, {"origin": "http://evil.example"}):
        refused = await asyncio.to_thread(_ask, port, "GET", "/events", **headers)
        assert refused.status == 403
    for path in ("/control", "/kv"):
        answer = await asyncio.to_thread(_ask, port, "POST", path, content_type="application/json")
        assert answer.status == 404


async def test_clients_are_bounded(port: int) -> None:
    """More clients than there may be are told so, and those that leave make room."""
    streams = [request(port, "GET", "/events") for _ in range(8)]
    for stream in streams:
        await anext(stream)
    refused = await asyncio.to_thread(_ask, port, "GET", "/events")
    assert refused.status == 503
    for stream in streams:
        await stream.aclose()

    async def has_room() -> bool:
        stream = request(port, "GET", "/events")
        try:
            return bool(await anext(stream))
        except (OSError, StreamError):
            return False
        finally:
            await stream.aclose()

    await until(has_room, "room for another client")
