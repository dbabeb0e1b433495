"""Streams of several servers become one, in an order that their messages allow."""

from oarlock.dashboard.hub import Line
from oarlock.dashboard.merge import HOLD_S, PATIENCE_S, LiveMerge
from oarlock.trace.schema import Event, Kind, parse_id


class Streams:
    """A merge with a clock to turn, and what came out of it."""

    def __init__(self) -> None:
        self.now = 100.0
        self.out: list[str] = []
        self.merge = LiveMerge(lambda event, _: self.out.append(event.id), lambda: self.now, max_waiting=10)
        for name in ("s1", "s2"):
            self.merge.begin(name)

    def give(self, event_id: str, t: int, *, m: str = "", k: Kind = Kind.TIMER) -> bool:
        lane = parse_id(event_id).lane
        return self.merge.take(f"s{lane[1:]}", Event(event_id, t, 1, k, m=m), Line(lane, b"{}", False))

    def pump(self, after_s: float = 0.0) -> list[str]:
        self.now += after_s * 1.01
        self.merge.pump()
        out, self.out = self.out, []
        return out


def test_clocks_decide_what_messages_leave_open() -> None:
    """With something of every server at hand, the earliest goes first, whichever came first."""
    streams = Streams()
    streams.give("n2.1.1", 30)
    streams.give("n1.1.1", 10)
    streams.give("n1.1.2", 40)
    assert streams.pump() == ["n1.1.1", "n2.1.1"]
    assert streams.pump(HOLD_S) == ["n1.1.2"]


def test_arrival_comes_after_its_sending() -> None:
    """A message that came before its sending is known waits for it, though its clock says it is earlier."""
    streams = Streams()
    streams.give("n1.1.1", 5)
    streams.give("n2.1.1", 10, m="n1.1.2", k=Kind.RECV)
    assert streams.pump(HOLD_S) == ["n1.1.1"]
    assert streams.pump(HOLD_S) == []
    streams.give("n1.1.2", 20, m="n1.1.2", k=Kind.SEND)
    assert streams.pump(HOLD_S) == ["n1.1.2", "n2.1.1"]
    assert streams.merge.forced == 0


def test_wait_is_bounded() -> None:
    """If the sending does not come, the arrival is passed on, as one whose beginning nobody knows."""
    streams = Streams()
    streams.give("n1.1.1", 5)
    streams.give("n2.1.1", 10, m="n1.1.2", k=Kind.RECV)
    assert streams.pump(PATIENCE_S) == ["n1.1.1", "n2.1.1"]
    assert streams.merge.forced == 1


def test_ended_stream_is_not_waited_for() -> None:
    """Of a server that was killed nothing more comes: who received from it need not wait."""
    streams = Streams()
    streams.give("n1.1.1", 5)
    streams.merge.end("s1")
    streams.give("n2.1.1", 10, m="n1.1.2", k=Kind.RECV)
    assert streams.pump(HOLD_S) == ["n1.1.1", "n2.1.1"]
    assert streams.merge.forced == 0


def test_stream_that_is_to_begin_is_waited_for() -> None:
    """A server that runs but has said nothing yet may have sent what another received."""
    streams = Streams()
    streams.merge.begin("s3", "n3")
    streams.give("n2.1.1", 10, m="n3.1.1", k=Kind.RECV)
    assert streams.pump(HOLD_S) == []
    streams.give("n3.1.1", 20, m="n3.1.1", k=Kind.SEND)
    assert streams.pump(HOLD_S) == ["n3.1.1", "n2.1.1"]


def test_what_waits_is_bounded() -> None:
    """A merge that cannot go on refuses events, which then count as lost."""
    streams = Streams()
    assert all(streams.give(f"n1.1.{number + 1}", number) for number in range(10))
    assert not streams.give("n1.1.999999", 1)
