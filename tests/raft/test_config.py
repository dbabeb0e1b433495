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
        "commit_news_delay_ms",
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


@pytest.mark.parametrize("server_id", [1, (1 << 64) - 1])
def test_every_other_server_id_will_do(server_id: int) -> None:
    """The least and the highest are ids as others are."""
    assert RaftConfig(server_id=server_id).server_id == server_id


def test_the_least_limits_will_do() -> None:
    """A limit of one is tight, but works: it is for who sets it."""
    tight = RaftConfig(
        server_id=1,
        heartbeat_interval_ms=1,
        commit_news_delay_ms=1,
        max_inflight_messages=1,
        max_inflight_bytes=1,
        max_message_bytes=1,
        max_uncommitted_bytes=1,
        max_pending_reads=1,
        snapshot_retry_ms=1,
    )
    assert tight.heartbeat_interval == 0.001


@pytest.mark.parametrize("drift", [-0.01, 1, 1.5])
def test_clocks_must_keep_some_of_the_time(drift: float) -> None:
    """LS-1: a lease is shortened by the drift; by all of it, or made longer, it would be none."""
    with pytest.raises(ValueError, match="max_clock_drift must be at least 0 and below 1, not"):
        RaftConfig(server_id=1, max_clock_drift=drift)
    for sound in (0, 0.99):
        assert RaftConfig(server_id=1, max_clock_drift=sound).max_clock_drift == sound


def test_leases_need_check_quorum() -> None:
    """LS-1, CQ-2: only who refuses votes while a leader is alive can promise it time; leases are asked for."""
    with pytest.raises(ValueError, match="lease_reads needs check_quorum"):
        RaftConfig(server_id=1, lease_reads=True, check_quorum=False)
    assert RaftConfig(server_id=1, lease_reads=True).lease_reads
    assert RaftConfig(server_id=1, check_quorum=False).check_quorum is False


def test_the_safe_way_is_the_default() -> None:
    """PV-1, CQ-1, LS-1: pre-vote and check-quorum are on; leases, which trust clocks, are not."""
    config = RaftConfig(server_id=1)
    assert (config.pre_vote, config.check_quorum, config.lease_reads) == (True, True, False)
