"""What library nodes record, drawn as any other run."""

from collections import Counter
from pathlib import Path

from tests.support.replicated import Register

from oarlock.cli.recorded import load_recorded
from oarlock.diagram.svg import svg
from oarlock.testing.clusters import cluster
from oarlock.trace.schema import Kind


async def test_a_library_cluster_can_be_drawn(tmp_path: Path) -> None:
    """The files of all servers fit together, and a picture can be made of them."""
    async with cluster(3, objects=lambda: [Register()], directory=tmp_path) as servers:
        for number in range(3):
            await servers.restart(number, trace=tmp_path / f"{number}.trace")
        for number in range(3):
            await servers.objects(number)[0].add(1)
    trace = load_recorded([tmp_path / f"{number}.trace" for number in range(3)])
    kinds = Counter(event.k for event in trace.events)
    assert kinds[Kind.RESTART] == 3
    assert kinds.keys() >= {Kind.SEND, Kind.RECV, Kind.APPLY, Kind.CLIENT}
    assert svg(trace, title="a library cluster").startswith("<svg")
