"""Steps that the rules do not allow are found and none else; violations are explained from them."""

from pathlib import Path

import pytest
from tests.diagram.conftest import OpenPage
from tests.support.broken_runs import broken_run

from oarlock.check.invariants import PROPERTIES as CHECKED
from oarlock.cli.trace import trace as trace_command
from oarlock.diagram.audit import audit
from oarlock.diagram.page import page as page_of
from oarlock.diagram.properties import PROPERTIES
from oarlock.diagram.violation import violations
from oarlock.raft.rules import RULES
from oarlock.sim.generate import generate
from oarlock.sim.run import record_schedule
from oarlock.trace.loaded import Trace
from oarlock.trace.schema import Header, encode
from oarlock.zoo.core.run import run_seed
from oarlock.zoo.core.trail import recorded

BUGS = {
    "votes-twice": "changed-vote",
    "refusals-count-as-votes": "no-majority-elected",
    "one-copy-commits": "no-majority-committed",
    "counts-older-terms": "counted-older-term",
    "always-truncates": "cut-committed",
    "acknowledges-before-the-disk": "acknowledged-before-disk",
    "votes-before-the-disk": "term-before-disk",
    "reads-at-what-is-applied": "stale-read",
}
"""Mutants, with the first step of theirs that must be found wrong."""
SCENES = {"no-no-op": "all_start_together", "empty-message-commits-nothing": "the_deposed_leader_sends_a_snapshot"}


@pytest.mark.parametrize("seed", [7, 8, 13, 21])
def test_sound_servers_do_nothing_wrong(seed: int) -> None:
    """In a run of whole servers in which all held, no step is found that the rules do not allow."""
    report, run = record_schedule(generate(seed))
    assert report.ok
    assert audit(run) == []
    assert violations(run) == []


@pytest.mark.parametrize("seed", [1, 4, 10])
def test_sound_cores_do_nothing_wrong(seed: int) -> None:
    """Nor in runs of cores, in which messages are overtaken and members change all the time."""
    with recorded() as trails:
        run_seed(seed)
    run = Trace(Header(v=1, run="core", kind="sim"), trails[0].events)
    assert len(run) > 1000
    assert audit(run) == []


@pytest.mark.parametrize("bug", BUGS)
def test_the_bug_is_what_is_found_first(bug: str) -> None:
    """The first step found wrong is what the bug does, and the explanation names it with its event."""
    run = broken_run(bug)
    (found,) = violations(run)
    first = audit(run)[0]
    assert first.kind == BUGS[bug]
    assert found.first_divergence is not None
    assert found.first_divergence.event_id == first.event_id
    assert first.event_id in found.sentence
    assert found.lesson
    assert found.tree is not None
    assert found.tree.steps[0].event.id == found.asked.partition(":")[0]


def test_what_was_missing_is_said_of_what_did_not_happen() -> None:
    """A run without a leader is explained by what kept one from being elected, or from committing."""
    (found,) = violations(broken_run("no-no-op", SCENES["no-no-op"]))
    assert found.property == "leader in time"
    assert found.first_divergence is None
    assert found.missing is not None
    assert "is not committed" in found.sentence


def test_every_property_is_told() -> None:
    """Whatever the checks of every event can find has words for students, which name rules that exist."""
    assert CHECKED.keys() <= PROPERTIES.keys()
    for name, known in PROPERTIES.items():
        assert known.means.endswith("."), name
        assert known.lesson.endswith("."), name
        assert set(known.rules) <= RULES.keys(), name


def test_terminal_explains(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`trace why RUN viol` and `trace check RUN` name property, first divergence, witnesses and lesson."""
    run = broken_run("votes-twice")
    path = tmp_path / "run.jsonl"
    path.write_bytes(b"".join([encode(run.header), *map(encode, run.events)]))
    assert trace_command(["why", str(path), "viol"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    for words in ("Election Safety", "first divergence", "changed its vote", "witness", "Why vote at", "majorities"):
        assert words in told, words
    assert trace_command(["check", str(path)]) == 1
    assert "changed its vote" in capsys.readouterr().out


@pytest.mark.parametrize(
    "bug",
    ["refusals-count-as-votes", "always-truncates", "counts-older-terms", "no-no-op", "empty-message-commits-nothing"],
)
def test_the_page_explains_alike(open_page: OpenPage, tmp_path: Path, bug: str) -> None:
    """The page finds the same steps wrong, and explains the violation in the same words with the same tree."""
    run = broken_run(bug, SCENES.get(bug, ""))
    path = tmp_path / "run.html"
    path.write_text(page_of(run.header, run.events, title=bug), encoding="utf-8")
    page = open_page(path=path)
    steps, explained = page.evaluate(
        """async () => {
          const { audit } = await import("oarlock/audit.js");
          const { violations } = await import("oarlock/violation.js");
          const found = violations(oarlock.run, oarlock.extras);
          return [audit(oarlock.run, oarlock.extras), found.map((each) => ({ ...each, tree: each.tree && each.tree.steps.map((step) => step.event.id) }))];
        }"""
    )
    wanted = audit(run)
    assert [
        (each["kind"], each["property"], each["id"], each["sentence"], tuple(each["witnesses"])) for each in steps
    ] == [(each.kind, each.property, each.event_id, each.sentence, each.witnesses) for each in wanted]
    (told,), (found,) = explained, violations(run)
    for name in ("property", "figure3", "means", "lesson", "claim", "sentence", "asked"):
        assert told[name] == getattr(found, name), name
    assert [each["id"] for each in told["witnesses"]] == [each.event_id for each in found.witnesses]
    assert [each["sentence"] for each in told["witnesses"]] == [each.sentence for each in found.witnesses]
    assert told["tree"] == (found.tree and [step.event.id for step in found.tree.steps])
    if found.missing is not None:
        assert told["missing"]["missing"] == [
            {"sentence": each.sentence, "id": each.event_id} for each in found.missing.missing
        ]
    banner = page.locator("#violations")
    assert (found.figure3 or found.property) in banner.inner_text()
    if found.first_divergence is not None:
        banner.locator(".places .event").first.click()
        assert page.evaluate("oarlock.run.events[oarlock.store.shared.cursor].id") == found.first_divergence.event_id
    banner.locator(".ask").click()
    page.wait_for_function("oarlock.store.shared.view === 'why'")
