"""Traces on disk: written without waiting, read as streams, refused with the place and the reason."""

import gzip
import io
import json
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from errno import ENOSPC
from pathlib import Path

import msgspec
import pytest
from tests.support.raft_server import server
from tests.trace.traced_cluster import HEADER, TracedCluster, real_state, shown_state

from oarlock.trace.attach import attach
from oarlock.trace.loaded import Trace, load
from oarlock.trace.reader import TraceError, TraceReader, open_trace, parts_of, read_parts
from oarlock.trace.recorder import Recorder
from oarlock.trace.schema import Event, Header, Kind, encode
from oarlock.trace.state import Replay, StateMismatch
from oarlock.trace.writer import TraceWriter, stream_sink


def at_once(call: Callable[[], None]) -> None:
    """An executor without a thread."""
    call()


def test_what_is_written_is_read(tmp_path: Path) -> None:
    """A trace written through a thread reads back event for event, plain and compressed."""
    cluster = TracedCluster(3, 1)
    path = tmp_path / "run.jsonl"
    with ThreadPoolExecutor(1) as executor:
        writer = TraceWriter(path, HEADER, executor.submit, flush_bytes=4096)
        assert all(map(writer, cluster.events))
        cluster._keep_as(lambda event: cluster.events.append(event) is None and writer(event))
        cluster.elect()
        cluster.propose()
        cluster.run_for(2)
    writer.close()
    assert writer.lost == 0
    trace = load(path)
    assert trace.header == HEADER
    assert [*map(encode, trace.events)] == [*map(encode, cluster.events)]
    assert len(trace) > 100
    packed = tmp_path / "run.jsonl.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert load(packed).events == trace.events


def test_full_files_are_set_aside_and_each_begins_anew(tmp_path: Path) -> None:
    """Rotation keeps the newest files, each with header, part number and a whole state, and loses nothing between."""
    path = tmp_path / "n1.jsonl"
    writer = TraceWriter(path, HEADER, at_once, rotate_bytes=8192, keep_files=3)
    core = server((1,))
    recorder = Recorder(1, 1, writer, lambda: core.state.now)
    attach(recorder, core.raft)
    writer.on_rotated = recorder.keyframe
    core.time_out()
    for _ in range(100):
        core.propose(b"x")
    writer.close()
    parts = parts_of(path)
    assert len(parts) == 4
    assert not (tmp_path / "n1.000001.jsonl").exists()
    numbers = []
    replay = Replay()
    for part in parts:
        with open_trace(part) as reader:
            numbers.append(reader.header.part)
            events = list(reader)
        assert events[0].k is Kind.KEY
        assert sum(map(len, map(encode, events))) < 2 * 8192
        for event in events:
            replay.apply(event)
    assert numbers == list(range(numbers[0], numbers[0] + 4))
    assert shown_state(replay.states["n1"]) == real_state(core)
    ids = [int(event.id.rpartition(".")[2]) for event in read_parts(parts)]
    assert ids == list(range(ids[0], ids[0] + len(ids)))


def test_earlier_trace_is_kept(tmp_path: Path) -> None:
    """A trace that lies where a new one is to be written is set aside under a number, never overwritten."""
    path = tmp_path / "n1.jsonl"
    for epoch in (1, 2):
        writer = TraceWriter(path, HEADER, at_once)
        writer(Event(f"n1.{epoch}.1", 0, 1, Kind.CRASH))
        writer.close()
    assert [event.id for event in read_parts(parts_of(path))] == ["n1.1.1", "n1.2.1"]


def test_slow_disk_costs_events_not_time(tmp_path: Path) -> None:
    """While a write hangs the writer takes what its buffer holds, refuses more, and waits for nothing."""
    submitted: deque[Callable[[], None]] = deque()
    writer = TraceWriter(tmp_path / "t", HEADER, submitted.append, flush_bytes=1000, max_buffer_bytes=2000)
    taken = [writer(Event(f"n1.1.{number}", number, number, Kind.CRASH)) for number in range(1, 200)]
    assert len(submitted) == 1
    assert taken == sorted(taken, reverse=True)
    assert writer.lost == taken.count(False) > 0
    submitted.popleft()()
    writer.flush()
    submitted.popleft()()
    assert writer(Event("n1.1.999", 999, 999, Kind.CRASH))
    writer.close()
    assert len(load(tmp_path / "t")) == taken.count(True) + 1


