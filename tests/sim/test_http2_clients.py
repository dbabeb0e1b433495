"""Clients with connections: HTTP/2 and gRPC in bytes, to the production port, and what they make of each end."""

import asyncio
import importlib
from typing import Any

import msgspec
import pytest
from tests.support.simulated import Pair, steady

from oarlock.etcd.grpc import Status
from oarlock.etcd.grpc.unary import UnaryCall
from oarlock.etcd.http2 import Connection, ErrorCode, HeaderBlock, frames
from oarlock.etcd.http2.sender import Sender
from oarlock.sim import Fault, Schedule, generate, read_schedule, run_schedule, write_schedule
from oarlock.sim.calls import FAILED, OK, UNKNOWN
from oarlock.sim.cluster import Simulation
from oarlock.sim.connection import listen
from oarlock.sim.http2_client import Ending, Http2Client
from oarlock.sim.observer import PropertyBroken
from oarlock.sim.operations import UPKEEP
from oarlock.sim.schedule import ClientOperation


def _over_http2(*faults: Fault, seconds: float = 2.5, **settings: Any) -> Schedule:
    return steady(*faults, seconds=seconds, client_protocol="http2", **settings)


# -- whole runs --------------------------------------------------------------------------------------------------------


def test_every_call_is_bytes_of_a_connection() -> None:
    """A quiet run gets the answers that it gets without connections, each over one that was opened when it was needed."""
    report = run_schedule(_over_http2())
    direct = run_schedule(steady(seconds=2.5))
    assert report.ok, report.violations
    assert report.answered == report.operations == direct.answered
    assert report.strikes["http2.call"] == report.operations
    assert 0 < report.strikes["http2.connected"] < 10
    assert not [name for name in direct.strikes if name.startswith("http2")]


def test_run_over_connections_repeats() -> None:
    """Iterations of clients are in the fingerprint, and it is the same each time."""
    schedule = _over_http2(Fault(at=1, kind="client_cut_short", servers=(1, 2, 3), seconds=1, value=0.2))
    assert run_schedule(schedule).trace_hash == run_schedule(schedule).trace_hash
    assert run_schedule(schedule).trace_hash != run_schedule(steady(*schedule.faults, seconds=2.5)).trace_hash


def _outcomes(schedule: Schedule) -> list[tuple[str, str]]:
    """How each request ended by the time the cluster is healed."""
    simulation = Simulation(schedule)
    try:
        simulation.begin()
        simulation.scheduler.run_until(schedule.settings.duration_s)
        return [(request.outcome, request.error) for request in simulation.clients.requests]
    finally:
        simulation.close()


def test_refused_connection_means_nothing_was_done() -> None:
    """Calls of a server that is down fail as such, but for those that it had when it was killed."""
    outcomes = _outcomes(_over_http2(Fault(at=1, kind="kill", servers=(1,), seconds=0.8)))
    failed = [error for outcome, error in outcomes if outcome == FAILED]
    assert len(failed) > 3
    assert set(failed) == {"connection refused"}


def test_lost_answer_is_unknown() -> None:
    """Where a connection breaks under a call, nobody can tell; the run is judged all the same."""
    faults = (
        Fault(at=0.9, kind="isolate", servers=(0,), seconds=1),
        *(Fault(at=1.1, kind="client_reset", servers=(each,)) for each in (1, 2, 3)),
    )
    outcomes = _outcomes(_over_http2(*faults))
    unknown = [error for outcome, error in outcomes if outcome == UNKNOWN]
    assert unknown
    assert all("connection lost" in error for error in unknown)
    report = run_schedule(_over_http2(*faults))
    assert report.ok, report.violations
    assert report.strikes["http2.connection_lost"] >= len(unknown)


def test_half_open_connection_is_noticed() -> None:
    """A server without power answers no ping: its clients do not wait for the deadline."""
    fault = Fault(at=1, kind="power", servers=(1,), seconds=9)
    report = run_schedule(_over_http2(fault, seconds=9.0, proposal_timeout_ms=8000))
    assert report.ok, report.violations
    assert report.strikes["http2.silent"]
    assert report.strikes["http2.unreachable"]


def test_stopping_server_says_goodbye() -> None:
    """A server that is asked to stop sends GOAWAY and finishes what it has; no call is lost by that."""
    schedule = _over_http2(Fault(at=1, kind="restart", servers=(2,), seconds=0.5))
    report = run_schedule(schedule)
    assert report.ok, report.violations
    assert report.strikes["http2.goaway"]
    assert not [error for outcome, error in _outcomes(schedule) if outcome == UNKNOWN]


def test_clients_that_hang_up_disturb_nobody() -> None:
    """Calls are reset by their clients, and the server goes on."""
    fault = Fault(at=1, kind="cancel_calls", servers=(0,), seconds=1, value=30.0)
    report = run_schedule(_over_http2(fault))
    assert report.ok, report.violations
    assert report.strikes["process.call_cancelled"]
    assert report.strikes["http2.cancelled"]


