"""A library's run made again with one message's fate changed, or with fewer faults."""

from pathlib import Path
from typing import Any

import pytest
from tests.support.replicated import Register
from tests.testing.test_pytest_plugin import run_pytest

import oarlock
from oarlock.diagram.comparison import compare
from oarlock.sim.shrink import NotFailing
from oarlock.testing import shrink, simulate
from oarlock.testing.simulated import Client, RunFailed
from oarlock.testing.what_if import edit_of, in_words
from oarlock.trace.loaded import Trace
from oarlock.trace.schema import Event, Kind

SEED = 1
"""Of a run with a partition and a kill."""


async def count(client: Client) -> None:
    """Adds, all the time."""
    while True:
        try:
            await client.objects[0].add(1)
        except oarlock.OarlockError:
            await client.pause(0.1)
        await client.pause(0.2)


def recorded(**arguments: Any) -> Trace:
    """The run, or what else is made of it."""
    kept: list[Trace] = []
    simulate(SEED, objects=lambda: [Register()], work=count, seconds=2, faults=2, record=kept.append, **arguments)
    return kept[0]


@pytest.fixture(scope="module")
def trace() -> Trace:
    """The run as it was."""
    return recorded()


def ends(trace: Trace, sent: Event) -> list[tuple[Kind, int]]:
    """What became of a message, and after how many microseconds."""
    return [(end.k, end.t - sent.t) for end in trace.ends_of(sent.id)]


@pytest.mark.parametrize("words", ["drop {}", "delay {} 50", "duplicate {}", "deliver {}"])
def test_one_message_has_another_fate_and_all_before_it_is_the_same(words: str, trace: Trace) -> None:
    """Lost, late, doubled, or past all that stood in the way: as with `oarlock trace what-if`, by the same words."""
    wanted = "partition" if words.startswith("deliver") else ""
    chosen = next(
        sent
        for sent in trace.events
        if sent.k is Kind.SEND and sent.t > 500_000 and [end.cause for end in trace.ends_of(sent.id)] == [wanted]
    )
    other = recorded(what_if=[words.format(chosen.id)])
    until = trace.position(chosen.id)
    assert [event.id for event in other.events[: until + 1]] == [event.id for event in trace.events[: until + 1]]
    found = ends(other, chosen)
    match words.partition(" ")[0]:
        case "drop":
            assert [kind for kind, _ in found] == [Kind.DROP]
        case "delay":
            assert found[0][0] is Kind.RECV
            assert found[0][1] >= 50_000
        case "duplicate":
            assert [kind for kind, _ in found] == [Kind.RECV, Kind.RECV]
        case _:
            assert [kind for kind, _ in found] == [Kind.RECV]
    assert compare(trace, other).first is not None


def test_what_was_never_sent_has_no_fate(trace: Trace) -> None:
    """A message of another run, and words that mean nothing, are refused by name."""
    with pytest.raises(ValueError, match=r"no message n9\.9\.9 was sent in this run of seed 1"):
        recorded(what_if=["drop n9.9.9"])
    with pytest.raises(ValueError, match=r"'lose n1\.1\.1'"):
        recorded(what_if=["lose n1.1.1"])
    for text in ("drop n2.1.47", "delay n2.1.47 50", "delay n2.1.47 0.5"):
        assert in_words(edit_of(text)) == text


def test_leaving_out_no_fault_changes_nothing(trace: Trace) -> None:
    """Faults that are left out are drawn all the same, so that the others stay what they are."""
    assert recorded(only=[1, 2]).events == trace.events
    [left] = [event for event in recorded(only=[1]).events if event.k is Kind.FAULT and "seconds" in event.x]
    assert left.x == next(event.x for event in trace.events if event.k is Kind.FAULT)


async def never_twice(client: Client) -> None:
    """Fails where a server's process is not its first, before all is healed."""
    assert client.life == 1


def test_the_fewest_faults_are_found() -> None:
    """Of four faults one kill is enough; the text tells how to make that run, and it fails by the same property."""
    failed = shrink(SEED, objects=lambda: [Register()], work=never_twice, seconds=3, faults=4)
    [broken] = failed.violations
    assert broken.name == "the client's own checks"
    only = str(failed).partition("only=(")[2].partition(",)")[0]
    assert only.isdigit()
    with pytest.raises(RunFailed, match="own checks"):
        simulate(SEED, objects=lambda: [Register()], work=never_twice, seconds=3, faults=4, only=[int(only)])
    with pytest.raises(NotFailing, match="seed 1"):
        shrink(SEED, objects=lambda: [Register()], work=never_twice, seconds=1, faults=0)


FAILING = f"""
from oarlock.replica.objects.counter import ReplicatedCounter

async def work(client):
    assert client.life == 1

def test_it(oarlock_runs):
    oarlock_runs.simulate_cluster({SEED}, objects=lambda: [ReplicatedCounter("visits")], work=work, seconds=3, faults=4)
"""


def test_the_plugin_shrinks_what_fails_and_changes_fates(tmp_path: Path) -> None:
    """By options, in the user's own test: both runs are kept, and that with the fewest faults is told."""
    assert ", only=(" in run_pytest(tmp_path, FAILING, "--oarlock-shrink")
    assert "no message n1.1.1 was sent" in run_pytest(tmp_path, FAILING, "--oarlock-what-if", "drop n1.1.1")