def test_failed_disk_ends_the_trace_alone(tmp_path: Path) -> None:
    """An error of the file system is kept for whoever asks; the recorder's calls go on."""
    writer = TraceWriter(tmp_path / "absent" / "t", HEADER, at_once, flush_bytes=1)
    assert writer(Event("n1.1.1", 0, 1, Kind.CRASH))
    assert isinstance(writer.failure, FileNotFoundError)
    assert not writer(Event("n1.1.2", 0, 2, Kind.CRASH))
    writer.close()


def test_trace_leaves_space_to_others(tmp_path: Path) -> None:
    """On a disk that is nearly full the trace ends, is whole up to there, and whoever wants to know is told once."""
    told: list[OSError] = []
    writer = TraceWriter(tmp_path / "run.jsonl", HEADER, at_once, min_free_bytes=1 << 62)
    writer.on_failed = told.append
    writer.open()
    event = Event("n1.1.1", 0, 1, Kind.CRASH)
    assert writer(event)
    writer.flush()
    assert not writer(event)
    writer.close()
    assert [error.errno for error in told] == [ENOSPC]
    assert len(load(tmp_path / "run.jsonl")) == 0


def test_file_is_begun_before_it_is_needed(tmp_path: Path) -> None:
    """`open` shows what is wrong with a path."""
    with pytest.raises(FileNotFoundError):
        TraceWriter(tmp_path / "missing" / "run.jsonl", HEADER, at_once).open()
    writer = TraceWriter(tmp_path / "run.jsonl", HEADER, at_once)
    writer.open()
    assert load(tmp_path / "run.jsonl").header == HEADER
    writer.close()


def test_stream_takes_events_at_once() -> None:
    """Where nothing else waits, a trace goes straight to a stream."""
    out = io.BytesIO()
    sink = stream_sink(out, HEADER)
    event = Event("n1.1.1", 0, 1, Kind.CRASH)
    assert sink(event)
    assert _read(out.getvalue()) == [event]


def test_writers_limits_are_checked(tmp_path: Path) -> None:
    """A buffer below what is written at once cannot work."""
    with pytest.raises(ValueError, match="limits"):
        TraceWriter(tmp_path / "t", HEADER, at_once, max_buffer_bytes=1)


EVENT = b'{"id":"n1.1.1","t":5,"lc":1,"k":"crash"}\n'


def _read(text: bytes, **limits: int) -> list[Event]:
    return list(TraceReader(io.BytesIO(text), "run.jsonl", **limits))


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (b"", r"run.jsonl, line 1: the file is empty"),
        (b"rubbish\n", r"run.jsonl, line 1: is no header of a trace: JSON is malformed"),
        (b'{"v":2,"run":"x","kind":"sim"}\n', r"line 1, field v: version 2 is not known here, only 1"),
        (b'{"v":1,"format":"other"}\n', r"line 1, field format: it is 'other', not 'raft-trace'"),
        (b'{"v":1,"run":3,"kind":"sim"}\n', r"line 1, field run: is no header of a trace: Expected `str`, got `int`"),
        (encode(HEADER) + b"{}\n", r"line 2: is no event: Object missing required field `id`"),
        (encode(HEADER) + EVENT + EVENT.replace(b":5", b':"5"'), r"line 3, field t: is no event: Expected `int`"),
        (encode(HEADER) + EVENT.replace(b"crash", b"crush"), r"line 2, field k: is no event: Invalid enum value"),
        (encode(HEADER) + EVENT.replace(b"n1.1.1", b"n1"), r"line 2, field id: 'n1' is not an event id"),
        (encode(HEADER) + EVENT.replace(b'"t"', b'"rd":{"term":"?"},"t"'), r"line 2, field term: '\?' is not"),
        (encode(HEADER) + EVENT.replace(b'"t"', b'"w":{"term":[1]},"t"'), r"line 2, field w.term: is no event"),
        (encode(HEADER) + EVENT.replace(b'"t"', b'"extra":1,"t"'), r"line 2: is no event: .*unknown field `extra`"),
        (encode(HEADER) + b"\xff" * 20 + b"\n", r"line 2: is no event"),
    ],
)
def test_bad_trace_is_refused_with_place_and_reason(text: bytes, error: str) -> None:
    """What is wrong is said with file, line and field."""
    with pytest.raises(TraceError, match=error):
        _read(text)