def test_operators_questions_are_answered_over_connections() -> None:
    """Unary methods of all services, and a backup as a stream of messages, under windows smaller than it is."""
    asked = [
        ClientOperation(at=1.4 + 0.05 * number, client=10 + number, server=server, kind=kind)
        for number, kind in enumerate(UPKEEP)
        for server in (1, 2, 3)
    ]
    schedule = _over_http2(seconds=3.0)
    report = run_schedule(msgspec.structs.replace(schedule, operations=(*schedule.operations, *asked)))
    assert report.ok, report.violations
    assert report.answered == report.operations
    assert report.strikes["http2.window_opened"]


def _at_one_server(seed: int, *faults: Fault) -> Schedule:
    """Three clients that ask the same server at the same moments, over one connection where the seed has it so."""
    schedule = _over_http2(*faults, seed=seed, seconds=2.0)
    operations = tuple(
        msgspec.structs.replace(
            each, server=1, at=each.at - each.at % 0.06, kind="range" if each.kind == "get" else each.kind
        )
        for each in schedule.operations
    )
    return msgspec.structs.replace(schedule, operations=operations)


def test_streams_above_the_limit_are_refused() -> None:
    """Some seeds have ports of two streams; a third one is refused, by a reset that says that nothing was done."""
    schedule = _at_one_server(5)
    report = run_schedule(schedule)
    assert report.ok, report.violations
    assert report.strikes["http2.reset_by_server"]
    assert {error for outcome, error in _outcomes(schedule) if outcome == FAILED} == {"not looked at by the server"}


def test_impatient_port_ends_connections_in_order() -> None:
    """Some seeds have ports that let no connection idle: a call on its way then was not looked at, and is known so."""
    clog = Fault(at=1.2, kind="client_clog", servers=(1, 2, 3), seconds=3.0)
    schedule = _over_http2(clog, seed=16, seconds=5.0, proposal_timeout_ms=4000)
    schedule = msgspec.structs.replace(schedule, operations=schedule.operations[::40])
    report = run_schedule(schedule)
    assert report.ok, report.violations
    assert report.strikes["http2.goaway"]
    assert report.strikes["http2.not_looked_at"]


def test_calls_that_were_put_off_are_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where answers wait for the client's window, others are made later: reads and writes still take effect in order."""
    put_off = []

    def counted(self: UnaryCall, again: Any) -> Any:
        put_off.append(self.method)
        return original(self, again)

    original = UnaryCall._put_off
    monkeypatch.setattr(UnaryCall, "_put_off", counted)
    for seed in (9, 14, 15):
        report = run_schedule(
            _at_one_server(seed, Fault(at=1, kind="client_slow", servers=(1,), seconds=1, value=20.0))
        )
        assert report.ok, report.violations
    assert {"/etcdserverpb.KV/Range", "/etcdserverpb.KV/Txn"} <= set(put_off)


# -- what servers do wrong is found ------------------------------------------------------------------------------------


def test_answers_beyond_the_window_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that forgets how much it may send breaks HTTP/2."""

    def careless(self: Sender, *args: Any) -> None:
        args[0].send_window = self.send_window = 1 << 20
        respond(self, *args)

    respond = Sender.respond
    monkeypatch.setattr(Sender, "respond", careless)
    report = run_schedule(_over_http2())
    assert [violation.name for violation in report.violations] == ["speaks HTTP/2"]


def test_goaway_that_lies_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that says of calls that it has looked at that it has not breaks the history of their writes."""

    def lying(self: Connection) -> None:
        self._last_served_id = 0
        finish_drain(self)

    finish_drain = Connection.finish_drain
    monkeypatch.setattr(Connection, "finish_drain", lying)
    report = run_schedule(_over_http2(Fault(at=1, kind="restart", servers=(2,), seconds=0.5), link_delay_s=0.03))
    assert report.strikes["http2.not_looked_at"]
    assert "no phantom" in {violation.name for violation in report.violations}


# -- the client alone --------------------------------------------------------------------------------------------------


class _Scripted(asyncio.Protocol):
    """A server that says what a test wants."""

    def __init__(self) -> None:
        self.transport: Any = None
        self.heard = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.say(frames.settings([]))

    def data_received(self, data: bytes) -> None:
        self.heard += data

    def say(self, *said: bytes) -> None:
        self.transport.write(b"".join(said))


class _Line:
    """A client, its server, and two calls under way on streams 1 and 3."""

    def __init__(self) -> None:
        self.pair = pair = Pair().run()
        self.server = _Scripted()
        listen(pair.b, lambda: self.server, 2)
        self.client = Http2Client(pair.loops["a"], 1000, 1.0, pair.strikes)
        pair.dial(self.client, port=2)  # type: ignore[arg-type]
        pair.run()
        self.endings: dict[int, Ending] = {}
        for number in (1, 3):
            self.client.call(
                "/a/b", b"request", 5.0, lambda ending, number=number: self.endings.update({number: ending})
            )
        pair.run(0.1)

    def say(self, *said: bytes) -> dict[int, Ending]:
        self.server.say(*said)
        self.pair.run(0.1)
        return self.endings


