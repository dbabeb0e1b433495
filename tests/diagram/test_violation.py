"""Steps that the rules do not allow are found and none else; violations are explained from them."""

import re
from pathlib import Path

import pytest
from tests.diagram.conftest import OpenPage, bytes_of
from tests.support.broken_runs import broken_run

from oarlock.check.invariants import PROPERTIES as CHECKED
from oarlock.cli.trace import trace as trace_command
from oarlock.diagram import faults
from oarlock.diagram.audit import audit
from oarlock.diagram.diff import Difference
from oarlock.diagram.faults import RULE_OF, SIGNS
from oarlock.diagram.page import page as page_of
from oarlock.diagram.properties import PROPERTIES
from oarlock.diagram.violation import ALLOWED, PARTED, UNTOLD, violations
from oarlock.raft.rules import RULES
from oarlock.sim.generate import generate
from oarlock.sim.run import record_schedule
from oarlock.trace.loaded import Trace
from oarlock.trace.schema import Event, Header, Kind
from oarlock.zoo.catalogue import MUTANTS
from oarlock.zoo.core.run import run_seed
from oarlock.zoo.core.trail import recorded

BUGS = {
    "votes-twice": "changed-vote",
    "refusals-count-as-votes": "no-majority-elected",
    "one-copy-commits": "counted-no-majority",
    "counts-older-terms": "counted-older-term",
    "always-truncates": "rewrote-held",
    "applies-before-the-disk": "handed-before-disk",
    "hands-out-twice": "handed-unnoted",
    "heartbeat-skips-check": "agreed-on-mismatch",
    "match-from-todays-next": "match-beyond-reply",
    "term-adopted-afterwards": "adopted-late",
    "votes-for-nobody": "no-own-vote",
    "acknowledges-before-the-disk": "acknowledged-before-disk",
    "votes-before-the-disk": "term-before-disk",
    "reads-where-it-is": "read-where-it-is",
}
"""Mutants, with the first step of theirs that must be found wrong."""
IN_SCENES = {
    ("asks-only-one", "all_start_together"): "asked-too-few",
    ("campaign-leaves-timer-alone", "all_start_together"): "timer-not-reset",
    ("candidate-follows-nobody", "two_campaign_in_one_term"): "did-not-follow",
    ("candidate-waits-for-ever", "a_stale_log_campaigns"): "slept-as-candidate",
    ("heartbeats-are-not-answered", "two_campaign_in_one_term"): "left-unanswered",
    ("retries-the-same", "a_stale_log_campaigns"): "did-not-step-back",
    ("drops-the-suffix", "a_snapshot_comes_late"): "dropped-agreeing-log",
    ("every-chunk-is-the-first", "one_snapshot_is_enough"): "sent-old-part",
    ("empty-message-commits-nothing", "the_deposed_leader_sends_a_snapshot"): "commit-not-raised",
}
"""The same for bugs that a scene shows."""
SILENT = ("no-no-op", "all_start_together")
"""A bug of which every step is allowed."""


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


@pytest.mark.parametrize(("bug", "scene"), [*((bug, "") for bug in BUGS), *IN_SCENES])
def test_the_bug_is_what_is_found_first(bug: str, scene: str) -> None:
    """The first step found wrong is what the bug does, and the explanation names it with its event and its rule."""
    run = broken_run(bug, scene)
    (found,) = violations(run)
    first = audit(run)[0]
    assert first.kind == (IN_SCENES[bug, scene] if scene else BUGS[bug])
    assert found.rule == first.rule
    assert first.rule in MUTANTS[bug].breaks
    assert found.first_divergence is not None
    assert found.first_divergence.event_id == first.event_id
    assert first.event_id in found.sentence
    assert found.lesson
    assert found.tree is not None
    assert found.tree.steps[0].event.id == found.asked.partition(":")[0]


def test_what_was_missing_is_said_of_what_did_not_happen() -> None:
    """A run without a leader is explained by what kept one from being elected, or from committing."""
    (found,) = violations(broken_run(*SILENT))
    assert found.property == "leader in time"
    assert found.first_divergence is None
    assert found.missing is not None
    assert "is not committed" in found.sentence
    assert found.sentence.endswith(UNTOLD)
    assert "leader in time" not in found.sentence.lower()


