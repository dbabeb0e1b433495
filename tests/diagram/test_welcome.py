"""The first steps are shown once, and only to people."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect
from tests.diagram.conftest import OpenPage

AS_A_PERSON = "Object.defineProperty(Navigator.prototype, 'webdriver', { get: () => false });"
KEEPS_NOTHING = (
    "Object.defineProperty(window, 'localStorage', { get() { throw new DOMException('denied', 'SecurityError'); } });"
)


@pytest.fixture
def visitor(browser: Browser) -> Iterator[BrowserContext]:
    """A person's browser that has never seen such a page; what its pages complain of fails the test."""
    context = browser.new_context(viewport={"width": 1400, "height": 860})
    context.add_init_script(AS_A_PERSON)
    complaints: list[str] = []
    context.on("weberror", lambda error: complaints.append(str(error.error)))
    yield context
    context.close()
    assert not complaints


def visit(context: BrowserContext, file: Path) -> Page:
    page = context.new_page()
    page.goto(file.as_uri())
    page.wait_for_selector("html[data-ready=true]")
    return page


def test_what_was_closed_does_not_come_back(visitor: BrowserContext, page_file: Path) -> None:
    """The first visit has three steps; closed, they stay away from this page and from others, opened from disk."""
    page = visit(visitor, page_file)
    steps = page.locator("#welcome")
    expect(steps.locator("li")).to_have_count(3)
    page.keyboard.press("e")
    expect(steps).to_be_visible()
    steps.get_by_role("button", name="Got it").click()
    expect(steps).to_have_count(0)
    page.reload()
    page.wait_for_selector("html[data-ready=true]")
    expect(page.locator("#welcome")).to_have_count(0)
    expect(visit(visitor, page_file).locator("#welcome")).to_have_count(0)


def test_works_where_nothing_can_be_kept(visitor: BrowserContext, page_file: Path) -> None:
    """A browser that refuses to keep anything shows the steps, and closes them for this time."""
    visitor.add_init_script(KEEPS_NOTHING)
    page = visit(visitor, page_file)
    page.locator("#welcome").get_by_role("button").click()
    expect(page.locator("#welcome")).to_have_count(0)
    assert page.evaluate("oarlock.run.length") > 0


def test_programs_see_the_run_alone(open_page: OpenPage) -> None:
    """A browser that a program drives, as for pictures, gets no steps."""
    expect(open_page().locator("#welcome")).to_have_count(0)
