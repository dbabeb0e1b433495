"""Settings: what cannot work is refused, with the setting's name."""

import pytest

from oarlock.raft.config import RaftConfig


def test_defaults_work() -> None:
    """Times are given in milliseconds and read in seconds."""
    config = RaftConfig(server_id=1)
    assert (config.election_timeout, config.heartbeat_interval) == (1.0, 0.1)


@pytest.mark.parametrize("server_id", [0, -1, 1 << 64])
def test_a_server_id_is_a_positive_64_bit_integer(server_id: int) -> None:
    """0 means nobody."""
    with pytest.raises(ValueError, match="server_id must be a positive 64-bit integer"):
        RaftConfig(server_id=server_id)


@pytest.mark.parametrize(
    "name",
    [
        "heartbeat_interval_ms",
        "max_inflight_messages",
        "max_inflight_bytes",
        "max_message_bytes",
        "max_uncommitted_bytes",
        "max_pending_reads",
        "snapshot_retry_ms",
    ],
)
@pytest.mark.parametrize("value", [0, -5])
def test_limits_are_positive(name: str, value: int) -> None:
    """A limit of nothing would stop everything, silently."""
    with pytest.raises(ValueError, match=f"{name} must be positive, not {value}"):
        RaftConfig(server_id=1, **{name: value})


def test_elections_wait_for_several_heartbeats() -> None:
    """B2: one lost heartbeat must not start an election."""
    assert RaftConfig(server_id=1, election_timeout_ms=500, heartbeat_interval_ms=100)
    with pytest.raises(ValueError, match="at least 5 times heartbeat_interval_ms, not 499 against 100"):
        RaftConfig(server_id=1, election_timeout_ms=499, heartbeat_interval_ms=100)
