"""What a recorder writes is what happened."""

import ast
from collections.abc import Callable

import pytest
from tests.support.raft_server import server
from tests.support.source_tree import calls, modules
from tests.trace.traced_cluster import HEADER, TracedCluster, real_state, shown_state

from oarlock.raft.rules import RULES
from oarlock.raft.state import NotLeader
from oarlock.raft.types import EntryKind
from oarlock.trace.attach import attach
from oarlock.trace.flows import FLOWS, MESSAGES, PER_SERVER
from oarlock.trace.loaded import Trace
from oarlock.trace.payloads import Payloads
from oarlock.trace.recorder import Recorder
from oarlock.trace.schema import Event, Kind, encode, parse_id, sent_id, server_name
from oarlock.trace.state import Replay, states_at
from oarlock.trace.watch import SCALARS


def storm(cluster: TracedCluster, *, turns: int = 60) -> None:
    """Proposals, reads, crashes, cuts, compaction, changes of members and of leaders, then peace."""
    rng = cluster.rng
    for _ in range(turns):
        cluster.run_for(rng.uniform(0.01, 0.4))
        chance = rng.random()
        alive = [each.id for each in cluster.live]
        if chance < 0.4:
            cluster.propose()
        elif chance < 0.5:
            cluster.read(rng.choice(alive))
        elif chance < 0.6 and len(alive) == len(cluster.servers):
            cluster.crash(rng.choice(alive))
        elif chance < 0.7:
            for server_id in sorted(cluster.down):
                cluster.restart(server_id)
        elif chance < 0.78:
            cluster.isolate(rng.choice(alive))
        elif chance < 0.86:
            cluster.heal()
        elif chance < 0.94:
            for each in cluster.live:
                each.compact()
        elif chance < 0.97:
            cluster.transfer(rng.choice(alive))
        else:
            cluster.change_membership(rng.sample(sorted(cluster.servers), 2))
    cluster.end_faults()
    cluster.elect()
    cluster.run_for(1)


def check_states(cluster: TracedCluster) -> Callable[[], None]:
    """Compare every whole state that is recorded with the core's own, at that moment; and the last one, when asked."""
    replay = Replay()
    compared = []

    def sink(event: Event) -> bool:
        cluster.events.append(event)
        replay.apply(event)
        lane = parse_id(event.id).lane
        if event.k is Kind.KEY and event.s is not None:
            for each in cluster.servers.values():
                if server_name(each.id) == lane:
                    assert shown_state(event.s) == real_state(each)
                    compared.append(event.id)
        return True

    cluster._keep_as(sink)

    def at_the_end() -> None:
        assert compared
        for each in cluster.servers.values():
            assert shown_state(replay.states[server_name(each.id)]) == real_state(each)

    return at_the_end


@pytest.mark.parametrize("seed", range(3))
def test_states_are_rebuilt_from_changes(seed: int) -> None:
    """Changes alone lead from each whole state to the next, and to the real state, under every fault."""
    cluster = TracedCluster(3, seed, faults=True, keyframe_every=64)
    at_the_end = check_states(cluster)
    storm(cluster)
    at_the_end()
    trace = Trace(HEADER, cluster.events)
    replay = Replay()
    for position, event in enumerate(trace.events):
        replay.apply(event)
        if position % 97 == 0:
            sought = states_at(trace, position)
            assert (sought.states, sought.down) == (replay.states, replay.down)
    assert {event.k for event in trace.events} >= {Kind.CRASH, Kind.DROP, Kind.DUP, Kind.PART, Kind.HEAL, Kind.KEY}


def test_truncation_is_recorded() -> None:
    """An overwritten tail is cut off in the trace, by state, by writer and by payload."""
    cluster = TracedCluster(3, 1)
    leader = cluster.elect()
    cluster.converge()
    cluster.isolate(leader.id)
    for _ in range(3):
        leader.raft.propose([b"never committed"])
    cluster.carry_out(leader)
    cluster.run_until(lambda: cluster.leader is not leader and cluster.leader is not None)
    cluster.propose()
    cluster.heal()
    cluster.converge()
    name = server_name(leader.id)
    (cut,) = [event for event in cluster.events if event.w and event.w.log and event.w.log.trunc]
    assert parse_id(cut.id).lane == name
    assert "AE-3" in cut.r
    replay = Replay()
    for event in cluster.events:
        replay.apply(event)
    assert shown_state(replay.states[name]) == real_state(leader)
    assert shown_state(cluster.recorders[leader.id].state()) == real_state(leader)
    assert cut.w is not None
    assert cut.w.log is not None
    index = cut.w.log.trunc
    rows = {row for event in cluster.events if event.w and event.w.log for row in event.w.log.app if row[0] == index}
    assert len(rows) == 2
    assert cluster.recorders[leader.id].last_writer(f"log.{index}") == cut.id
    assert cut.w.log.app[0] == Payloads().row(leader.state.log.entry(index))


