"""Calls that a program makes together are one entry of the log, and each is told its own outcome."""

import asyncio
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.support.replicated import Journal, OutOfStock, Register

import oarlock
from oarlock.machine.exactly_once import HEADER_BYTES, seal
from oarlock.raft.types import Index
from oarlock.replica import codec, commands
from oarlock.replica.agreement import Vote
from oarlock.replica.caller import Callers, Totals
from oarlock.replica.commands import MOST_BYTES, MOST_CALLS
from oarlock.replica.context import Context
from oarlock.replica.errors import ProposalTooLarge
from oarlock.replica.failures import Failure, Outcomes
from oarlock.replica.hosting import HostedObject
from oarlock.replica.machine import CannotFollow, ReplicaMachine
from oarlock.replica.session import Session
from oarlock.testing.clusters import cluster


@pytest.mark.parametrize("own_thread", [True, False])
async def test_calls_of_one_iteration_are_one_entry_in_their_order(own_thread: bool) -> None:
    """Each call has its outcome: what its method returned, or raised, when those before it had been carried out."""
    async with cluster(3, objects=lambda: [Register()], own_thread=own_thread) as servers:
        for number in range(3):
            [register], node = servers.objects(number), servers.nodes[number]
            await register.set(0)
            before = node.counters.proposals_received
            calls = [register.add(1), register.fail("own"), register.add(2), register.fail("key"), register.set("x")]
            outcomes = await asyncio.gather(*calls, return_exceptions=True)
            assert node.counters.proposals_received == before + 1
            assert [outcomes[0], outcomes[2], outcomes[4]] == [1, 3, 3]
            assert isinstance(outcomes[1], OutOfStock)
            assert isinstance(outcomes[3], KeyError)


@pytest.mark.parametrize("own_thread", [True, False])
async def test_order_is_kept_whatever_lies_between(own_thread: bool) -> None:
    """Calls in sessions, opening and closing of sessions, and calls with other timeouts keep their places."""
    async with cluster(1, objects=lambda: [Register()], own_thread=own_thread) as servers:
        [register], node = servers.objects(0), servers.nodes[0]
        session = await node.open_session()
        await register.set(0)

        async def within(seconds: float) -> int:
            with oarlock.deadline(seconds):
                return await register.add(1)

        loop = asyncio.get_running_loop()
        coroutines: Sequence[Any] = [
            register.add(1),
            session.call(register.add, 1, serial=1),
            register.add(1),
            within(5.0),
            register.add(1),
            node.open_session(),
            within(6.0),
            session.call(register.add, 1, serial=2, timeout_s=7.0),
            session.close(),
            session.call(register.add, 1, serial=3),
            within(5.0),
        ]
        tasks = [loop.create_task(_awaited(each)) for each in coroutines]
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(outcomes[5], Session)
        assert isinstance(outcomes[9], oarlock.SessionExpired)
        assert [outcomes[0], outcomes[2], outcomes[4]] == [1, 2, 3]  # called before any task ran
        assert [outcomes[1], outcomes[3], outcomes[6], outcomes[7], outcomes[10]] == [4, 5, 6, 7, 8]


async def _awaited(what: Any) -> Any:
    return await what


