"""Code of a program that blocks its loop: reported, and no reason for an election."""

import asyncio
import time
from pathlib import Path

from tests.support.replicated import Register

from oarlock.testing.clusters import cluster, eventually


async def test_a_blocking_command_costs_no_election(tmp_path: Path) -> None:
    """While a command blocks for several election timeouts heartbeats go on: leader and term stay what they were."""
    async with cluster(3, objects=lambda: [Register()], directory=tmp_path) as servers:
        leader = await servers.leader()
        before = servers.nodes[leader].status()
        await servers.objects(leader)[0].block(0.7)
        assert await servers.objects(leader)[0].add(1) == 1
        after = servers.nodes[leader].status()
        assert (after.term, after.leader_id) == (before.term, before.leader_id)


async def test_a_program_that_blocks_its_loop_costs_no_election() -> None:
    """The same for code that has nothing to do with commands."""
    async with cluster(3, objects=lambda: [Register()]) as servers:
        leader = await servers.leader()
        before = servers.nodes[leader].status()
        await asyncio.sleep(0)
        time.sleep(0.7)  # noqa: ASYNC251 - that is what this is about
        after = servers.nodes[leader].status()
        assert (after.term, after.leader_id) == (before.term, before.leader_id)


async def test_on_one_loop_nothing_but_heartbeats_is_lost() -> None:
    """Without a thread of its own the Raft works alike, as long as nothing blocks."""
    async with cluster(3, objects=lambda: [Register()], own_thread=False) as servers:
        for number in range(3):
            assert await servers.objects(number)[0].add(1) == number + 1
        await servers.restart(0)
        assert await servers.objects(0)[0].read("get") == 3
        await eventually(lambda: servers.objects(1)[0].get() == 3, "all have it")


async def test_an_answer_makes_room_for_the_next_command() -> None:
    """Whoever keeps as many commands under way as there is room for is never refused: an answer makes room at once."""
    most, each = 8, 200  # there is room for two more, the node's own
    async with cluster(1, objects=lambda: [Register()], max_pending_commands=most + 2) as servers:
        await servers.leader()
        [register] = servers.objects(0)
        await register.add(1)

        async def keep_going() -> None:
            for _ in range(each):
                await register.add(1)

        await asyncio.gather(*(keep_going() for _ in range(most)))
        assert register.value == 1 + most * each