def test_run_is_recorded_the_same_twice() -> None:
    """One seed gives one trace, byte for byte."""
    lines = []
    for _ in range(2):
        cluster = TracedCluster(3, 7, faults=True)
        storm(cluster, turns=20)
        lines.append(b"".join(map(encode, cluster.events)))
    assert lines[0] == lines[1]


def test_recording_changes_nothing() -> None:
    """The cluster goes the same way whether it is recorded or not."""
    ends = []
    for cluster in (TracedCluster(3, 3, faults=True), TracedCluster(3, 3, faults=True, sink=lambda event: False)):
        storm(cluster, turns=20)
        ends.append([(each.facts(), each.fired) for each in cluster.servers.values()])
    assert ends[0] == ends[1]


def test_every_message_is_known_to_its_receiver() -> None:
    """Each `recv` names its `send`, which is earlier, has a lower Lamport clock, and went that way; copies are told."""
    cluster = TracedCluster(3, 2, faults=True)
    storm(cluster, turns=60)
    trace = Trace(HEADER, cluster.events)
    copies = 0
    for position, event in enumerate(trace.events):
        if event.k is not Kind.RECV:
            continue
        sent = trace.find(event.m)
        assert sent is not None
        assert sent.k is Kind.SEND
        assert trace.position(sent.id) < position
        assert sent.lc < event.lc
        assert (sent.src, sent.to) == (event.src, event.to)
        copies += event.m != sent_id(event.m)
    assert copies
    assert {event.cause for event in trace.events if event.k is Kind.DROP} == {"lost", "dst_down", "partition"}


def test_lanes_are_numbered_and_reads_are_earlier() -> None:
    """Ids rise by one in each life, Lamport clocks rise, and what was read had been written before."""
    cluster = TracedCluster(3, 5, faults=True)
    storm(cluster, turns=30)
    trace = Trace(HEADER, cluster.events)
    last: dict[str, Event] = {}
    for position, event in enumerate(trace.events):
        lane, epoch, number = parse_id(event.id)
        before = last.get(lane)
        if before is not None:
            assert event.lc > before.lc
            same_life = parse_id(before.id).epoch == epoch
            assert number == (parse_id(before.id).number + 1 if same_life else 1)
        last[lane] = event
        for writer in event.rd.values():
            assert trace.position(writer) < position
        if event.k is Kind.SEND:
            assert trace.position(event.by) < position


def test_reply_that_waited_for_the_disk_names_the_sync() -> None:
    """A vote leaves after the sync that made it durable, and reads it."""
    cluster = TracedCluster(3, 1)
    cluster.elect()
    trace = Trace(HEADER, cluster.events)
    votes = [event for event in trace.events if event.x.get("type") == "RequestVoteReply" and event.k is Kind.SEND]
    assert votes
    for vote in votes:
        sync = trace.find(vote.rd["disk"])
        assert sync is not None
        assert sync.k is Kind.FSYNC
        written = trace.find(sync.rd["write"])
        assert written is not None
        assert written.x["write"]["hard_state"] == [1, vote.to]
    waited = [event for event in trace.events if event.x.get("match_index") and "disk" in event.rd]
    assert waited
    assert not any("durable" in event.rd for event in waited), "what was durable before is no reason for these"


def test_payloads_are_hashed_unless_asked_otherwise() -> None:
    """What clients wrote is nowhere in a trace by default; kinds and equality are."""
    cluster = TracedCluster(3, 1)
    cluster.elect()
    leader = cluster.leader
    assert leader is not None
    leader.raft.propose([b"a secret of some length", b"a secret of some length"])
    cluster.carry_out(leader)
    cluster.run_for(0.5)
    text = b"".join(map(encode, cluster.events))
    assert b"secret" not in text
    rows = [row for event in cluster.events if event.w and event.w.log for row in event.w.log.app]
    hashes = {row[3] for row in rows if row[2] == EntryKind.COMMAND}
    assert len(hashes) == 1
    (shown,) = hashes
    assert shown is not None
    assert len(shown) == 16
    assert Payloads("omitted").show(b"x") is None
    assert Payloads("verbatim").show(b"x") == "eA=="
    assert Payloads(key=b"k").show(b"x") != Payloads().show(b"x")
    with pytest.raises(ValueError, match="hashed, omitted or verbatim"):
        Payloads("none")


def _recorded(**settings: object):
    events: list[Event] = []

    def sink(event: Event) -> bool:
        events.append(event)
        return True

    core = server(**settings)
    recorder = Recorder(1, 1, sink, lambda: core.state.now)
    attach(recorder, core.raft)
    return core, recorder, events


