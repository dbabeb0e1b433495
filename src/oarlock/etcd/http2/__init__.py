"""HTTP/2 for servers (RFC 9113): a connection without I/O, and its asyncio protocol."""

from oarlock.etcd.http2.backlog import Backlog
from oarlock.etcd.http2.connection import Application, Connection
from oarlock.etcd.http2.errors import ErrorCode, Http2Error
from oarlock.etcd.http2.frames import PREFACE
from oarlock.etcd.http2.headers import HeadCache, HeaderBlock, RequestHead
from oarlock.etcd.http2.protocol import Http2Protocol
from oarlock.etcd.http2.sender import SMALL_ANSWER_BYTES
from oarlock.etcd.http2.settings import Limits
from oarlock.etcd.http2.streams import Receiver, Stream

__all__ = [
    "PREFACE",
    "SMALL_ANSWER_BYTES",
    "Application",
    "Backlog",
    "Connection",
    "ErrorCode",
    "HeadCache",
    "HeaderBlock",
    "Http2Error",
    "Http2Protocol",
    "Limits",
    "Receiver",
    "RequestHead",
    "Stream",
]
