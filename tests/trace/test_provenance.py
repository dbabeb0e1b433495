"""Explanations are chains of what was read: short, complete, and honest about what is not known."""

import pytest
from tests.trace.test_recorder import storm
from tests.trace.traced_cluster import HEADER, TracedCluster

from oarlock.trace.loaded import Trace
from oarlock.trace.provenance import Explanation, why
from oarlock.trace.schema import Event, Kind, parse_id, sent_id


def _busy_trace(size: int, seed: int = 1, proposals: int = 60) -> Trace:
    cluster = TracedCluster(size, seed)
    cluster.elect()
    for _ in range(proposals):
        cluster.propose()
        cluster.run_for(0.03)
    return Trace(HEADER, cluster.events)


def _commits(trace: Trace) -> list[Event]:
    return [event for event in trace.events if "L-4" in event.r]


def _happened_before(trace: Trace, event: Event) -> int:
    """How many events happened before one: the previous in its lane, and the message's `send`, for ever on."""
    previous: dict[str, str] = {}
    last: dict[str, str] = {}
    for each in trace.events:
        lane = parse_id(each.id).lane
        if lane in last:
            previous[each.id] = last[lane]
        last[lane] = each.id
    seen: set[str] = set()
    stack = [event.id]
    while stack:
        each = stack.pop()
        if each in seen:
            continue
        seen.add(each)
        found = trace.find(each)
        if each in previous:
            stack.append(previous[each])
        if found is not None and found.k is Kind.RECV:
            stack.append(sent_id(found.m))
    return len(seen)


def _kinds(explanation: Explanation) -> set[tuple[str, str]]:
    return {(step.event.k.value, rule) for step in explanation.steps for rule in step.rules}


def test_commit_is_explained_in_about_twenty_events() -> None:
    """With three servers a commit takes at most 40 nodes however long the run; its causal past is nearly all of it."""
    trace = _busy_trace(3)
    commits = _commits(trace)
    sizes = [len(why(trace, event.id, "commit")) for event in commits]
    assert max(sizes) <= 40
    assert sizes[len(sizes) // 2] == sizes[-1]
    assert _happened_before(trace, commits[-1]) > 0.8 * trace.position(commits[-1].id)


def test_commit_is_explained_whole() -> None:
    """The proposal, the append, its acceptance, both syncs, the election with its votes, and the timeout are there."""
    trace = _busy_trace(3)
    commit = _commits(trace)[-1]
    explanation = why(trace, commit.id, "commit")
    assert explanation.steps[0].event is commit
    assert _kinds(explanation) >= {
        ("recv", "L-4"),
        ("recv", "L-3a"),
        ("client", "L-2"),
        ("ready", "L-3"),
        ("recv", "AE-4"),
        ("recv", "C-2"),
        ("recv", "RV-2"),
        ("recv", "PV-3"),
        ("recv", "PV-2"),
        ("timer", "F-2"),
    }
    syncs = {parse_id(step.event.id).lane for step in explanation.steps if step.event.k is Kind.FSYNC}
    assert len(syncs) == 2
    assert [each.variable.partition(".")[0] for each in explanation.collapsed if "AE-2" in each.sentence] == ["prefix"]
    assert not explanation.unresolved
    assert not explanation.truncated


def test_every_reason_is_a_step_or_said_not_to_be() -> None:
    """No chain ends without a word: each reason leads to a step, is collapsed, or is unresolved."""
    cluster = TracedCluster(3, 4, faults=True)
    storm(cluster, turns=40)
    trace = Trace(HEADER, cluster.events)
    for commit in _commits(trace):
        explanation = why(trace, commit.id, "commit")
        steps = {step.event.id for step in explanation.steps}
        collapsed = {"prefix", "last", "next", "timer", "leader", "term"}
        for step in explanation.steps:
            for because in step.because:
                head = because.variable.partition(".")[0]
                assert sent_id(because.event_id) in steps or head in collapsed or because in explanation.unresolved
        assert len(explanation) <= 40


def test_followers_commit_leads_to_the_leaders() -> None:
    """A follower committed because the leader had, and said so."""
    trace = _busy_trace(3)
    followed = next(event for event in reversed(trace.events) if "AE-5" in event.r)
    explanation = why(trace, followed.id, "commit")
    assert {("recv", "AE-5"), ("recv", "L-4")} <= _kinds(explanation)
    assert len(explanation) <= 40


def test_only_what_was_asked_is_followed() -> None:
    """Of an event that did several things, the rules that wrote the variable asked about are shown, and no more."""
    trace = _busy_trace(3)
    commit = _commits(trace)[-1]
    peer = commit.src
    explanation = why(trace, commit.id, f"match.{peer}")
    assert explanation.steps[0].rules == ["L-3a"]
    assert len(explanation) < len(why(trace, commit.id, "commit"))


def test_what_a_reply_does_not_rest_on_is_left_out() -> None:
    """An append that also told of an earlier commit is a reason for its entries alone: else all commits were one chain."""
    cluster = TracedCluster(3, 1)
    cluster.elect()
    for _ in range(30):
        cluster.propose()
        cluster.run_for(0.001)
    cluster.run_for(0.5)
    trace = Trace(HEADER, cluster.events)
    assert any({"AE-4", "AE-5"} <= set(event.r) for event in trace.events)
    for commit in _commits(trace):
        assert f"match.{commit.src}" not in commit.rd, "what the event itself wrote is no read"
        explanation = why(trace, commit.id, "commit")
        assert not [step.event.id for step in explanation.steps if "AE-5" in step.rules]
        assert len([step for step in explanation.steps if "L-4" in step.rules]) == 1
        assert len(explanation) <= 40


def test_missing_records_are_unresolved() -> None:
    """Where a server's file is missing the explanation says which event it lacks, and guesses nothing."""
    trace = _busy_trace(3)
    commit = _commits(trace)[-1]
    lane = commit.src
    partial = Trace(HEADER, [event for event in trace.events if parse_id(event.id).lane != lane])
    explanation = why(partial, commit.id, "commit")
    assert explanation.unresolved
    assert {parse_id(each.event_id).lane for each in explanation.unresolved} == {lane}


def test_explanations_are_bounded() -> None:
    """A limit on steps is kept, and said; an event that is not there is an error."""
    trace = _busy_trace(3, proposals=3)
    explanation = why(trace, _commits(trace)[-1].id, max_steps=5)
    assert len(explanation.steps) == 5
    assert explanation.truncated
    with pytest.raises(KeyError):
        why(trace, "n1.1.999999")


def test_vote_lost_in_a_crash_is_traced_to_the_life_before() -> None:
    """What a restart recovered keeps its writer: the vote is explained by the event that gave it."""
    cluster = TracedCluster(3, 1)
    leader = cluster.elect()
    voter = next(each.id for each in cluster.live if each.id != leader.id)
    cluster.crash(voter)
    cluster.restart(voter)
    trace = Trace(HEADER, cluster.events)
    restart = next(event for event in reversed(trace.events) if event.k is Kind.RESTART)
    voted = trace.find(restart.rd["vote"])
    assert voted is not None
    assert "RV-2" in voted.r
    assert parse_id(voted.id).epoch == 1
    assert "RV-2" in {rule for step in why(trace, restart.id, "vote").steps for rule in step.rules}
