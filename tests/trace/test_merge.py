"""Files of live servers, whose clocks differ, become one order; what they do not say is left open."""

import random

import msgspec
import pytest
from tests.trace.test_recorder import storm
from tests.trace.traced_cluster import TracedCluster

from oarlock.trace.clocks import estimate_clocks
from oarlock.trace.merge import Merge
from oarlock.trace.reader import TraceError
from oarlock.trace.schema import WORLD, Event, Kind, parse_id, sent_id
from oarlock.trace.state import Replay

SKEWS = {"n1": 0, "n2": 3_000_000, "n3": -40_000}


def _files(seed: int, **settings: object) -> tuple[list[Event], dict[str, list[Event]]]:
    """A run as it was, and each server's own events by its own clock; the network kept no record."""
    cluster = TracedCluster(3, seed, **settings)
    if settings:
        storm(cluster, turns=30)
    else:
        cluster.elect()
        for _ in range(10):
            cluster.propose()
            cluster.run_for(0.1)
    files: dict[str, list[Event]] = {"n1": [], "n2": [], "n3": []}
    for event in cluster.events:
        lane = parse_id(event.id).lane
        if lane != WORLD:
            files[lane].append(msgspec.structs.replace(event, t=event.t + SKEWS[lane]))
    return cluster.events, files


@pytest.mark.parametrize("seed", range(2))
def test_merge_keeps_lanes_and_causes(seed: int) -> None:
    """Each server's events stay in order, each `recv` follows its `send`, and nothing is lost or doubled."""
    _, files = _files(seed, faults=True)
    merge = Merge(list(files.values()), estimate_clocks(event for file in files.values() for event in file))
    merged = list(merge)
    assert len(merged) == sum(map(len, files.values()))
    for lane, file in files.items():
        assert [event.id for event in merged if parse_id(event.id).lane == lane] == [event.id for event in file]
    place = {event.id: position for position, event in enumerate(merged)}
    for event in merged:
        if event.k is Kind.RECV:
            assert place[sent_id(event.m)] < place[event.id]
    assert merge.forced == 0
    assert merge.unknown == []
    replay = Replay()
    for event in merged:
        replay.apply(event)


def test_unreceived_messages_are_unresolved_not_dropped() -> None:
    """What left and was not received is listed; that it was dropped is not claimed."""
    events, files = _files(3, faults=True)
    merge = Merge(list(files.values()))
    merged = list(merge)
    received = {sent_id(event.m) for event in events if event.k is Kind.RECV}
    assert merge.unresolved.keys() == {event.id for event in merged if event.k is Kind.SEND} - received
    assert merge.unresolved
    assert not any(event.k is Kind.DROP for event in merged)


def test_missing_file_leaves_receipts_unknown() -> None:
    """Without a sender's file its messages still arrive, from nobody knows where."""
    _, files = _files(1)
    del files["n2"]
    merge = Merge(list(files.values()))
    merged = list(merge)
    assert len(merged) == sum(map(len, files.values()))
    assert {parse_id(event.m).lane for event in merged if event.id in merge.unknown} == {"n2"}


def test_clocks_are_estimated_within_their_error() -> None:
    """Each server's offset is found, give or take what is stated; a link's error is at most its round trip."""
    _, files = _files(1)
    clocks = estimate_clocks(event for file in files.values() for event in file)
    assert clocks.offsets.keys() == SKEWS.keys()
    for lane, offset in clocks.offsets.items():
        assert abs(offset.us - (SKEWS[lane] - SKEWS[clocks.reference])) <= offset.error_us
        assert offset.error_us <= 4000
    shuffled = [event for file in files.values() for event in file]
    random.Random(1).shuffle(shuffled)
    assert estimate_clocks(shuffled) == clocks


def test_clocks_of_one_way_links_are_unknown() -> None:
    """Messages in one direction bound an offset from one side only: nothing is claimed."""
    send = Event("n1.1.1", 10, 1, Kind.SEND, src="n1", to="n2", m="n1.1.1")
    clocks = estimate_clocks([send, Event("n2.1.1", 20, 2, Kind.RECV, src="n1", to="n2", m="n1.1.1")])
    assert clocks.links == {}
    assert clocks.offsets.keys() == {clocks.reference}
    assert clocks.corrected("n2", 20) == 20


def test_contradicting_files_do_not_stop_the_merge() -> None:
    """Two files, each of which waits for the other, are merged all the same, and that is said."""
    one = [
        Event("n1.1.1", 0, 1, Kind.RECV, src="n2", to="n1", m="n2.1.2"),
        Event("n1.1.2", 1, 2, Kind.SEND, src="n1", to="n2", m="n1.1.2"),
    ]
    two = [
        Event("n2.1.1", 0, 1, Kind.RECV, src="n1", to="n2", m="n1.1.2"),
        Event("n2.1.2", 1, 2, Kind.SEND, src="n2", to="n1", m="n2.1.2"),
    ]
    merge = Merge([one, two])
    assert len(list(merge)) == 4
    assert merge.forced == 1


def test_file_out_of_order_is_refused() -> None:
    """A server's events that run backwards are an error that names them."""
    backwards = [Event(f"n1.1.{number}", 0, 1, Kind.CRASH) for number in (2, 1)]
    with pytest.raises(TraceError, match=r"n1\.1\.1 comes after"):
        list(Merge([backwards]))
