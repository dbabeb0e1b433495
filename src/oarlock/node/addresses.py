"""Where members are reached, as text in the replicated configuration: `host:port`, or a URL with just these."""

from typing import Final

from oarlock.transport.interface import Address

_SCHEMES: Final = ("http://", "https://")
_MAX_PORT: Final = 65535
MAX_ADDRESS_BYTES: Final = 300
"""Of one address, in UTF-8; no host name has more than 253. Every snapshot tells of all members' addresses."""
_SHOWN: Final = 40


def parse_address(text: str) -> Address:
    """Host and port.

    Args:
        text: `host:port` or `http://host:port`; a literal of IPv6 stands in brackets.

    Raises:
        ValueError: It is nothing of that kind; the message says what.
    """
    if len(text.encode()) > MAX_ADDRESS_BYTES:
        raise ValueError(f"address {text[:_SHOWN]!r}... is longer than {MAX_ADDRESS_BYTES} bytes")
    rest = text
    for scheme in _SCHEMES:
        rest = rest.removeprefix(scheme)
    host, colon, port = rest.rpartition(":")
    if not colon or not host or "/" in rest:
        raise ValueError(f"address {text!r} must have the form host:port or http://host:port")
    if not port.isascii() or not port.isdigit() or not 0 < int(port) <= _MAX_PORT:
        raise ValueError(f"address {text!r} has no port between 1 and {_MAX_PORT}")
    return host.removeprefix("[").removesuffix("]"), int(port)


def format_address(address: Address) -> str:
    """The text that `parse_address` reads."""
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