def test_beside_the_repaired_run_it_is_said_where_it_began() -> None:
    """Where no step is wrong by itself, or a wrong one comes late, what parts it from the repaired run is named."""
    run = broken_run(*SILENT)
    parted = Difference("", run.events[5].id, "", "server 1 did this.", "server 1 did that.")
    (found,) = violations(run, parted)
    assert found.parted == parted
    assert found.asked == run.events[5].id
    told = f"with the bug, server 1 did this ({run.events[5].id}); repaired, server 1 did that."
    assert found.sentence.endswith(f"{ALLOWED} {told}")
    late = broken_run("commit-index-falls")
    (found,) = violations(late, Difference("", late.events[3].id, "", "it did this.", "it did that."))
    assert f"{PARTED} with the bug, it did this" in found.sentence
    step = audit(late)[0].event_id
    (found,) = violations(late, Difference("", step, "", "it did this.", "it did that."))
    assert PARTED not in found.sentence


def test_every_kind_of_wrong_step_has_its_rule() -> None:
    """Python and page find the same kinds, and of each but of mere signs it is known which rule it goes against."""
    files = {"py": ("audit", "steps", "guards"), "js": ("page/audit", "page/steps", "page/guards")}
    room = Path(faults.__file__).parent
    found = {}
    for ending, names in files.items():
        text = "".join((room / f"{name}.{ending}").read_text() for name in names)
        quoted = {words for words in re.findall(r'"([a-z-]+)"', text) if words in RULE_OF or words in SIGNS}
        added = set(re.findall(r'add\(\s*"([a-z-]+)"', text))
        assert added <= quoted, ending
        found[ending] = quoted
    assert found["py"] == found["js"] == RULE_OF.keys() | SIGNS
    assert not RULE_OF.keys() & SIGNS
    assert set(RULE_OF.values()) <= RULES.keys()


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
    path.write_bytes(bytes_of(run))
    assert trace_command(["why", str(path), "viol"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    for words in ("Election Safety", "first divergence", "changed its vote", "witness", "Why vote at", "majorities"):
        assert words in told, words
    assert trace_command(["check", str(path)]) == 1
    assert "changed its vote" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("bug", "scene"),
    [
        ("refusals-count-as-votes", ""),
        ("always-truncates", ""),
        ("counts-older-terms", ""),
        ("hands-out-twice", ""),
        SILENT,
        *list(IN_SCENES)[3:8:2],
    ],
)
def test_the_page_explains_alike(open_page: OpenPage, tmp_path: Path, bug: str, scene: str) -> None:
    """The page finds the same steps wrong, and explains the violation in the same words with the same tree."""
    run = broken_run(bug, scene)
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
    for name in ("property", "figure3", "means", "lesson", "claim", "sentence", "asked", "rule", "parted"):
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


def test_who_had_to_campaign_is_named(open_page: OpenPage, run: Trace, tmp_path: Path) -> None:
    """Where nobody leads and an election timer ran out long ago, server, time and rule are named; in the page alike."""
    begun = [event for event in run.events if event.t < run.events[0].t + 200_000]
    x = {"property": "leader in time", "sentence": "Not within 5 s"}
    end = Event(id="net.0.99999", t=run.events[0].t + 5_000_000, lc=99999, k=Kind.VIOL, x=x)
    silent = Trace(run.header, [*begun, end])
    (found,) = violations(silent)
    assert found.rule == "F-2"
    assert found.missing is not None
    assert [each.rule for each in found.missing.missing] == ["F-2"] * 3
    assert re.fullmatch(
        r"Not within 5 s\. Nobody leads\. n1 follows in term 0; its election timer ran out at \d\.\d{3} s, "
        r"and it has not campaigned since: F-2 had to act, and did not\.",
        found.sentence,
    )
    path = tmp_path / "silent.html"
    path.write_text(page_of(silent.header, silent.events, title="Silent"), encoding="utf-8")
    page = open_page(path=path)
    told = page.evaluate(
        """async () => {
          const [{ sentence, rule }] = (await import("oarlock/violation.js")).violations(oarlock.run, oarlock.extras);
          return [sentence, rule];
        }"""
    )
    assert told == [found.sentence, found.rule]
