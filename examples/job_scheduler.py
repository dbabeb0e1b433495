"""A job that runs every second on one of three servers: python job_scheduler.py 7001 7002 7003, and so on.

Kill any of them: the job goes on, and no due time is run for twice.
"""

import asyncio
import sys

from oarlock import Node
from oarlock.replica.objects import ReplicatedScheduler, Run


async def main(*ports: str) -> None:
    scheduler = ReplicatedScheduler("scheduler")

    @scheduler.job("report", every_ms=1000, missed="skip", grace_ms=500)
    async def report(run: Run) -> None:
        print(f"server {ports[0]} runs {run.job} for {run.due_ms}, run {run.token}", flush=True)
        await asyncio.sleep(0.1)  # the work

    own, *_ = servers = [f"127.0.0.1:{port}" for port in ports]
    async with Node(own, peers=servers, data_dir=f"data-{ports[0]}", objects=[scheduler]):
        await scheduler.run()


asyncio.run(main(*sys.argv[1:]))
