"""Connections, and everything that can be wrong with a link."""

import contextlib

import pytest
from tests.support.simulated import QUIET, Ear, Pair

from oarlock.sim.frames import FrameFaults, message_kind, split
from oarlock.sim.network import LinkSettings
from oarlock.transport.framing import MESSAGE, PING, FrameDecoder, FrameError, encode_frame

FRAMES = [encode_frame(MESSAGE, bytes((0x95, number % 10)) + b"payload") for number in range(200)]


def _frames_through(faults: FrameFaults) -> tuple[Pair, bytes]:
    pair = Pair().run()
    pair.network.link("a", "b").filter.active.append(faults)
    for frame in FRAMES:
        pair.near.transport.write(frame)
    pair.run()
    return pair, pair.far.data


def _decode(data: bytes) -> list[bytes]:
    return [encode_frame(kind, payload) for kind, payload in FrameDecoder(1 << 20).feed(data)]


def test_stream_arrives_in_order_though_cut() -> None:
    """Bytes come out as they went in, in other pieces."""
    pair = Pair(LinkSettings(cut=1.0, tail=0.3)).run()
    sent = b"".join(FRAMES)
    for frame in FRAMES:
        pair.near.transport.write(frame)
    pair.run(60)
    assert pair.far.data == sent
    assert pair.far.reads > len(FRAMES)
    assert pair.strikes["link.tail"]


def test_nobody_listens() -> None:
    """A connection to a port without a listener is refused."""
    pair = Pair().run()
    task = pair.dial(Ear(), port=2)
    pair.run()
    assert isinstance(task.exception(), ConnectionRefusedError)


def test_machine_without_power_answers_nothing() -> None:
    """Neither dialling it nor an open connection tells that it is gone."""
    pair = Pair().run()
    pair.crash(pair.b, silent=True)
    pair.near.transport.write(b"hello")
    task = pair.dial(Ear())
    pair.run(10)
    assert not task.done()
    assert not pair.near.lost
    task.cancel()
    pair.run(1)


def test_kernel_ends_the_connections_of_a_dead_process() -> None:
    """Where the machine lives on, the other side is told."""
    pair = Pair().run()
    pair.crash(pair.b, silent=False)
    pair.run()
    assert isinstance(pair.near.lost[0], ConnectionResetError)


def test_partition_holds_what_is_sent_and_lets_it_through_afterwards() -> None:
    """Nothing passes a blocked link, the other direction does, and TCP sends again what was held."""
    pair = Pair().run()
    link = pair.network.link("a", "b")
    link.block()
    pair.near.transport.write(b"one")
    pair.far.transport.write(b"back")
    pair.run(5)
    assert (pair.far.data, pair.near.data) == (b"", b"back")
    assert pair.strikes["link.held"]
    link.unblock()
    pair.run()
    assert pair.far.data == b"one"


def test_clog_ends_by_itself() -> None:
    """A clogged link delivers everything later."""
    pair = Pair().run()
    pair.network.link("a", "b").clog(3.0)
    pair.near.transport.write(b"late")
    pair.run(2)
    assert pair.far.data == b""
    pair.run(2)
    assert pair.far.data == b"late"


def test_narrow_link_takes_its_time_and_its_writer_is_told() -> None:
    """Bandwidth delays bytes by their number, and beyond the buffers the writer is paused."""
    pair = Pair().run()
    pair.network.link("a", "b").narrowings.append(10_000.0)
    pair.near.transport.write(bytes(400_000))
    assert pair.near.paused == 1
    pair.run(20)
    assert pair.far.data == b""
    pair.run(30)
    assert len(pair.far.data) == 400_000


def test_slow_link() -> None:
    """Delays are multiplied."""
    pair = Pair().run()
    pair.network.link("a", "b").slowness = 2000.0
    pair.near.transport.write(b"slow")
    pair.run(1.9)
    assert not pair.far.data
    pair.run(0.2)
    assert pair.far.data


@pytest.mark.parametrize("midframe", [False, True])
def test_reset_ends_both_sides(*, midframe: bool) -> None:
    """A broken connection ends with an error on both sides, perhaps behind a few bytes of something."""
    pair = Pair().run()
    pair.network.reset("a", "b", midframe=midframe)
    pair.run()
    assert all(isinstance(ear.lost[0], ConnectionResetError) for ear in (pair.near, pair.far))
    assert bool(pair.far.data) is midframe


def test_half_open_side_is_found_by_sending() -> None:
    """One side forgets, the other learns of it only when it sends something."""
    pair = Pair().run()
    pair.network.half_open("b", "a")
    pair.run(30)
    assert pair.far.lost
    assert not pair.near.lost
    pair.near.transport.write(b"anybody there?")
    pair.run()
    assert isinstance(pair.near.lost[0], ConnectionResetError)


