"""Deadlines: a tick at the very moment that the core named does what that moment was named for."""

import random

from tests.support.raft_server import leader


def test_a_tick_at_the_stall_deadline_finds_the_disk_stalled() -> None:
    """CQ-4, B4: else a clock that jumps from deadline to deadline would tick at one moment for ever."""
    rng = random.Random(0)
    for _ in range(200):
        stalled = leader(check_quorum=False, election_timeout_ms=rng.randint(500, 3000), asynchronous=True)
        stalled.raft.tick(rng.uniform(0, 100))
        stalled.raft.propose([b"x"])
        stalled.run()
        assert stalled.writing
        while stalled.state.leader is not None:
            before = stalled.raft.election_deadline()
            stalled.raft.tick(before)
            assert stalled.state.leader is None or stalled.raft.election_deadline() > before
        assert "CQ-4" in stalled.rules()


def test_a_disk_that_works_through_a_queue_is_not_stalled() -> None:
    """CQ-4: what counts is the last write done, not the oldest one waiting: a deep queue costs no leadership."""
    busy = leader(check_quorum=False, asynchronous=True)
    start = busy.state.now
    for _ in range(4):
        busy.raft.propose([b"x"])
        busy.run()
    for done in (1, 2, 3):
        busy.raft.tick(start + 0.9 * done)
        assert busy.state.leader is not None
        busy.complete_write()
        busy.run()
    assert len(busy.writing) == 1
    assert busy.raft.election_deadline() == start + 0.9 * 3 + 1.0
    busy.raft.tick(start + 0.9 * 3 + 1.0)
    assert busy.state.leader is None
