"""A state machine on disk: durable by itself, streamed in snapshots, larger than memory if need be."""

import asyncio
import io
import random
from pathlib import Path
from typing import Any

import pytest

import oarlock
from oarlock.machine.interface import FlushPostponed
from oarlock.replica.table import Table
from oarlock.testing.clusters import cluster, eventually


class Files(oarlock.DiskStateMachine):
    """Files by name."""

    def apply(self, command: Any, context: oarlock.Context) -> Any:
        name, content = command
        former = self.table.get(name.encode())
        if content is None:
            self.table.delete(name.encode())
        else:
            self.table.put(name.encode(), content)
        return former

    def names(self) -> list[str]:
        return [key.decode() for key, _ in self.table.items()]


async def test_a_table_is_replicated_and_comes_back(tmp_path: Path) -> None:
    """Every server has it; a restart goes on from the last flush, and knows what was applied before."""
    machines: list[Files] = []

    def make() -> Files:
        machines.append(Files())
        return machines[-1]

    async with cluster(3, machine=make, directory=tmp_path) as servers:
        for number in range(20):
            await servers.nodes[number % 3].propose([f"file{number:02d}", b"x" * 100])
        assert await servers.nodes[0].propose(["file00", None]) == b"x" * 100
        expected = [f"file{number:02d}" for number in range(1, 20)]
        for number in range(3):
            assert await servers.nodes[number].read(machines[number].names) == expected
        await servers.restart(1)
        assert await servers.nodes[1].read(machines[-1].names) == expected
        session = await servers.nodes[1].open_session()
        assert await session.propose(["a", b"1"], serial=1) is None
        assert await session.propose(["a", b"1"], serial=1) is None
        await servers.restart(1)
        again = servers.nodes[1].session(session.id)
        assert await again.propose(["a", b"2"], serial=1) is None
        assert await servers.nodes[1].propose(["a", None]) == b"1"


async def test_a_server_that_was_away_is_sent_the_table(tmp_path: Path) -> None:
    """The snapshot is streamed from a view while commands go on, and replaces the table as a whole."""
    settings = {"snapshot_count": 40, "snapshot_tail": 5}
    machines: list[Files] = []

    def make() -> Files:
        machines.append(Files())
        return machines[-1]

    async with cluster(3, machine=make, directory=tmp_path, **settings) as servers:
        follower = await servers.follower()
        await servers.nodes[follower].propose(["gone", b"1"])
        await servers.stop(follower)
        leader = await servers.leader()
        node = servers.nodes[leader]
        await node.propose(["gone", None])
        for first in range(0, 100, 2):
            await asyncio.gather(*(node.propose([f"file{first + more:03d}", b"y" * 20_000]) for more in range(2)))
        await eventually(lambda: node.status().first_index > 40, "the log is cut")
        await servers.start(follower)
        assert await servers.nodes[follower].read(machines[-1].names) == [f"file{number:03d}" for number in range(100)]


def test_a_table_is_what_a_dictionary_would_be(tmp_path: Path) -> None:
    """Layers, flushes that succeed or fail, views and whole new contents show the same as a plain mapping."""
    rng = random.Random(7)
    table, model = Table(tmp_path / "table", map_bytes=1 << 24), dict[bytes, bytes]()
    flush = None
    for step in range(600):
        key = b"%d" % rng.randrange(40)
        match rng.choice(("put", "put", "delete", "flush", "end", "check", "copy")):
            case "put":
                table.put(key, model.setdefault(key, b"") + b"%d," % step)
                model[key] += b"%d," % step
            case "delete":
                table.delete(key)
                model.pop(key, None)
            case "flush" if flush is None:
                flush = table.begin_flush({b"step": b"%d" % step})
            case "end" if flush is not None:
                if rng.random() < 0.8:
                    flush.run()
                    flush.finish()
                else:
                    flush.abandon()
                flush = None
            case "check":
                assert table.get(key) == model.get(key)
                assert list(table.items(b"2", b"3")) == sorted(item for item in model.items() if b"2" <= item[0] < b"3")
            case "copy" if flush is None and rng.random() < 0.2:
                out = io.BytesIO()
                view = table.view()
                table.put(b"later", b"not in the view")
                view.write(out)
                view.close()
                out.seek(0)
                table.build(out, {b"step": b"built"})
                table.switch()
                assert table.meta(b"step") == b"built"
        assert list(table.items()) == sorted(model.items())
    table.close()


def test_a_damaged_image_leaves_the_table_as_it_was(tmp_path: Path) -> None:
    """An image that ends too soon is refused, and what was there counts, after a restart too."""
    table = Table(tmp_path, map_bytes=1 << 24)
    table.put(b"a", b"1")
    flush = table.begin_flush({})
    assert flush is not None
    flush.run()
    flush.finish()
    out = io.BytesIO()
    table.view().write(out)
    with pytest.raises(ValueError, match="ends"):
        table.build(io.BytesIO(out.getvalue()[:-4]), {})
    assert table.get(b"a") == b"1"
    table.close()
    table = Table(tmp_path, map_bytes=1 << 24)
    assert list(table.items()) == [(b"a", b"1")]
    with pytest.raises(ValueError, match="1 to 500 bytes"):
        table.put(b"", b"")
    table.close()


def test_a_full_table_postpones_the_flush(tmp_path: Path) -> None:
    """What finds no room stays in memory, and in the log."""
    table = Table(tmp_path, map_bytes=1 << 16)
    table.put(b"a", bytes(1 << 17))
    flush = table.begin_flush({})
    assert flush is not None
    with pytest.raises(FlushPostponed):
        flush.run()
    flush.abandon()
    assert table.get(b"a") == bytes(1 << 17)
    table.close()
