"""One request and its response (RFC 9113, section 5.1)."""

from collections import deque
from typing import Protocol

from oarlock.etcd.http2.flow import ReceiveWindow
from oarlock.etcd.http2.headers import HeaderBlock, RequestHead


class Receiver(Protocol):
    """Who handles a request. Called by the connection, never to wait and never to raise."""

    def data(self, payload: bytes, ended: bool) -> None:
        """Part of the body came; `ended` once, with the last part, which may be empty.

        The peer's window shrinks with what comes: `Connection.allow` lets it send on.
        """

    def reset(self, code: int | None) -> None:
        """The stream is over before the response was: by RST_STREAM's code, or None when the connection is lost."""

    def writable(self) -> None:
        """What was queued has gone out, after `Stream.pending_bytes` was found too large."""


class _Nobody:
    """The receiver of a stream that is over."""

    __slots__ = ()

    def data(self, payload: bytes, ended: bool) -> None:
        pass

    def reset(self, code: int | None) -> None:
        pass

    def writable(self) -> None:
        pass


NOBODY = _Nobody()
"""Takes the receiver's place at the end, so that stream and receiver do not keep each other from being freed."""


class Stream:
    """The state of one stream. It is open while the connection knows it: the response ends it.

    Defaults live in the class, because most requests never need more than these two or three assignments.

    Attributes:
        id: Odd, rising.
        id_bytes: The same as four bytes of a frame header.
        send_window: What the peer lets us send on it; may be negative (section 6.9.2).
        receiving: The peer has not ended its side.
        responded: Our HEADERS have gone out.
        received_bytes: Of the request's body.
        window: The receiving side of flow control, made when it is first needed.
        pending: Response data that waits for the peer's windows or for the socket.
        pending_bytes: How much that is.
        trailers: The block that ends the response after the pending data; `end_data` when data itself ends it.
        wants_writable: The receiver waits for `Receiver.writable`.
    """

    receiving = True
    responded = False
    received_bytes = 0
    window: ReceiveWindow | None = None
    pending: deque[memoryview] | None = None
    pending_bytes = 0
    trailers: HeaderBlock | None = None
    end_data = False
    wants_writable = False
    receiver: Receiver = NOBODY

    def __init__(self, stream_id: int, head: RequestHead, send_window: int) -> None:
        self.id = stream_id
        self.id_bytes = stream_id.to_bytes(4, "big")
        self.head = head
        self.send_window = send_window
