"""The proxy between local servers: it passes everything on, unless the link is cut."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from tests.support.ports import free_ports

from oarlock.dashboard.proxy import Cuts, PeerProxy
from oarlock.transport.framing import QUESTION, encode_frame
from oarlock.transport.handshake import Hello
from oarlock.transport.interface import Channel

CLUSTER, DIALLER, SERVER = 7, 1, 2


class Place:
    """A proxy with an echo behind it."""

    def __init__(self, cuts: Cuts, port: int) -> None:
        self.cuts = cuts
        self.port = port
        self.writers: list[asyncio.StreamWriter] = []

    async def open(self, first: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(first)
        self.writers.append(writer)
        return reader, writer

    async def dial(self, *, source: int = DIALLER) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await self.open(_hello(source))


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    serving: list[asyncio.Task[None] | None] = []

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.append(asyncio.current_task())
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                writer.write(data)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    cuts = Cuts()
    proxy = PeerProxy(asyncio.get_running_loop(), cuts, CLUSTER, SERVER, server.sockets[0].getsockname()[1])
    port = free_ports(1)[0]
    await proxy.start(port)
    made = Place(cuts, port)
    yield made
    proxy.close()
    for writer in made.writers:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
    await asyncio.gather(*(task for task in serving if task is not None))
    server.close()


def _hello(source: int = DIALLER) -> bytes:
    return Hello(CLUSTER, source, 5, SERVER, Channel.CONTROL).encode()


async def _comes(reader: asyncio.StreamReader, expected: bytes) -> None:
    async with asyncio.timeout(10):
        assert await reader.readexactly(len(expected)) == expected


async def _stays_silent(reader: asyncio.StreamReader, data: bytes = b"") -> None:
    """Nothing comes, though the loop has had its turns."""
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.15):
            data = await reader.read(1)
    assert not data


async def test_bytes_pass_unchanged(place: Place) -> None:
    """What is written arrives, in order, in both directions, the first frame included."""
    reader, writer = await place.dial()
    payload = bytes(range(256)) * 4096
    writer.write(payload)
    await _comes(reader, _hello() + payload)


async def test_cut_link_passes_nothing_until_it_is_healed(place: Place) -> None:
    """A cut holds an open connection without closing it; after healing, what waited arrives."""
    reader, writer = await place.dial()
    await _comes(reader, _hello())
    place.cuts.cut([DIALLER], [SERVER])
    writer.write(b"held")
    await _stays_silent(reader)
    place.cuts.heal()
    await _comes(reader, b"held")


async def test_new_connection_over_a_cut_link_waits(place: Place) -> None:
    """Dialling over a cut link meets silence, and another server is not held by it."""
    place.cuts.cut([DIALLER], [SERVER])
    reader, _ = await place.dial()
    await _stays_silent(reader)
    other_reader, _ = await place.dial(source=3)
    await _comes(other_reader, _hello(3))
    place.cuts.heal()
    await _comes(reader, _hello())


async def test_held_connections_do_not_pile_up(place: Place) -> None:
    """Who dials again and again over a cut link holds one connection here, not many."""
    place.cuts.cut([DIALLER], [SERVER])
    first, _ = await place.dial()
    await _stays_silent(first)
    await place.dial()
    async with asyncio.timeout(10):
        with contextlib.suppress(ConnectionResetError):
            assert await first.read(1) == b""


async def test_what_is_no_hello_passes_too(place: Place) -> None:
    """A question by somebody who is no peer, and what the server itself will refuse, reach it."""
    question = encode_frame(QUESTION, b"")
    reader, _ = await place.open(question)
    await _comes(reader, question)
