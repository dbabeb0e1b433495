"""Ports for servers that tests start."""

import socket


def free_ports(count: int) -> list[int]:
    """Gives `count` different TCP ports of 127.0.0.1 that nothing listens on just now."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()