def test_close_lets_the_last_bytes_through() -> None:
    """What was written before the end arrives before the end."""
    pair = Pair().run()
    pair.near.transport.write(b"last words")
    pair.near.transport.close()
    pair.run()
    assert pair.far.data == b"last words"
    assert pair.far.lost == [None] == pair.near.lost


def test_frames_are_told_apart() -> None:
    """Writes are cut where frames begin, and message kinds are seen."""
    ping = encode_frame(PING, bytes(8))
    assert list(split(FRAMES[3] + ping + FRAMES[4])) == [FRAMES[3], ping, FRAMES[4]]
    assert [message_kind(frame) for frame in (FRAMES[3], ping)] == [3, None]


def test_dropped_frames() -> None:
    """Frames are lost whole."""
    pair, data = _frames_through(FrameFaults(drop=0.3))
    received = _decode(data)
    assert len(received) == len(FRAMES) - pair.strikes["frame.drop"] < len(FRAMES)


def test_frames_of_one_kind_are_dropped() -> None:
    """Faults may concern one kind of message alone."""
    _, data = _frames_through(FrameFaults(drop=1.0, kinds=(4,)))
    kinds = {message_kind(frame) for frame in _decode(data)}
    assert kinds == {0, 1, 2, 3, 5, 6, 7, 8, 9}


def test_duplicated_replayed_and_reordered_frames() -> None:
    """Frames come twice, again much later, or in another order; never any that were not sent."""
    for faults, name in (
        (FrameFaults(duplicate=0.3), "frame.duplicate"),
        (FrameFaults(replay=0.3), "frame.replay"),
    ):
        pair, data = _frames_through(faults)
        received = _decode(data)
        assert pair.strikes[name] == len(received) - len(FRAMES) > 0
        assert set(received) <= set(FRAMES)
    pair = Pair().run()
    pair.network.link("a", "b").filter.active.append(FrameFaults(reorder=0.5))
    sent = [encode_frame(MESSAGE, bytes((0x95, 1, number))) for number in range(50)]
    pair.near.transport.write(b"".join(sent))
    received = _decode(pair.run().far.data)
    assert received != sent
    assert sorted(received) == sorted(sent)
    assert pair.strikes["frame.reorder"]


@pytest.mark.parametrize("faults", [FrameFaults(corrupt=1.0), FrameFaults(truncate=1.0)])
def test_damage_is_noticed(faults: FrameFaults) -> None:
    """No damaged frame passes the production framing: it is refused, or waits for bytes that never come."""
    for frame in FRAMES[:50]:
        pair = Pair().run()
        pair.network.link("a", "b").filter.active.append(faults)
        pair.near.transport.write(frame)
        data = pair.run().far.data
        assert data != frame
        with contextlib.suppress(FrameError):
            assert _decode(data) == []


def test_links_have_chance_of_their_own() -> None:
    """What happens on one link does not change what happens on another."""

    def delays(*, busy: bool) -> list[float]:
        network = Pair(QUIET).run().network
        network.add_host("c")
        drawn = []
        for _ in range(20):
            if busy:
                network.link("c", "a").delay()
            drawn.append(network.link("a", "b").rng.random())
        return drawn

    assert delays(busy=True) == delays(busy=False)


def test_severed_write_arrives_in_part() -> None:
    """Some first bytes come, never all, and then the connection is over on both sides; other links are well."""
    lengths, ends = set(), set()
    for _ in range(40):
        pair = Pair().run()
        pair.network.link("a", "b").rng.seed(len(lengths) + 100 * len(ends) + _)
        pair.network.link("a", "b").severing.append(1.0)
        pair.far.transport.write(b"well")
        pair.near.transport.write(b"0123456789")
        pair.run()
        assert pair.near.data == b"well"[: len(pair.near.data)]
        assert b"0123456789".startswith(pair.far.data)
        assert len(pair.near.lost) == len(pair.far.lost) == 1
        lengths.add(len(pair.far.data))
        ends.add(type(pair.far.lost[0]))
    assert lengths == set(range(10))
    assert ends == {type(None), ConnectionResetError}
    assert pair.strikes["client.cut_short"] == 1


def test_reading_pauses() -> None:
    """What comes while nothing is read waits, counts as unread, and is read in order before what comes later."""
    pair = Pair().run()
    pair.near.transport.write(b"1")
    pair.run()
    pair.far.transport.pause_reading()
    for data in (b"2", b"3"):
        pair.near.transport.write(data)
    pair.run()
    assert pair.far.data == b"1"
    assert pair.near.transport.outgoing.unread_bytes == 2
    pair.loops["b"].call_soon(pair.far.transport.resume_reading)
    pair.loops["b"].call_soon(pair.far.transport.received, b"4")
    pair.run()
    assert pair.far.data == b"1234"
    pair.far.transport.pause_reading()
    pair.near.transport.write(b"5")
    pair.near.transport.close()
    pair.run()
    assert not pair.far.lost
    pair.far.transport.resume_reading()
    pair.run()
    assert pair.far.data == b"12345"
    assert pair.far.lost == [None]