def _answer(stream_id: int, *fields: tuple[bytes, bytes]) -> bytes:
    block = HeaderBlock([(b":status", b"200"), *fields]).block
    return frames.frame(frames.HEADERS, frames.END_HEADERS | frames.END_STREAM, stream_id, block)


def test_trailers_end_a_call() -> None:
    """The status and its message are the server's word."""
    endings = _Line().say(_answer(3, (b"grpc-status", b"8"), (b"grpc-message", b"too%20many")))
    assert endings == {3: Ending(Status.RESOURCE_EXHAUSTED, "too many", (), is_answer=True)}


@pytest.mark.parametrize(
    ("code", "status", "untouched"),
    [
        (ErrorCode.REFUSED_STREAM, Status.UNAVAILABLE, True),
        (ErrorCode.CANCEL, Status.CANCELLED, False),
        (ErrorCode.ENHANCE_YOUR_CALM, Status.RESOURCE_EXHAUSTED, False),
    ],
)
def test_reset_streams(code: ErrorCode, status: Status, untouched: bool) -> None:
    """RST_STREAM promises that nothing was done only where it refuses the stream."""
    endings = _Line().say(frames.rst_stream(1, code))
    assert (endings[1].status, endings[1].is_untouched, endings[1].is_answer) == (status, untouched, False)
    assert 3 not in endings


def test_goaway_ends_what_was_not_looked_at() -> None:
    """Streams above the last are untouched, those below go on, and none is begun any more."""
    line = _Line()
    endings = line.say(frames.goaway(1, ErrorCode.NO_ERROR))
    assert endings.keys() == {3}
    assert endings[3].is_untouched
    assert not line.client.is_usable
    assert line.say(_answer(1, (b"grpc-status", b"0")))[1].status is Status.OK
    assert line.client.transport.is_closing()


def test_lost_connection_promises_nothing() -> None:
    """Calls under way when it breaks may have been done."""
    line = _Line()
    line.server.transport.abort()
    line.pair.run()
    assert [(ending.status, ending.is_untouched) for ending in line.endings.values()] == [
        (Status.UNAVAILABLE, False)
    ] * 2


def test_silence_ends_a_connection() -> None:
    """A server that answers neither calls nor pings is left; one that answers pings is waited for."""
    line = _Line()
    line.pair.run(0.95)
    assert frames.frame(frames.PING, 0, 0, b"anybody?") in line.server.heard
    line.say(frames.frame(frames.PING, frames.ACK, 0, b"anybody?"))
    line.pair.run(1.5)
    assert not line.endings
    line.pair.run(1.5)
    assert line.endings.keys() == {1, 3}
    assert line.pair.strikes["http2.silent"] == 1


@pytest.mark.parametrize(
    ("said", "complaint"),
    [
        (frames.rst_stream(1, ErrorCode.PROTOCOL_ERROR), "PROTOCOL_ERROR"),
        (frames.goaway(3, ErrorCode.COMPRESSION_ERROR, b"why"), "COMPRESSION_ERROR: why"),
        (frames.frame(frames.DATA, 0, 1, bytes(1001)), "more than the stream's window"),
        (frames.frame(frames.DATA, 0, 5, b"x"), "idle"),
        (frames.frame(frames.PUSH_PROMISE, frames.END_HEADERS, 1, bytes(4)), "kind 5"),
    ],
)
def test_broken_rules_are_noticed(said: bytes, complaint: str) -> None:
    """What no server may send to a client that keeps to the RFC is a violation."""
    line = _Line()
    with pytest.raises(PropertyBroken) as broken:
        line.client.data_received(said)
    assert complaint in broken.value.violation.sentence


# -- schedules ---------------------------------------------------------------------------------------------------------


def test_old_schedules_call_directly(tmp_path: Any) -> None:
    """A file that does not name the protocol means none, and one that does keeps it."""
    (tmp_path / "old.json").write_text('{"settings": {"servers": 3}}')
    assert read_schedule(tmp_path / "old.json").settings.client_protocol == "direct"
    write_schedule(_over_http2(), tmp_path / "new.json")
    assert read_schedule(tmp_path / "new.json").settings.client_protocol == "http2"


def test_seeds_draw_the_protocol_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """About a tenth of the seeds have connections, none where a disk forgets; all else is drawn as without."""
    seeds = range(300)
    drawn = [generate(seed) for seed in seeds]
    over = [schedule for schedule in drawn if schedule.settings.client_protocol == "http2"]
    assert len(seeds) * 0.05 < len(over) < len(seeds) * 0.15
    assert "contained" not in {schedule.settings.mode for schedule in over}
    monkeypatch.setattr(importlib.import_module("oarlock.sim.generate"), "_HTTP2_SHARE", 0.0)
    for schedule in over:
        without = generate(schedule.seed)
        assert msgspec.structs.replace(schedule.settings, client_protocol="direct") == without.settings
        assert schedule.operations == without.operations
        assert [each for each in schedule.faults if each in without.faults] == list(without.faults)


def test_answered_calls_count_as_answered() -> None:
    """What comes back over a connection is what a handler gave."""
    assert {outcome for outcome, _ in _outcomes(_over_http2(seconds=1.5))} == {OK}
