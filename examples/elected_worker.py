"""One of three workers works, the others stand by: python elected_worker.py 7001 7002 7003, and so on.

Kill the one that works: another takes over as soon as the lease is over. Its token is higher; whatever the work writes
to should refuse a lower one than it has seen, in case that the former worker was only asleep.
"""

import asyncio
import itertools
import sys

from oarlock import Node
from oarlock.replica.objects import LeaderElection, Lease


async def main(*ports: str) -> None:
    election = LeaderElection("worker")

    async def work(lease: Lease) -> None:
        for step in itertools.count(1):  # until cancelled, when the lead is lost
            print(f"worker {ports[0]} takes step {step} under token {lease.token}", flush=True)
            await asyncio.sleep(0.5)

    def stand_by() -> None:
        print(f"worker {ports[0]} stands by", flush=True)

    own, *_ = servers = [f"127.0.0.1:{port}" for port in ports]
    async with Node(own, peers=servers, data_dir=f"data-{ports[0]}", objects=[election]):
        await election.campaign(work, stand_by, candidate=own, lease_ms=3000)


asyncio.run(main(*sys.argv[1:]))
