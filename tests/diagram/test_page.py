"""The page in a real browser: opened from disk, by pointer, by keyboard, by link."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from tests.diagram.conftest import OpenPage

from oarlock.trace.loaded import Trace
from oarlock.trace.schema import parse_id


def cursor(page: Page) -> int:
    return int(page.evaluate("oarlock.store.shared.cursor"))


def settled(page: Page) -> None:
    """Every view has followed the last change."""
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def test_opens_from_disk_with_all_events(open_page: OpenPage, run: Trace) -> None:
    """The page needs nothing but itself, and holds every event of the run."""
    page = open_page()
    expect(page.locator("#facts")).to_contain_text(f"{len(run):,} events")
    assert page.evaluate("oarlock.run.length") == len(run)


@pytest.mark.parametrize("policy", ["worker-src 'none'", "worker-src data:"])
def test_opens_where_workers_are_forbidden(
    browser: Browser, page_file: Path, run: Trace, tmp_path: Path, policy: str
) -> None:
    """Whatever embeds the page may forbid workers: then the page unpacks the run by itself."""
    text = page_file.read_text(encoding="utf-8")
    path = tmp_path / "embedded.html"
    path.write_text(text.replace("connect-src 'self'", f"connect-src 'self'; {policy}", 1), encoding="utf-8")
    page = browser.new_page()
    page.goto(path.as_uri())
    page.wait_for_selector("html[data-ready=true]")
    assert page.evaluate("oarlock.run.length") == len(run)
    page.close()


def test_columns_agree_with_the_trace(open_page: OpenPage, run: Trace) -> None:
    """Messages and how they ended, in the page, are those of the trace."""
    page = open_page()
    ends = page.evaluate("oarlock.run.messages.map((each) => [each.sent, each.end, each.outcome])")
    sends = [position for position, event in enumerate(run.events) if event.k == "send"]
    assert sorted({sent for sent, _, _ in ends if sent >= 0}) == sends
    for sent, end, outcome in ends:
        known = {each.id for each in run.ends_of(run.events[sent].id)} if sent >= 0 else set()
        assert (run.events[end].id in known) if end >= 0 and sent >= 0 else outcome == "unresolved"


def test_keys_move_the_cursor(open_page: OpenPage) -> None:
    """Arrows, jumps and both ends of a message are a key each, and the sentence below follows."""
    page = open_page()
    page.keyboard.press("Home")
    settled(page)
    assert cursor(page) == 0
    page.keyboard.press("ArrowRight")
    settled(page)
    assert cursor(page) == 1
    page.keyboard.press("e")
    settled(page)
    assert page.evaluate("oarlock.run.events[oarlock.store.shared.cursor].w.role[1]") == "leader"
    expect(page.locator("#sentence")).to_contain_text("leads term")
    position = page.evaluate("oarlock.run.messages.find((each) => each.outcome === 'received').sent")
    page.evaluate(f"oarlock.store.goTo({position})")
    page.keyboard.press("m")
    settled(page)
    assert page.evaluate("oarlock.run.events[oarlock.store.shared.cursor].k") == "recv"
    page.keyboard.press("m")
    settled(page)
    assert cursor(page) == position


def test_click_in_the_diagram_selects(open_page: OpenPage) -> None:
    """A click on an event's place puts the cursor there."""
    page = open_page()
    position = page.evaluate("oarlock.run.elections.data[0]")
    page.evaluate("(at) => oarlock.store.set({window: [at - 30, at + 30], cursor: 0})", position)
    settled(page)
    x, y = page.evaluate(
        "(position) => { const frame = oarlock.views.spacetime.frame();"
        " return [frame.x(oarlock.run.lane.data[position]), frame.y(position)]; }",
        position,
    )
    page.locator("#scene canvas").click(position={"x": x, "y": y})
    settled(page)
    assert page.evaluate("oarlock.store.shared.selected") == cursor(page) == position


def test_filter_counts_and_refuses(open_page: OpenPage, run: Trace) -> None:
    """A query keeps exactly the events that match; a word that means nothing is named."""
    page = open_page()
    page.keyboard.press("/")
    page.keyboard.type("rule:L-4 node:n3")
    wanted = sum("L-4" in event.r and "n3" in (parse_id(event.id).lane, event.src, event.to) for event in run.events)
    expect(page.locator(".wrong")).to_have_text(f"{wanted:,} events")
    page.locator("#query").fill("nodes:n3")
    expect(page.locator(".wrong")).to_contain_text('"nodes" is nothing to filter by')


def test_rule_on_the_card_filters(open_page: OpenPage, run: Trace) -> None:
    """The card counts how often each rule acted; a click on one shows only where."""
    page = open_page()
    page.get_by_role("tab", name="Figure 2").click()
    rule = page.locator(".rule", has=page.get_by_text("AE-4", exact=True))
    times = sum(event.r.count("AE-4") for event in run.events)
    expect(rule.locator(".count")).to_have_text(f"\N{MULTIPLICATION SIGN}{times:,}")
    rule.click()
    assert page.evaluate("oarlock.store.shared.query") == "rule:AE-4"


def test_link_shows_what_was_seen(open_page: OpenPage) -> None:
    """The address keeps cursor, window, view and question, and restores them."""
    page = open_page()
    page.keyboard.press("Home")
    page.keyboard.press("c")
    page.keyboard.press("w")
    expect(page).to_have_url(re.compile("view=why.*why=n"))
    again = open_page(page.evaluate("location.hash"))
    settled(again)
    for name in ("cursor", "why", "view"):
        assert again.evaluate(f"oarlock.store.shared.{name}") == page.evaluate(f"oarlock.store.shared.{name}")
    expect(again.locator("#panel-why .whyhead h3")).to_contain_text("Why ")


def test_table_is_the_diagrams_twin(open_page: OpenPage, run: Trace) -> None:
    """Every event is a row with its sentence, the cursor's is seen at once, and the filter holds there too."""
    page = open_page(f"#e={run.events[-20].id}")
    page.get_by_role("tab", name="Events").click()
    settled(page)
    expect(page.locator(".row.current")).to_be_in_viewport()
    assert page.locator(".rows").get_attribute("aria-rowcount") == str(len(run))
    page.locator("#query").fill("kind:crash")
    expect(page.locator(".rows")).to_have_attribute(
        "aria-rowcount", str(sum(event.k == "crash" for event in run.events))
    )
    expect(page.locator(".row .told").first).to_contain_text("crashed")


def test_small_screens_show_everything(open_page: OpenPage) -> None:
    """On a phone nothing is wider than the screen, and buttons are large enough to touch."""
    page = open_page(width=390, height=844)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    heights = page.eval_on_selector_all("#tabs button, #jumps button", "all => all.map(each => each.offsetHeight)")
    assert min(heights) >= 44
