"""The stream to browsers: its framing, its limits, and where a client may begin."""

import asyncio
import json
from typing import Any

import pytest

from oarlock.dashboard.hub import Hub, HubFull, Line, Subscription
from oarlock.dashboard.sse import Messages, StreamError, message


def test_messages_survive_any_split() -> None:
    """Framing: a stream cut at any byte gives the same messages, and comments are left out."""
    stream = message("header", [b'{"v":1}']) + b":\n\n" + message("", [b'{"a":1}', b'{"b":2}'])
    expected = [("header", [b'{"v":1}']), ("", [b'{"a":1}', b'{"b":2}'])]
    for cut in range(len(stream)):
        messages = Messages()
        assert [*messages.feed(stream[:cut]), *messages.feed(stream[cut:])] == expected


def test_message_without_end_is_refused() -> None:
    """Limits: what never ends does not fill the memory."""
    with pytest.raises(StreamError, match="more than 100 bytes"):
        list(Messages(100).feed(b"data: " + b"x" * 200))


def _line(text: str, *, lane: str = "n1", whole: bool = False) -> Line:
    return Line(lane, text.encode(), whole)


async def _next(client: Subscription) -> list[tuple[str, list[bytes]]]:
    return list(Messages().feed(await anext(client)))


class Asked:
    """Counts how often states were asked for."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> None:
        self.times += 1


async def test_client_begins_with_a_whole_state() -> None:
    """Whenever a client comes, it gets of each server what follows a whole state, and asks for one."""
    asked = Asked()
    hub = Hub(b"{}", asked)
    client = hub.subscribe()
    assert asked.times == 1
    hub.publish(_line("change"))
    hub.publish(_line("whole", whole=True))
    hub.publish(_line("other", lane="n2"))
    hub.publish(_line("cut", lane="net"))
    hub.publish(_line("change 2"))
    assert await _next(client) == [("header", [b"{}"]), ("", [b"whole", b"cut", b"change 2"])]


async def test_slow_client_is_told_of_a_gap_and_begins_anew() -> None:
    """A client that does not read loses events, is told how many, and goes on from a whole state; others lose none."""
    asked = Asked()
    hub = Hub(b"{}", asked, max_buffered_bytes=100)
    slow, quick = hub.subscribe(), hub.subscribe()
    hub.publish(_line("whole", whole=True))
    await _next(quick)
    for number in range(20):
        hub.publish(_line(f"event {number:02}"))
        if number % 5 == 4:
            assert (await _next(quick))[-1][1][-1] == f"event {number:02}".encode()
    before = asked.times
    told = await _next(slow)
    kept = [line for name, lines in told if not name for line in lines]
    assert told[-1][0] == "gap"
    lost = json.loads(told[-1][1][0])["lost"]
    assert len(kept) + lost == 21
    assert asked.times == before + 1
    hub.publish(_line("no beginning"))
    hub.publish(_line("whole 2", whole=True))
    assert await _next(slow) == [("", [b"whole 2"])]


async def test_clients_are_few_and_leave_room_when_they_go() -> None:
    """At most so many clients; the last to go ends what was done for them."""
    gone: list[Any] = []
    hub = Hub(b"{}", lambda: None, max_clients=2)
    hub.on_empty = lambda: gone.append(None)
    first, second = hub.subscribe(), hub.subscribe()
    with pytest.raises(HubFull, match="2 clients"):
        hub.subscribe()
    await first.aclose()
    await first.aclose()
    assert hub.clients == 1
    assert not gone
    await second.aclose()
    assert len(gone) == 1


async def test_newcomer_is_told_what_lasts() -> None:
    """What still holds, such as a cut, and the last word on the processes, come before anything else."""
    hub = Hub(b"{}", lambda: None)
    hub.standing = lambda: [_line("cut", lane="net")]
    hub.say("servers", b"[1]", lasts=True)
    hub.say("servers", b"[2]", lasts=True)
    hub.say("gap", b"{}")
    assert await _next(hub.subscribe()) == [("header", [b"{}"]), ("servers", [b"[2]"]), ("", [b"cut"])]


async def test_events_of_a_moment_travel_together() -> None:
    """Many events make few messages."""
    hub = Hub(b"{}", lambda: None)
    client = hub.subscribe()
    for number in range(100):
        hub.publish(_line(f"{number}", whole=number == 0))
    async with asyncio.timeout(5):
        assert [len(lines) for _, lines in await _next(client)] == [1, 100]
