"""The tabs by keyboard and for screen readers, as WAI-ARIA's pattern has them."""

from playwright.sync_api import Page, expect
from tests.diagram.conftest import OpenPage
from tests.diagram.test_page import cursor, settled


def chosen(page: Page) -> str:
    """The name of the tab that is chosen; there is one, and only it can be reached by the Tab key."""
    settled(page)
    tabs = page.eval_on_selector_all(
        "#tabs [role=tab]",
        "all => all.map(each => [each.textContent, each.getAttribute('aria-selected'), each.tabIndex])",
    )
    (name,) = [name for name, is_selected, _ in tabs if is_selected == "true"]
    assert {name: index for name, _, index in tabs} == {each: 0 if each == name else -1 for each, _, _ in tabs}
    return str(name)


def test_arrows_move_along_the_tabs(open_page: OpenPage) -> None:
    """Arrows go to the neighbours and around, Home and End to the ends, the focus goes along, and the cursor stays."""
    page = open_page()
    names = page.locator("#tabs [role=tab]").all_inner_texts()
    assert chosen(page) == names[0]
    page.locator("#tabs [aria-selected=true]").focus()
    at = cursor(page)
    for key, wanted in (
        ("ArrowRight", names[1]),
        ("ArrowRight", names[2]),
        ("ArrowLeft", names[1]),
        ("End", names[-1]),
        ("ArrowRight", names[0]),
        ("ArrowLeft", names[-1]),
        ("Home", names[0]),
    ):
        page.keyboard.press(key)
        assert chosen(page) == wanted
        assert page.evaluate("document.activeElement.textContent") == wanted
    assert cursor(page) == at


def test_the_tab_key_leads_into_the_panel(open_page: OpenPage) -> None:
    """From the list of tabs one press of Tab goes to the panel in front, whatever number of tabs there is."""
    page = open_page()
    page.keyboard.press("2")
    assert chosen(page) == "Figure 2"
    page.locator("#tabs [aria-selected=true]").focus()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "panel-card"
    panel = page.get_by_role("tabpanel", name="Figure 2")
    expect(panel).to_be_visible()
    expect(page.get_by_role("tabpanel")).to_have_count(1)


def test_a_number_key_takes_the_focus_along(open_page: OpenPage) -> None:
    """A view's own key, pressed while a tab has the focus, leaves the focus on the tab that is chosen."""
    page = open_page()
    page.locator("#tabs [aria-selected=true]").focus()
    page.keyboard.press("3")
    assert chosen(page) == page.evaluate("document.activeElement.textContent")
    page.keyboard.press("ArrowLeft")
    assert chosen(page) == "Figure 2"
