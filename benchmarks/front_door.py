"""How many calls the front door takes: a server in one process that answers every Put with a constant.

    python benchmarks/front_door.py serve --port 2379 [--future] [--asyncio]
    python benchmarks/front_door.py run --load ./load --clients 1,64,256

`run` starts the server, drives it with `load` (etcd's own Go client, built from `benchmarks/load`), and prints the
server's processor time for each call beside the figures of `load`.
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

from oarlock.etcd.grpc import GrpcServer, RpcContext
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


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["serve", "run"])
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
    else:
        options = [f"--{name}" for name in ("future", "asyncio") if getattr(arguments, name)]
        run(arguments.load, [int(count) for count in arguments.clients.split(",")], arguments.seconds, options)


if __name__ == "__main__":
    main()
