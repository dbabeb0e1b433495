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


def test_nothing_is_printed_unasked() -> None:
    """The package's logger has a handler that does nothing, so Python's last resort prints nothing."""
    assert any(isinstance(one, logging.NullHandler) for one in logging.getLogger("oarlock").handlers)
