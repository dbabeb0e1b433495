"""Guards that refused something are found, with the harm that they kept away; the page finds the same."""

from functools import cache
from pathlib import Path

import pytest
from playwright.sync_api import expect
from tests.diagram.conftest import OpenPage, bytes_of

from oarlock.cli.trace import trace as trace_command
from oarlock.diagram.near_miss import NearMiss, near_misses
from oarlock.diagram.page import page as page_of
from oarlock.diagram.properties import PROPERTIES
from oarlock.trace.loaded import Trace
from oarlock.trace.schema import Header
from oarlock.zoo.core.run import run_seed
from oarlock.zoo.core.scenes import SCENES
from oarlock.zoo.core.trail import recorded


@cache
def _cores(name: str) -> Trace:
    """A scene, or a seed of cores, recorded."""
    with recorded() as trails:
        if name.isdecimal():
            run_seed(int(name))
        else:
            SCENES[name](1)
    nodes = {f"n{number}": f"server {number}" for number in trails[-1].recorders}
    return Trace(Header(v=1, run=name, kind="sim", nodes=nodes), trails[-1].events)


def _of(found: list[NearMiss], rule: str) -> list[NearMiss]:
    return [each for each in found if each.rule == rule]


@pytest.mark.parametrize(
    ("scene", "rule", "property_", "words"),
    [
        ("6", "L-4", "only the current term is committed", "though a majority holds it"),
        ("a_long_log_of_an_old_term", "RV-2", "leader completeness", "refused its vote"),
        ("votes_come_late", "RV-2", "election safety", "it has voted for"),
        ("a_candidate_of_an_old_term", "RV-1", "election safety", "refused to vote in term"),
        ("the_deposed_leader_hears_nobody", "AE-1", "log matching", "refused entries of term"),
        ("acknowledgements_come_late", "RS-1", "committed on a durable quorum", "ignored a AppendEntriesReply"),
        ("a_disk_is_replaced", "NS-1", "committed on a durable quorum", "did not count the word of"),
        ("a_new_leader_knows_less", "CL-Q2", "reads are linearizable", "before it can serve the read"),
    ],
)
def test_guards_are_seen_at_work(scene: str, rule: str, property_: str, words: str) -> None:
    """Where a scene leads up to harm, the guard that keeps it away is named with what it refused."""
    found = [each for each in _of(near_misses(_cores(scene)), rule) if each.property == property_]
    assert found
    assert any(words in each.sentence for each in found)


def test_figure_8_is_close() -> None:
    """The guard of Figure 8 is told once for an index and term, and as one that was needed."""
    found = _of(near_misses(_cores("6")), "L-4")
    assert found
    assert all(each.is_close for each in found)
    assert len({each.sentence for each in found}) == len(found)


def test_what_a_crash_takes_nobody_was_told_of() -> None:
    """A life that ended with entries or a vote in memory alone is found where the next begins."""
    found = _of(near_misses(_cores("5")), "P-1")
    assert found
    for each in found:
        assert "in memory alone" in each.sentence
        event = _cores("5").find(each.event_id)
        assert event is not None
        assert event.k == "restart"


def test_each_is_of_a_property_that_is_told(run: Trace) -> None:
    """Whatever was kept from falling has words of its own."""
    assert {each.property for each in near_misses(run)} <= PROPERTIES.keys()


def test_terminal_lists_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`trace near-misses` groups by rule, close ones first, and says what would have come of each."""
    run = _cores("6")
    path = tmp_path / "run.jsonl"
    path.write_bytes(bytes_of(run))
    assert trace_command(["near-misses", str(path)]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "did not commit index" in told
    assert "(Figure 8): Leader Completeness" in told
    assert trace_command(["near-misses", str(path), "--rule", "MC-3"]) == 0
    assert "No guard" in capsys.readouterr().out


def test_page_finds_the_same(open_page: OpenPage, run: Trace, tmp_path: Path) -> None:
    """In runs of servers and of cores the page finds the very same, and leads to each."""
    for each in (run, _cores("6"), _cores("5"), _cores("a_disk_is_replaced")):
        path = tmp_path / "run.html"
        path.write_text(page_of(each.header, each.events, title="A run"), encoding="utf-8")
        page = open_page(path=path)
        found = page.evaluate(
            """async () => {
              const { nearMisses } = await import("oarlock/nearmiss.js");
              return nearMisses(oarlock.run, oarlock.extras).map((each) => [each.id, each.rule, each.property, each.sentence, each.harm, each.isClose]);
            }"""
        )
        wanted = near_misses(each)
        assert found == [[one.event_id, one.rule, one.property, one.sentence, one.harm, one.is_close] for one in wanted]
        page.get_by_role("tab", name="Near-misses").click()
        first = page.locator(".nearmisses .event").first
        expect(first).to_be_visible()
        first.click()
        at = page.evaluate("oarlock.run.events[oarlock.store.shared.cursor].id")
        assert at in {one.event_id for one in wanted}
