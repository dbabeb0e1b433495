"""A dictionary on three servers: python replicated_dict.py 7001 7002 7003, and again with 7002 first, and 7003."""

import asyncio
import sys

from oarlock import Node
from oarlock.replica.objects import ReplicatedDict


async def main(*ports: str) -> None:
    shared = ReplicatedDict[str, str]("shared")
    own, *_ = servers = [f"127.0.0.1:{port}" for port in ports]
    async with Node(own, peers=servers, data_dir=f"data-{ports[0]}", objects=[shared]):
        while line := await asyncio.to_thread(sys.stdin.readline):  # such as: colour=red
            key, _, value = line.strip().partition("=")
            await shared.set(key, value)
            print(dict(shared), flush=True)


asyncio.run(main(*sys.argv[1:]))
