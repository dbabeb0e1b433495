"""When does a cluster answer? Linearizable reads through each server, tried until one succeeds."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable

import grpc

ATTEMPT_TIMEOUT_S = 1.0
POLL_INTERVAL_S = 0.005
RANGE_OF_ONE_KEY = b"\x0a\x0bkey00000000"
"""An encoded RangeRequest: field 1, eleven bytes."""


def wait_for_reads(addresses: list[str], timeout_s: float, check_alive: Callable[[], None]) -> list[float]:
    """Waits until a linearizable read succeeds through each address; gives the seconds that each needed.

    Args:
        addresses: the servers' client addresses, `host:port`.
        timeout_s: how long to try before TimeoutError.
        check_alive: called now and then; raises when waiting on has become senseless.
    """
    start = time.monotonic()
    needed: dict[str, float] = {}
    given_up = threading.Event()

    def watch(address: str) -> None:
        while not given_up.is_set():
            if _accepts(address) and _answers(address):
                needed[address] = time.monotonic() - start
                return
            time.sleep(POLL_INTERVAL_S)

    threads = [threading.Thread(target=watch, args=(address,), daemon=True) for address in addresses]
    for thread in threads:
        thread.start()
    try:
        while len(needed) < len(addresses):
            check_alive()
            if time.monotonic() - start > timeout_s:
                raise TimeoutError(f"no linearizable read through every server within {timeout_s:g} s")
            time.sleep(POLL_INTERVAL_S)
    finally:
        given_up.set()
    return [needed[address] for address in addresses]


def _accepts(address: str) -> bool:
    """Whether somebody listens; cheaper to ask than a gRPC channel, and without its back-off."""
    host, _, port = address.rpartition(":")
    with contextlib.suppress(OSError), socket.create_connection((host, int(port)), ATTEMPT_TIMEOUT_S):
        return True
    return False


def _answers(address: str) -> bool:
    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0)]
    with grpc.insecure_channel(address, options=options) as channel:
        read = channel.unary_unary("/etcdserverpb.KV/Range")
        try:
            read(RANGE_OF_ONE_KEY, timeout=ATTEMPT_TIMEOUT_S)
        except grpc.RpcError:
            return False
    return True
