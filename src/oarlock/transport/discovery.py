"""Asking a server what its cluster is, before the asker is anyone there: how a joining server finds its id.

A connection whose first frame is a QUESTION gets one ANSWER and is closed. What the answer says is the runtime's
matter; with TLS, the asker shows the same certificate as a peer does.
"""

import asyncio
from typing import Final

from oarlock.transport.connection import Connection
from oarlock.transport.framing import ANSWER, QUESTION, REFUSAL, FrameError, encode_frame
from oarlock.transport.handshake import read_refusal
from oarlock.transport.interface import Address
from oarlock.transport.tls import PeerTls, TlsContexts

ANSWER_LIMIT_BYTES: Final = 1 << 20


class _Asking(Connection):
    """One question and its answer."""

    def __init__(self, loop: asyncio.AbstractEventLoop, question: bytes) -> None:
        super().__init__(loop)
        self._question = question
        self._decoder.max_payload_bytes = ANSWER_LIMIT_BYTES
        self.answer: asyncio.Future[bytes] = loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._transport.write(encode_frame(QUESTION, self._question))

    def data_received(self, data: bytes) -> None:
        try:
            for kind, payload in self._decoder.feed(data):
                self._take(kind, payload)
        except FrameError as error:
            self._settle(ConnectionError(f"not a server of ours: {error}"))

    def _take(self, kind: int, payload: bytes) -> None:
        if kind == ANSWER and not self.answer.done():
            self.answer.set_result(payload)
        elif kind == REFUSAL:
            self._settle(ConnectionError(f"refused: {read_refusal(payload)}"))
        else:
            self._settle(ConnectionError(f"answered by a frame of kind {kind}"))

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._settle(ConnectionError(f"no answer: {self.end_reason}"))

    def _settle(self, error: ConnectionError) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)


async def ask(
    loop: asyncio.AbstractEventLoop, address: Address, tls: PeerTls | None, within_s: float, question: bytes = b""
) -> bytes:
    """Ask the server at an address to describe its cluster, or something else.

    Args:
        loop: The running loop.
        address: Of its transport.
        tls: This server's files; None for cleartext.
        within_s: How long connecting and answering may take together.
        question: What to ask, in at most a kilobyte; empty for a description.

    Raises:
        OSError: It cannot be reached, does not answer in time (`TimeoutError`), or not in this way.
        TlsError: A TLS file cannot be used.
    """
    context = TlsContexts(tls).client() if tls is not None else None
    asking = _Asking(loop, question)
    try:
        async with asyncio.timeout(within_s):
            await loop.create_connection(
                lambda: asking, *address, ssl=context, server_hostname=address[0] if context is not None else None
            )
            return await asking.answer
    finally:
        asking.fail("the question was answered, or given up")
        if asking.answer.done() and not asking.answer.cancelled():
            asking.answer.exception()
