"""Liveness after healing: what is in time, what is late, what is too early to tell."""

import msgspec

from oarlock.check import Limits, LivenessReport, LivenessWatch, Verdict


def watch(**limits: float) -> LivenessWatch:
    """Servers 1 to 3 of 5, healed at 100 s; election timeout 1 s, index 7 committed."""
    return LivenessWatch(
        healed_at=100.0, core={1, 2, 3}, election_timeout=1.0, committed_index=7, limits=Limits(**limits)
    )


def recover(watched: LivenessWatch, leader_at: float = 103, answer_at: float = 104, last_at: float = 105) -> None:
    """All that must happen."""
    watched.sent(90.0, "before")
    watched.leads(leader_at, 2, 9)
    watched.answered(answer_at, "before")
    for server_id in (1, 2, 3):
        watched.applied(last_at, server_id, 8)


def names(report: LivenessReport) -> list[str]:
    """What does not hold."""
    return [violation.name for violation in report.violations]


def test_progress_in_time_passes() -> None:
    """A leader, answers and laggards in time: settled, and the figures are counted from healing."""
    watched = watch()
    assert not watched.is_settled()
    recover(watched)
    assert watched.is_settled()
    report = watched.verdict(106.0)
    assert report.ok
    assert (report.leader_after, report.answered, report.slowest_answer, report.caught_up_after) == (3, 1, 4, 5)
    assert msgspec.json.decode(msgspec.json.encode(report), type=LivenessReport) == report


def test_leader_before_healing_that_stays_is_at_once() -> None:
    """A core that kept its leader has one from the beginning."""
    watched = watch()
    recover(watched, leader_at=50)
    assert watched.verdict(106.0).leader_after == 0


def test_early_is_unknown_and_no_pass() -> None:
    """Before the limits have passed nothing is late, and nothing is shown."""
    watched = watch()
    watched.sent(101.0, 1)
    report = watched.verdict(102.0)
    assert report.verdict is Verdict.UNKNOWN
    assert not report.ok
    for said in ("there is no leader", "1 requests wait", "servers 1, 2, 3 are behind index 7"):
        assert said in report.sentence


def test_each_delay_is_named() -> None:
    """What is late, or never comes, is a violation of its own; only the core counts."""
    watched = watch()
    recover(watched, leader_at=111)
    assert names(watched.verdict(112.0)) == ["leader in time"]
    watched = watch()
    watched.leads(101.0, 5, 9)
    assert "leader in time" in names(watched.verdict(110.5)), "server 5 is outside the core"
    watched = watch()
    recover(watched, answer_at=121)
    assert names(watched.verdict(122.0)) == ["every request is answered"]
    watched = watch()
    recover(watched)
    watched.sent(110.0, "later")
    assert watched.verdict(129.0).verdict is Verdict.UNKNOWN
    assert names(watched.verdict(131.0)) == ["every request is answered"]
    watched = watch()
    recover(watched, last_at=141)
    assert names(watched.verdict(142.0)) == ["laggards catch up"]
    watched = watch()
    watched.applied(101.0, 1, 6)
    assert "laggards catch up" in names(watched.verdict(141.0)), "index 6 is not 7"


def test_endless_elections_are_a_livelock() -> None:
    """Leaders that follow each other without end are no progress, even if each commits."""
    watched = watch(leaders=2)
    recover(watched)
    for term in (10, 11):
        watched.leads(103.0 + term, 1, term)
    assert names(watched.verdict(120.0)) == ["leadership settles"]


def test_deadline_covers_every_limit() -> None:
    """At the deadline nothing can be too early to tell any more."""
    watched = watch()
    assert watched.deadline() == 140.0
    watched.sent(130.0, "late")
    assert watched.deadline() == 150.0
    assert watched.verdict(watched.deadline() + 0.001).verdict is Verdict.VIOLATED