def test_refusals_are_recorded() -> None:
    """A call that the core refuses is an event with the error, and the caller still gets it."""
    core, _, events = _recorded()
    with pytest.raises(NotLeader):
        core.raft.propose([b"x"])
    assert events[-1].k is Kind.CLIENT
    assert events[-1].x == {"op": "propose", "count": 1, "error": "NotLeader: this server is not the leader"}
    assert events[-1].w is None


def test_broken_invariant_is_a_violation() -> None:
    """A core that finds itself broken leaves a `viol` that names the event."""
    core, _, events = _recorded(log=(1, 1), applied=2, term=1)
    core.state.current_term = 5
    core.state.commit_index = 9
    with pytest.raises(AssertionError):
        core.raft.tick(0.1)
    assert [event.k for event in events[-2:]] == [Kind.TIMER, Kind.VIOL]
    assert events[-1].x["witnesses"] == [events[-2].id]


def test_lost_events_are_announced() -> None:
    """Where the sink had no room the trace has a gap, with its size, and a whole state after it."""
    kept: list[Event] = []
    room = True

    def sink(event: Event) -> bool:
        if room:
            kept.append(event)
        return room

    core = server()
    recorder = Recorder(1, 1, sink, lambda: core.state.now)
    attach(recorder, core.raft)
    room = False
    core.time_out()
    lost = recorder.number - 1
    room = True
    core.raft.tick(core.raft.election_deadline())
    assert [event.k for event in kept] == [Kind.RESTART, Kind.GAP, Kind.TIMER, Kind.KEY]
    assert kept[1].x == {"lost": lost}
    assert lost > 0
    replay = Replay()
    for event in kept:
        replay.apply(event)
    assert shown_state(replay.states["n1"]) == real_state(core)


# -- the tables ----------------------------------------------------------------------------------------------------


def _fire_calls():
    for module in modules():
        if module.room == "raft":
            for name, call in calls(module.tree):
                if name.rpartition(".")[2] == "fire" and call.args:
                    for node in ast.walk(call.args[0]):
                        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in RULES:
                            yield node.value, len(call.args) - 1, f"{module.name}:{call.lineno}"


def test_operands_have_names() -> None:
    """Each rule that the core fires is in the table, with as many names as operands; and none is there without cause."""
    wrong = [
        f"{place}: {rule} has {count} operands"
        for rule, count, place in _fire_calls()
        if rule not in FLOWS or len(FLOWS[rule].operands) != count
    ]
    assert not wrong
    assert FLOWS.keys() <= {rule for rule, _, _ in _fire_calls()}


def test_tables_name_variables_that_exist() -> None:
    """Reads and writes are of variables that are recorded, operands that are there, and fields that messages have."""
    variables = {*SCALARS, *PER_SERVER, "log", "prefix", "last", "base", "disk"}
    fields = {field for flow in MESSAGES.values() for field in flow.fields}
    for rule, flow in FLOWS.items():
        for read in flow.reads:
            head, _, rest = read.partition(".")
            if head == "m":
                assert rest in fields | {"request_id"}, f"{rule}: {read}"
            else:
                assert head in variables, f"{rule}: {read}"
                if rest.startswith("{"):
                    assert int(rest[1 : rest.index("}")]) < len(flow.operands), f"{rule}: {read}"
        assert set(flow.writes) <= variables, rule
    for kind, message in MESSAGES.items():
        assert set(message.rules) <= FLOWS.keys(), kind
        assert {read.partition(".")[0] for reads in message.fields.values() for read in reads} <= variables, kind


def test_rules_write_what_the_table_says() -> None:
    """Whatever an event changed, one of its rules or its kind accounts for."""
    by_kind = {
        Kind.ADVANCE: {"durable"},
        Kind.APPLY: {"applied"},
        Kind.SNAPSHOT: {"snapshot"},
        Kind.TIMER: {"beat", "timer"},  # heartbeats become due; a stalled disk puts an election off
        Kind.RECV: {"votes", "mode", "next", "match", "role"},  # votes counted or lost; a follower found, or removed
        Kind.READY: {"next", "match", "mode"},  # followers that the configuration brought
        Kind.LINK: {"next", "mode"},
    }
    unexplained = set()
    for seed in range(3):
        cluster = TracedCluster(3, seed, faults=True)
        storm(cluster)
        for event in cluster.events:
            if event.w is None:
                continue
            changed = {name for name in event.w.__struct_fields__ if getattr(event.w, name) is not None}
            if event.w.log is not None and event.w.log.base is not None:
                changed.add("base")
            accounted = set(by_kind.get(event.k, ())).union(*(FLOWS[rule].writes for rule in event.r))
            if changed - accounted:
                unexplained.add((event.k, tuple(sorted(changed - accounted)), event.r))
    assert not unexplained
