"""A server that is no peer yet asks what the cluster is."""

import asyncio
import random

import pytest
from tests.support.ports import free_ports

from oarlock.transport.discovery import ask
from oarlock.transport.framing import QUESTION, encode_frame
from oarlock.transport.tcp import TcpTransport


async def serving(*, describes: bool) -> tuple[TcpTransport, tuple[str, int]]:
    """A transport of server 1, and where it is."""
    loop = asyncio.get_running_loop()
    transport = TcpTransport(
        loop, 0xC, 1, random.Random(1), None, lambda _source, _payload: None, lambda _server_id: None
    )
    if describes:
        transport.describe_by(lambda: b"x" * 100_000)
    await transport.start([("127.0.0.1", 0)])
    return transport, transport.listening[0]


async def test_a_question_is_answered_once() -> None:
    """The answer may be long; the connection ends with it, and takes no place from then on."""
    transport, address = await serving(describes=True)
    loop = asyncio.get_running_loop()
    assert await ask(loop, address, None, 5.0) == b"x" * 100_000
    reader, writer = await asyncio.open_connection(*address)
    writer.write(encode_frame(QUESTION, b"") * 2)
    assert len(await reader.read()) == 100_012, "the second question is not answered"
    writer.close()
    await transport.close()


async def test_who_does_not_describe_refuses() -> None:
    """Without a description the question is refused, and the asker is told."""
    transport, address = await serving(describes=False)
    with pytest.raises(ConnectionError, match="refused: expected a hello"):
        await ask(asyncio.get_running_loop(), address, None, 5.0)
    await transport.close()


async def test_no_answer() -> None:
    """Nobody there, somebody mute, and somebody who speaks another language: each ends in an error of the system's kind."""
    loop = asyncio.get_running_loop()
    with pytest.raises(OSError, match=r"refused|Connect call failed"):
        await ask(loop, ("127.0.0.1", free_ports(1)[0]), None, 5.0)
    mute = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0)
    with pytest.raises(TimeoutError):
        await ask(loop, mute.sockets[0].getsockname()[:2], None, 0.05)
    mute.close()

    class Other(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            transport.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")  # type: ignore[attr-defined]

    other = await loop.create_server(Other, "127.0.0.1", 0)
    with pytest.raises(ConnectionError, match="not a server of ours"):
        await ask(loop, other.sockets[0].getsockname()[:2], None, 5.0)
    other.close()
