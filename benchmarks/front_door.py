"""How many calls the front door takes: a server in one process that answers every Put with a constant.

    python benchmarks/front_door.py serve --port 2379 [--future] [--asyncio]
    python benchmarks/front_door.py run --load ./load --clients 1,64,256
    python benchmarks/front_door.py cost

`run` starts the server, drives it with `load` (etcd's own Go client, built from `benchmarks/load`), and prints the
server's processor time for each call beside the figures of `load`. `cost` makes calls without sockets, and prints
the processor time of what this package does for each.
"""

import argparse
import asyncio
import os
import resource
import signal
import subprocess
import sys
import time

import uvloop

from oarlock.etcd.grpc import GrpcConnection, GrpcServer, PeerInfo, RpcContext
from oarlock.etcd.http2 import PREFACE, Connection, HeaderBlock, Limits, frames
from oarlock.etcd.port import PortServer


def varint_field(number: int, value: int) -> bytes:
    """A protobuf field of kind varint."""
    encoded = bytearray([number << 3])
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def put_response() -> bytes:
    """etcdserverpb.PutResponse with a header of usual size."""
    header = (
        varint_field(1, 0xCDF818194E3A8C32)
        + varint_field(2, 0x8E9E05C52164694D)
        + varint_field(3, 123_456)
        + varint_field(4, 7)
    )
    return b"\x0a" + bytes([len(header)]) + header


async def serve(port: int, *, use_future: bool) -> None:
    """Serve until interrupted."""
    loop = asyncio.get_running_loop()
    answer = put_response()
    calls = 0

    def put(_message: bytes, _context: RpcContext) -> bytes:
        return answer

    def put_later(_message: bytes, _context: RpcContext) -> asyncio.Future[bytes]:
        future: asyncio.Future[bytes] = loop.create_future()
        loop.call_soon(settle, future)
        return future

    def settle(future: asyncio.Future[bytes]) -> None:
        if not future.done():
            future.set_result(answer)

    grpc = GrpcServer(loop)
    grpc.add_unary("/etcdserverpb.KV/Put", put_later if use_future else put)
    server = PortServer(loop, grpc)
    addresses = await server.start("127.0.0.1", port)
    print(addresses[0][1], flush=True)
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_signal_handler(signal.SIGINT, stop.set)
    await stop.wait()
    await server.drain(1.0)
    calls = sum(stats.started for stats in grpc.statistics())
    used = resource.getrusage(resource.RUSAGE_SELF)
    cpu = used.ru_utime + used.ru_stime
    print(f"server: {calls} calls, {cpu / max(calls, 1) * 1e6:.1f} us of processor time each", flush=True)


def run(load: str, clients: list[int], seconds: float, options: list[str]) -> None:
    """Drive a server of its own for each number of clients."""
    for count in clients:
        command = [sys.executable, __file__, "serve", "--port", "0", *options]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            output = server.stdout or sys.stdin
            port = int(output.readline())
            subprocess.run(
                [load, "-endpoints", f"127.0.0.1:{port}", "-clients", str(count), "-secs", str(seconds)], check=True
            )
            os.kill(server.pid, signal.SIGTERM)
            print(output.read(), end="")
            time.sleep(0.1)


def put_calls(first: int, count: int) -> bytes:
    """What etcd's Go client writes for so many Puts of 256 bytes at once."""
    fields = [
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", b"/etcdserverpb.KV/Put"),
        (b":authority", b"127.0.0.1:2379"),
        (b"content-type", b"application/grpc"),
        (b"user-agent", b"grpc-go/1.33.3"),
        (b"te", b"trailers"),
    ]
    message = bytes(280)
    calls = []
    for number in range(first, first + 2 * count, 2):
        head = HeaderBlock([*fields, (b"grpc-timeout", b"%du" % (9_999_000 + number % 1000))]).block
        data = b"\x00" + len(message).to_bytes(4, "big") + message
        calls.append(frames.frame(frames.HEADERS, frames.END_HEADERS, number, head))
        calls.append(frames.frame(frames.DATA, frames.END_STREAM, number, data))
    return b"".join(calls)


def cost(calls: int = 40_000, at_once: int = 16) -> None:
    """Print the processor time of a call from the bytes read to the bytes to be written."""
    loop = asyncio.new_event_loop()
    grpc = GrpcServer(loop)
    answer = put_response()
    grpc.add_unary("/etcdserverpb.KV/Put", lambda _message, _context: answer)
    application = GrpcConnection(grpc, PeerInfo("nobody", None), 64 * 1024)
    limits = Limits()
    connection = Connection(application, limits, grpc.heads, now=0.0, wake=lambda: None)
    application.http2 = connection
    connection.corked = True
    connection.receive(PREFACE + frames.settings([(4, frames.MAX_WINDOW)]), 0.0)
    reads = [put_calls(1 + 2 * number, at_once) for number in range(0, calls, at_once)]
    began = time.process_time()
    for read in reads:
        connection.receive(read, 1.0)
        connection.receive(frames.window_update(0, 40 * at_once), 1.0)
        connection.take()
    used = time.process_time() - began
    loop.close()
    print(f"{used / calls * 1e6:.1f} us of processor time for each call, {at_once} in a read, without sockets")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["serve", "run", "cost"])
    parser.add_argument("--port", type=int, default=2379)
    parser.add_argument("--future", action="store_true", help="the handler answers with a future, a turn later")
    parser.add_argument("--asyncio", action="store_true", help="asyncio's own loop instead of uvloop")
    parser.add_argument("--load", default="./load")
    parser.add_argument("--clients", default="1,64,256")
    parser.add_argument("--seconds", type=float, default=3.0)
    arguments = parser.parse_args()
    if arguments.command == "serve":
        start = asyncio.run if arguments.asyncio else uvloop.run
        start(serve(arguments.port, use_future=arguments.future))
    elif arguments.command == "cost":
        cost()
    else:
        options = [f"--{name}" for name in ("future", "asyncio") if getattr(arguments, name)]
        run(arguments.load, [int(count) for count in arguments.clients.split(",")], arguments.seconds, options)


if __name__ == "__main__":
    main()
