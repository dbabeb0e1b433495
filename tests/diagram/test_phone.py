"""The page on a phone: what comes first, and what fingers can do."""

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from tests.diagram.conftest import OpenPage
from tests.diagram.test_page import cursor, settled
from tests.support.broken_runs import broken_run

from oarlock.diagram.page import page as page_of
from oarlock.trace.loaded import Trace

PHONE = {"width": 390, "height": 844}


def tops(page: Page, *selectors: str) -> list[float]:
    """How far down the page each begins."""
    return [
        float(page.locator(each).evaluate("each => each.getBoundingClientRect().top + scrollY")) for each in selectors
    ]


def test_diagram_then_explanation_then_panels(open_page: OpenPage, tmp_path: Path) -> None:
    """The diagram comes first, then the sentence of the selected event, then what does not hold, then the panels."""
    broken = broken_run("votes-twice")
    path = tmp_path / "broken.html"
    path.write_text(page_of(broken.header, broken.events, title="Broken"), encoding="utf-8")
    page = open_page(path=path, **PHONE)
    expect(page.locator("#violations")).to_be_visible()
    order = tops(page, "#top", "#tape", "#scene", "#foot", "#violations", "#tabs", "#panels")
    assert order == sorted(order)
    assert order[3] < PHONE["height"] * 0.85, "the sentence is on the first screen"


@pytest.mark.parametrize("width", [320, 390])
def test_no_view_scrolls_sideways(open_page: OpenPage, width: int) -> None:
    """Whatever view is in front, the page is no wider than the screen."""
    page = open_page(width=width, height=844)
    for tab in page.locator("#tabs [role=tab]").all():
        tab.click()
        settled(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, tab.inner_text()
        assert page.locator("#side").evaluate("side => side.getBoundingClientRect().right") <= width


def test_fingers_step_and_ask(open_page: OpenPage, run: Trace) -> None:
    """Buttons beside the sentence go an event on or back and ask why, and the answer comes into view."""
    page = open_page(f"#e={run.events[40].id}", **PHONE)
    page.get_by_role("button", name="The event after").click()
    settled(page)
    assert cursor(page) == 41
    page.get_by_role("button", name="The event before").click()
    settled(page)
    assert cursor(page) == 40
    page.get_by_role("button", name="Why?").click()
    heading = page.locator("#panel-why h3")
    expect(heading).to_contain_text(run.events[40].id)
    expect(heading).to_be_in_viewport()
    heights = page.eval_on_selector_all("#steps button", "all => all.map(each => each.offsetHeight)")
    assert min(heights) >= 44