def test_reader_has_limits() -> None:
    """Neither a line nor a file can grow without bound."""
    with pytest.raises(TraceError, match="line 2: it is longer than 300 bytes"):
        _read(encode(HEADER) + EVENT[:-2] + b" " * 400 + b"}\n", max_line_bytes=300)
    with pytest.raises(TraceError, match="line 3: there are more than 1 events"):
        _read(encode(HEADER) + EVENT + EVENT, max_events=1)
    with pytest.raises(TraceError, match="more than 1 events"):
        Trace(HEADER, [Event(f"n1.1.{number}", 0, 1, Kind.CRASH) for number in (1, 2)], max_events=1)


def test_torn_last_line_is_left_out_and_said() -> None:
    """A crash may cut the last line: what is whole is read, and the reader says that something is missing."""
    reader = TraceReader(io.BytesIO(encode(HEADER) + EVENT + EVENT[:20]), "run.jsonl")
    assert len(list(reader)) == 1
    assert reader.torn


def test_damaged_compression_is_a_clear_error(tmp_path: Path) -> None:
    """A file that only claims to be compressed is refused by name."""
    path = tmp_path / "run.jsonl.gz"
    path.write_bytes(b"plain")
    with pytest.raises(TraceError, match=r"run.jsonl.gz: it is not compressed by gzip"), open_trace(path):
        pass
    path.write_bytes(gzip.compress(encode(HEADER) + EVENT * 10)[:-12])
    with open_trace(path) as reader:
        list(reader)
    assert reader.torn


def test_order_in_a_trace_is_checked() -> None:
    """Two events of one id, or a lane that runs backwards, are no trace."""
    events = [Event(f"n1.1.{number}", 0, 1, Kind.CRASH) for number in (1, 2)]
    with pytest.raises(TraceError, match=r"two events n1\.1\.1"):
        Trace(HEADER, [events[0], events[0]])
    with pytest.raises(TraceError, match=r"n1\.1\.1 comes after n1\.1\.2"):
        Trace(HEADER, events[::-1])


def test_missing_change_is_noticed() -> None:
    """A replay that lacks an event says where, instead of showing a state that never was."""
    cluster = TracedCluster(3, 1)
    cluster.elect()
    events = [event for event in cluster.events if not (event.w and event.w.term)]
    replay = Replay()
    with pytest.raises(StateMismatch, match=r"event n\d\.1\.\d+: "):
        list(map(replay.apply, events))


def test_lines_are_safe_for_any_reader_of_json() -> None:
    """No number in a trace is beyond what a double holds exactly, whatever ids servers have."""
    big = 0x8E9E05C52164694D
    core = server((big,), server_id=big)
    events: list[Event] = []
    recorder = Recorder(big, 1, lambda event: events.append(event) is None, lambda: core.state.now)
    attach(recorder, core.raft)
    core.time_out()
    core.raft.read_index(1 << 60, 1.0)

    def check(value: object) -> None:
        if isinstance(value, dict):
            for each in value.values():
                check(each)
        elif isinstance(value, list):
            for each in value:
                check(each)
        elif isinstance(value, int):
            assert abs(value) < 1 << 53

    for event in events:
        check(json.loads(encode(event)))
    assert events[0].id == "n8e9e05c52164694d.1.1"
    assert events[-1].x["context"] == str(1 << 60)


def test_header_defaults_are_left_out() -> None:
    """The version is always there, as it is what a reader looks at first."""
    assert msgspec.json.decode(encode(Header(v=1, run="r", kind="live"))) == {"v": 1, "run": "r", "kind": "live"}
