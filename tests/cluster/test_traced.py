"""`oarlock serve --trace` and `oarlock up --trace`: files of real servers, killed ones among them, that fit together."""

from pathlib import Path

import pytest
from tests.support.grpc_client import Failure
from tests.support.process_cluster import ProcessCluster, ServerProcess, until

from oarlock.etcd.proto.rpc_pb2 import PutRequest
from oarlock.trace.clocks import estimate_clocks
from oarlock.trace.loaded import Trace
from oarlock.trace.merge import Merge
from oarlock.trace.provenance import why
from oarlock.trace.reader import open_trace, parts_of, read_parts
from oarlock.trace.schema import Kind, parse_id
from oarlock.trace.state import Replay

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(120)]


class TracedProcesses(ProcessCluster):
    """Two of three servers record."""

    def start(self, server: ServerProcess) -> None:
        self.flags = [flag for flag in self.flags if not flag.startswith("--trace")]
        if server.name != "s3":
            self.flags.append(f"--trace={self.directory / server.name}.jsonl")
        super().start(server)


async def test_servers_record_and_their_files_are_merged(tmp_path: Path) -> None:
    """Killed or stopped, each traced server leaves a trace; merged they replay, and say which messages they lack."""
    async with TracedProcesses(tmp_path) as cluster:
        for number in range(20):
            answer = await cluster.client(cluster.servers[number % 3]).call("KV.Put", PutRequest(key=b"k", value=b"v"))
            assert not isinstance(answer, Failure), answer
        victim = cluster.servers[0]
        # What is younger than a second may not be written yet.
        await until(lambda: (tmp_path / "s1.jsonl").stat().st_size > 10_000, "the trace is written")
        victim.kill()
        cluster.start(victim)
        await cluster.ready()
        await cluster.agree()
        for server in cluster.servers:
            assert server.terminate() == 0
    series = [parts_of(tmp_path / f"{name}.jsonl") for name in ("s1", "s2")]
    assert [len(parts) for parts in series] == [2, 1], "a trace that lay there is kept"
    with open_trace(series[1][-1]) as reader:
        header = reader.header
    assert (header.kind, header.clock) == ("live", "wall")
    assert set(header.nodes.values()) == {"s1", "s2", "s3"}
    clocks = estimate_clocks(event for parts in series for event in read_parts(parts))
    merge = Merge([read_parts(parts) for parts in series], clocks)
    trace = Trace(header, merge)
    assert merge.forced == 0
    replay = Replay()
    for event in trace.events:
        replay.apply(event)
    names = {name: lane for lane, name in header.nodes.items()}
    assert {parse_id(event.id).lane for event in trace.events} == {names["s1"], names["s2"]}
    assert sum(event.k is Kind.RESTART for event in trace.events) == 3
    for event in trace.events:
        if event.k is Kind.RECV:
            assert (event.m == "") == (event.src == names["s3"])
    commits = [event for event in trace.events if "L-4" in event.r or "AE-5" in event.r]
    assert len(why(trace, commits[-1].id, "commit")) <= 60


async def test_a_trace_that_cannot_be_begun_stops_the_start(tmp_path: Path) -> None:
    """Where the file cannot be is said in one line before anything runs."""
    cluster = ProcessCluster(tmp_path, 1, f"--trace={tmp_path}")
    cluster.start(cluster.servers[0])
    process = cluster.servers[0].process
    assert process is not None
    assert process.wait(timeout=30) == 2
    assert "--trace names a file" in cluster.servers[0].log.read_text()
