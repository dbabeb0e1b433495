"""What a library node logs can be read by programs, and is silent until somebody asks for it."""

import logging
import time

import pytest
from tests.support.replicated import Register

import oarlock
from oarlock.testing.clusters import cluster, eventually


class Sleeper(Register):
    """Blocks for a while, as no command should."""

    @oarlock.replicated
    def doze(self) -> None:
        """Take longer than is reported."""
        time.sleep(0.02)


async def test_records_carry_fields(caplog: pytest.LogCaptureFixture) -> None:
    """A slow command, a server that joins and one that leads are logged with what they are about as fields, and no token."""
    with caplog.at_level(logging.INFO, "oarlock"):
        async with cluster(1, objects=lambda: [Sleeper()], slow_command_ms=5.0, token="a secret") as servers:
            await servers.objects(0)[0].doze()
            joined = await servers.add()
            await eventually(lambda: any("joins" in one.message for one in caplog.records), "it is logged")
            address, server_id = joined.address, joined.server_id
    [slow, *_] = [vars(one) for one in caplog.records if "doze" in one.getMessage()]
    assert "doze" in slow["command"]
    assert slow["duration_ms"] > 5
    [joins] = [vars(one) for one in caplog.records if "joins" in one.getMessage()]
    assert (joins["address"], joins["server_id"]) == (address, server_id)
    [elected, *_] = [vars(one) for one in caplog.records if "became leader" in one.getMessage()]
    assert (elected["role"], elected["leader_id"]) == ("leader", elected["server_id"])
    assert elected["term"] >= 1
    assert "a secret" not in caplog.text


async def test_records_of_snapshots_and_of_leaving_carry_fields(caplog: pytest.LogCaptureFixture) -> None:
    """A snapshot that is taken or sent, a server that leaves, and why one has ended are logged with fields too."""
    with caplog.at_level(logging.INFO, "oarlock"):
        async with cluster(1, objects=lambda: [Register()], snapshot_count=20, snapshot_tail=0) as servers:
            for _ in range(30):
                await servers.objects(0)[0].add(1)
            await eventually(lambda: any("took snapshot" in one.getMessage() for one in caplog.records), "it is logged")
            joined = await servers.add()
            assert await servers.objects(1)[0].read("get") == 30
            await eventually(lambda: len(servers.nodes[0].status().voters) == 2, "it has a vote")
            server_id = joined.server_id
            await joined.leave()
            servers.nodes.pop(1)
            founder = servers.nodes[0].server_id
    records = [vars(one) | {"text": one.getMessage()} for one in caplog.records]
    took = next(one for one in records if "took snapshot" in one["text"])
    assert (took["server_id"], took["index"] >= 20, took["duration_ms"] >= 0) == (founder, True, True)
    sent = next(one for one in records if "sending snapshot" in one["text"])
    assert (sent["server_id"], sent["to"]) == (founder, server_id)
    restored = next(one for one in records if "restored snapshot" in one["text"])
    assert (restored["server_id"], restored["index"]) == (server_id, sent["index"])
    left = [one for one in records if "has left" in one["text"] or "was removed" in one["text"]]
    assert left
    assert all(one["server_id"] == server_id for one in left)


async def test_records_of_divergence_carry_fields(caplog: pytest.LogCaptureFixture) -> None:
    """A server that is outvoted says where, and that it ends."""
    async with cluster(3, objects=lambda: [Register()], agreement_interval=5) as servers:
        servers.objects(0)[0].drift = 1
        own = servers.nodes[0].server_id
        for _ in range(20):
            await servers.objects(1)[0].add(1)
        await eventually(lambda: servers.nodes[0].ended is not None, "it has ended")
        await servers.nodes[0].stop()
    records = [vars(one) | {"text": one.getMessage()} for one in caplog.records]
    diverged = next(one for one in records if one.get("reason") == "diverged")
    assert (diverged["server_id"], diverged["index"] > 0) == (own, True)
    failed = next(one for one in records if one.get("reason") == "Diverged")
    assert (failed["server_id"], failed["levelname"]) == (own, "CRITICAL")


def test_nothing_is_printed_unasked() -> None:
    """The package's logger has a handler that does nothing, so Python's last resort prints nothing."""
    assert any(isinstance(one, logging.NullHandler) for one in logging.getLogger("oarlock").handlers)