async def test_an_entry_is_bounded_in_calls_and_bytes() -> None:
    """Many calls are few entries, and long ones more; one that is longer than an entry should be is one of its own."""
    async with cluster(1, objects=lambda: [Register()], agreement_interval=0) as servers:
        [register], node = servers.objects(0), servers.nodes[0]
        await register.set(0)
        before = node.counters.proposals_received
        results = await asyncio.gather(*(register.add(1) for _ in range(9 * MOST_CALLS + 1)))
        assert results == list(range(1, 9 * MOST_CALLS + 2))
        assert node.counters.proposals_received == before + 10
        before = node.counters.proposals_received
        text = "x" * (MOST_BYTES // 3)
        await asyncio.gather(*(register.set(text) for _ in range(4)), register.set(4 * text), register.set("last"))
        assert node.counters.proposals_received == before + 4
        assert register.value == "last"


async def test_an_entry_is_no_larger_than_a_command_may_be() -> None:
    """Where commands may be but small, so are entries of several; one that is too large fails alone."""
    async with cluster(1, objects=lambda: [Register()], max_command_bytes=300) as servers:
        [register] = servers.objects(0)
        calls = [register.set(number) for number in range(20)]
        too_large = register.set("x" * 300)
        after = register.set("after")
        assert await asyncio.gather(*calls) == [None, *range(19)]
        with pytest.raises(ProposalTooLarge):
            await too_large
        assert await after == 19


async def test_what_is_changed_after_the_call_does_not_count() -> None:
    """Arguments are taken as they are at the call; what cannot be replicated is refused there, and harms nobody else."""
    async with cluster(1, objects=lambda: [Register()]) as servers:
        [register] = servers.objects(0)
        given = [1]
        first = register.set(given)
        given.append(2)
        second = register.set({"of": given})
        with pytest.raises(oarlock.NotEncodable, match=r"argument 1 of register\.set\[0\] is of type object"):
            register.set([object()])
        with pytest.raises(oarlock.NotEncodable, match=r"the arguments of register\.set cannot be encoded"):
            register.set(1 << 80)
        given.clear()
        assert await asyncio.gather(first, second) == [None, [1]]
        assert register.value == {"of": [1, 2]}


async def test_results_are_copies_of_their_own() -> None:
    """A result that is part of the state is handed out as it was when its command had been carried out."""
    async with cluster(1, objects=lambda: [Register()]) as servers:
        [register] = servers.objects(0)
        _, one, _, two = await asyncio.gather(register.set(1), register.share(), register.set(2), register.share())
        assert (one, two) == ([1], [1, 2])
        assert two is not register.history


async def test_a_machine_of_ones_own_knows_commands_apart(tmp_path: Path) -> None:
    """No two commands have the same index and position, and their chance differs; a restart repeats it."""
    seen: dict[tuple[int, int], float] = {}

    class Noting(Journal):
        def apply(self, command: Any, context: Context) -> Any:
            drawn = context.random.random()
            assert seen.setdefault((context.index, context.position), drawn) == drawn
            return super().apply([command, context.index, context.position, drawn], context)

    async with cluster(1, machine=Noting, directory=tmp_path) as servers:
        node = servers.nodes[0]
        await asyncio.gather(*(node.propose(number) for number in range(10)))
        await node.propose("alone")
        await servers.restart(0)
        await servers.nodes[0].ready()
    assert len(seen) == 11
    assert len(set(seen.values())) == 11
    together, alone = sorted({index for index, _ in seen})
    assert sorted(seen) == [(together, position) for position in range(10)] + [(alone, 0)]
    for (index, position), drawn in seen.items():
        if position == 0:
            assert drawn == random.Random(f"oarlock {index}").random()


@pytest.mark.parametrize("own_thread", [True, False])
async def test_one_caller_who_goes_leaves_the_others_alone(own_thread: bool) -> None:
    """A cancelled call is carried out all the same, and those beside it are answered."""
    async with cluster(1, objects=lambda: [Register()], own_thread=own_thread) as servers:
        [register], node = servers.objects(0), servers.nodes[0]
        await register.set(0)
        calls = [register.add(1) for _ in range(3)]
        calls[1].cancel()
        await asyncio.wait(calls)
        assert [calls[0].result(), calls[1].cancelled(), calls[2].result()] == [1, True, 3]
        gone = [register.add(1) for _ in range(2)]
        for each in gone:
            each.cancel()
        with oarlock.deadline(9.0):  # an entry of its own
            assert await register.add(1) == 6
        assert node.command_totals.waiting == 0


async def test_each_call_is_given_up_in_its_own_time() -> None:
    """Without a majority calls fail when their time is up, and not those beside them; each by an error of its own."""
    async with cluster(2, objects=lambda: [Register()], command_timeout_ms=60_000) as servers:
        number = await servers.leader()
        [register] = servers.objects(number)
        await register.add(1)
        await servers.stop(1 - number)
        began = asyncio.get_running_loop().time()
        long = [register.add(1) for _ in range(2)]
        with oarlock.deadline(0.05):
            short = [register.add(1) for _ in range(2)]
        long.append(register.add(1))
        outcomes = await asyncio.gather(*short, return_exceptions=True)
        assert asyncio.get_running_loop().time() - began >= 0.05
        assert all(isinstance(outcome, oarlock.Timeout | oarlock.NoLeader) for outcome in outcomes)
        assert outcomes[0] is not outcomes[1]
        assert not any(each.done() for each in long)
        assert servers.nodes[number].command_totals.waiting >= 3
        await servers.nodes[number].stop()
        outcomes = await asyncio.gather(*long, return_exceptions=True)
        assert all(isinstance(outcome, oarlock.Stopped) for outcome in outcomes)
        assert len({id(outcome) for outcome in outcomes}) == 3


async def test_a_timeout_of_its_own_counts_for_its_call_alone() -> None:
    """A call that brings a timeout fails when that is over, and those before and after it wait for theirs."""
    async with cluster(2, machine=Journal, command_timeout_ms=60_000) as servers:
        number = await servers.leader()
        node = servers.nodes[number]
        await node.propose(0)
        await servers.stop(1 - number)
        calls = [node.propose(1), node.propose(2, timeout_s=0.05), node.propose(3)]
        with pytest.raises((oarlock.Timeout, oarlock.NoLeader)):
            await calls[1]
        assert [call.done() for call in calls] == [False, True, False]
        await servers.start(1 - number)
        assert [await calls[0], await calls[2]] in ([[2, 1], [3, 1]], [[2, 1], [4, 1]])


@pytest.mark.parametrize("own_thread", [True, False])
async def test_as_many_commands_wait_as_may(own_thread: bool) -> None:
    """The limit is one of commands, however many of them are one entry; answers make room again."""
    most = 10
    async with cluster(1, objects=lambda: [Register()], max_pending_commands=most, own_thread=own_thread) as servers:
        [register], node = servers.objects(0), servers.nodes[0]
        await register.set(0)
        for _ in range(3):
            assert node.command_totals.waiting == 0
            outcomes = await asyncio.gather(*(register.add(1) for _ in range(most + 5)), return_exceptions=True)
            assert [type(outcome) for outcome in outcomes] == [int] * most + [oarlock.Overloaded] * 5
        totals = node.command_totals
        assert (totals.waiting, totals.failed) == (0, 15)
        assert totals.called >= 1 + 3 * (most + 5)
        page = node.metrics().page()
        assert f"oarlock_library_commands_total {float(totals.called)}" in page
        assert "etcd_server_proposals_failed_total 15.0" in page


async def test_the_log_is_read_again(tmp_path: Path) -> None:
    """After a restart the entries of several commands give the state that they gave before."""
    async with cluster(1, objects=lambda: [Register()], directory=tmp_path) as servers:
        for _ in range(5):
            await asyncio.gather(*(servers.objects(0)[0].when() for _ in range(3)))
            await asyncio.gather(*(servers.objects(0)[0].set(number) for number in range(7)))
        before = await servers.objects(0)[0].read("snapshot"), servers.nodes[0].stands_at()[1]
        await servers.restart(0)
        assert (await servers.objects(0)[0].read("snapshot"), servers.nodes[0].stands_at()[1]) == before


# -- the machine alone ---------------------------------------------------------------------------------------------------


class Told:
    """Takes down the votes of a machine."""

    def __init__(self) -> None:
        self.votes: list[tuple[Index, Vote]] = []

    def vote_due(self, index: Index, vote: Vote) -> None:
        self.votes.append((index, vote))

    def voted(self, index: Index) -> None: ...
    def versions_changed(self) -> None: ...
    def applied_slowly(self, what: str, seconds: float) -> None: ...


def machine(register: Register, *, server_id: int = 1, vote_every: int = 0) -> tuple[ReplicaMachine, Told]:
    told = Told()
    made = ReplicaMachine(server_id, [HostedObject(register)], lambda: 0.0, 1.0, vote_every, told)
    register._oarlock_host = made
    return made, told


def add(amount: int) -> bytes:
    return commands.call("register", "add", 1, (amount,), {})


def entry(sequence: int, *calls: bytes) -> bytes:
    return seal(1, 1, sequence, 1, commands.stamped(1000, calls))


def test_entries_of_older_logs_are_read() -> None:
    """One call alone stands in the log as it always did, with or without a session; so do all other kinds."""
    assert entry(1, add(5))[HEADER_BYTES:] == codec.encode([0, 1000, "register", "add", 1, [5], {}], "command")
    call = commands.call("register", "add", 1, (5,), {"note": "x"}, ("key", 3, 2))
    old = codec.encode([1, 1 << 40, "register", "add", 1, [5], {"note": "x"}, "key", 3, 2], "command")
    assert commands.stamped(1 << 40, [call]) == old
    assert [int(kind) for kind in commands.Kind] == list(range(8))


def test_votes_are_cast_at_the_end_of_an_entry() -> None:
    """At most one for each entry, of the state after it; servers that got their state otherwise vote alike."""
    first, told = machine(Register(), vote_every=10)
    second, told_second = machine(Register(), vote_every=10, server_id=2)
    rng, sequence = random.Random(5), 0
    for index in range(1, 30):
        data = entry(sequence := sequence + 1, *(add(rng.randrange(9)) for _ in range(rng.randrange(1, 26))))
        for one in (first, second):
            one.apply(index, data)
        if index == 15:  # it goes on from a copy
            fresh, told_fresh = machine(Register(), vote_every=10, server_id=3)
            image = codec.decode(codec.encode(first.hosted["register"].snapshot(), "snapshot"))
            fresh._take_over(15, first.beside(), {"register": image})
        elif index > 15:
            fresh.apply(index, data)
    assert told.votes == told_second.votes
    indexes = [index for index, _ in told.votes]
    assert len(set(indexes)) == len(indexes) > 10
    assert told_fresh.votes == [(index, vote) for index, vote in told.votes if index > 15]
    assert first.agreement.results == fresh.agreement.results


def test_a_call_that_is_not_known_stops_before_anything_is_done() -> None:
    """A server that cannot carry out one call of an entry carries out none: the newer program begins with all of it."""
    register = Register()
    made, _ = machine(register)
    for unknown in (
        commands.call("register", "none", 1, (), {}),
        commands.call("other", "add", 1, (), {}),
        codec.encode([8, "register", "add", 1, [], {}], "call of a later kind"),
    ):
        with pytest.raises(CannotFollow):
            made.apply(1, entry(1, add(1), unknown))
    assert register.value is None


def test_results_are_for_the_server_that_proposed() -> None:
    """On others an entry leaves none behind."""
    mine, _ = machine(Register())
    others, _ = machine(Register(), server_id=2)
    data = entry(1, add(1), add(2))
    assert mine.apply(1, data) == Outcomes([1, 3])
    assert others.apply(1, data) == Outcomes([None, None])


async def test_errors_are_told_once_and_to_each() -> None:
    """Whoever waits for an entry gets an error of its own, is told once, and is counted once."""
    loop = asyncio.get_running_loop()
    totals = Totals(waiting=6)
    futures = [loop.create_future() for _ in range(3)]
    callers = Callers(futures, totals, lambda: "somewhere")
    assert not callers.done()
    callers.set_exception(oarlock.NoLeader("nobody"))
    callers.set_result(Outcomes([1, 2, 3]))
    errors = [future.exception() for future in futures]
    assert [str(error) for error in errors] == ["nobody"] * 3
    assert len({id(error) for error in errors}) == 3
    assert (callers.done(), totals.waiting, totals.failed) == (True, 3, 3)
    futures = [loop.create_future() for _ in range(3)]
    futures[0].cancel()
    callers = Callers(futures, totals, lambda: None)
    callers.set_result(Outcomes([1, Failure(KeyError("a")), 3]))
    assert isinstance(futures[1].exception(), KeyError)
    assert (futures[2].result(), totals.waiting, totals.failed) == (3, 0, 3)
