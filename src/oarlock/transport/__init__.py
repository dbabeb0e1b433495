"""Messages between servers: framing, handshake, TCP, TLS."""

from oarlock.transport.inprocess import InProcessNetwork, InProcessTransport
from oarlock.transport.interface import Address, Channel, OnMessage, OnUnreachable, Transport
from oarlock.transport.options import TransportOptions
from oarlock.transport.stats import IncomingStats, LinkStats, PeerStats
from oarlock.transport.tcp import TcpTransport
from oarlock.transport.tls import PeerTls, TlsError

__all__ = [
    "Address",
    "Channel",
    "InProcessNetwork",
    "InProcessTransport",
    "IncomingStats",
    "LinkStats",
    "OnMessage",
    "OnUnreachable",
    "PeerStats",
    "PeerTls",
    "TcpTransport",
    "TlsError",
    "Transport",
    "TransportOptions",
]
