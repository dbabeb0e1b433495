"""Heartbeats and elections: two activities, each with its own deadline."""

import asyncio
from pathlib import Path

from tests.support.node_cluster import NodeCluster, eventually

from oarlock.node.alarm import NEVER, Alarm, Kick
from oarlock.node.ticker import Ticker


class Owner:
    """A deadline, and how often it was found to have passed."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.deadline = NEVER
        self.ticks = 0
        self.looks = 0
        self.ticker = Ticker(self.loop, self.look, self.tick)
        self.task = self.loop.create_task(self.ticker.run())

    def look(self) -> float:
        self.looks += 1
        return self.deadline

    def tick(self) -> None:
        self.ticks += 1
        self.loop.call_soon(self.turn)

    def turn(self) -> None:
        self.deadline = NEVER
        self.ticker.look_again()


async def test_tick_when_the_deadline_passes() -> None:
    """An activity asks for its turn when its deadline passes, once."""
    owner = Owner()
    await asyncio.sleep(0)
    owner.deadline = owner.loop.time() + 0.02
    owner.ticker.look_again()
    await eventually(lambda: owner.ticks, "a tick")
    await asyncio.sleep(0.03)
    assert owner.ticks == 1
    owner.task.cancel()


async def test_deadline_that_moves_on_costs_nothing() -> None:
    """A deadline that keeps moving on, as a leader is heard, resets no timer: the activity just sleeps again."""
    owner = Owner()
    await asyncio.sleep(0)
    owner.deadline = owner.loop.time() + 0.03
    owner.ticker.look_again()
    await asyncio.sleep(0)
    before = owner.looks
    for _ in range(20):
        await asyncio.sleep(0.005)
        owner.deadline = owner.loop.time() + 0.03
    assert owner.ticks == 0
    assert owner.looks - before < 10, "it slept through most of the contacts"
    await eventually(lambda: owner.ticks, "a tick when nothing is heard any more")
    owner.task.cancel()


async def test_deadline_that_comes_nearer() -> None:
    """A nearer deadline wakes the activity out of a longer sleep."""
    owner = Owner()
    owner.deadline = owner.loop.time() + 1000
    await asyncio.sleep(0.01)
    owner.deadline = owner.loop.time()
    owner.ticker.look_again()
    await eventually(lambda: owner.ticks, "a tick")
    owner.task.cancel()


async def test_two_activities_of_every_node(tmp_path: Path) -> None:
    """T2: heartbeats and elections are tasks of their own; a leader's heartbeats go on while elections sleep."""
    async with NodeCluster(tmp_path) as cluster:
        leader = await cluster.leader()
        names = {task.get_name() for task in leader._tasks}
        assert {"oarlock-heartbeats", "oarlock-elections"} <= names
        term = leader.status().term
        state = leader._owner.raft.state
        last = state.leader.last_heartbeat
        await eventually(lambda: state.leader is not None and state.leader.last_heartbeat > last + 0.1, "heartbeats")
        assert leader.status().term == term


async def test_kicks_are_remembered_and_merged() -> None:
    """Many kicks are one, and a kick before the wait is not lost (T4)."""
    kick = Kick(asyncio.get_running_loop())
    kick.set()
    kick.set()
    await asyncio.wait_for(kick.wait(), 5)
    waiting = asyncio.ensure_future(kick.wait())
    await asyncio.sleep(0.01)
    assert not waiting.done()
    kick.set()
    await asyncio.wait_for(waiting, 5)


async def test_alarm_ends_by_itself_or_when_rung() -> None:
    """An alarm's sleep ends at its deadline, or earlier when rung; ringing nobody is no harm."""
    loop = asyncio.get_running_loop()
    alarm = Alarm(loop)
    alarm.ring()
    await asyncio.wait_for(alarm.sleep_until(loop.time() + 0.01), 5)
    sleeper = asyncio.ensure_future(alarm.sleep_until(NEVER))
    await asyncio.sleep(0)
    alarm.ring()
    await asyncio.wait_for(sleeper, 5)
    assert alarm.deadline == NEVER
