"""What pointer and keys do in the space-time diagram beyond moving: ranges, states compared, lanes folded, filters."""

import re

import pytest
from playwright.sync_api import Page, expect
from tests.diagram.conftest import OpenPage
from tests.diagram.test_page import settled

from oarlock.trace.loaded import Trace
from oarlock.trace.schema import Event, parse_id
from oarlock.trace.state import states_at

PLACE = """(position) => {
  const frame = oarlock.views.spacetime.frame();
  return [frame.x(oarlock.run.lane.data[position]), frame.y(position)];
}"""


def around_election(page: Page, number: int = 1) -> int:
    """Show an election, with the cursor at its start; where it is."""
    position = int(page.evaluate(f"oarlock.run.elections.data[{number}]"))
    page.evaluate(
        "(at) => oarlock.store.set({window: [at - 40, at + 40], cursor: at - 30, selected: at - 30})", position
    )
    settled(page)
    return position


def click_event(page: Page, position: int, *modifiers: str) -> None:
    x, y = page.evaluate(PLACE, position)
    page.locator("#scene canvas").click(position={"x": x, "y": y}, modifiers=list(modifiers))  # type: ignore[arg-type]
    settled(page)


def test_shift_click_compares_two_states(open_page: OpenPage, run: Trace) -> None:
    """Between the selected event and the one clicked with Shift, each server's changes are listed, before and after."""
    page = open_page()
    position = around_election(page)
    before = position - 30
    click_event(page, position, "Shift")
    assert page.evaluate("oarlock.store.shared.range") == [before, position]
    panel = page.locator("#panel-between")
    expect(panel).to_be_visible()
    lane = parse_id(run.events[position].id).lane
    old, new = states_at(run, before).states[lane], states_at(run, position).states[lane]
    name = run.header.nodes[lane]
    found = page.evaluate(
        "(name) => { const rows = [...document.querySelectorAll('#panel-between table tr')].map((row) =>"
        " [...row.children].map((cell) => cell.textContent)); const all = {}; let server = '';"
        " for (const cells of rows) { if (cells.length === 5) server = cells.shift();"
        " if (server === name) all[cells[0]] = [cells[1], cells[3]]; } return all; }",
        name,
    )
    assert found["role"] == [old.role, new.role]
    assert found["term"] == [str(old.term), str(new.term)]
    assert ("commit index" in found) == (old.commit != new.commit)


def test_drag_on_the_times_marks_a_range(open_page: OpenPage, run: Trace) -> None:
    """A drag along the scale selects what lies beside it, counts it, and the window can be set to it."""
    page = open_page()
    around_election(page)
    box = page.locator("#scene canvas").bounding_box()
    assert box is not None
    window = page.evaluate("oarlock.store.shared.window")
    page.mouse.move(box["x"] + 20, box["y"] + 120)
    page.mouse.down()
    page.mouse.move(box["x"] + 20, box["y"] + 200)
    page.mouse.move(box["x"] + 20, box["y"] + 500)
    page.mouse.up()
    settled(page)
    assert page.evaluate("oarlock.store.shared.window") == window, "the drag has panned too"
    first, last = page.evaluate("oarlock.store.shared.range")
    sent = sum(event.k == "send" and event.x["type"] == "AppendEntries" for event in run.events[first : last + 1])
    expect(page.locator("#panel-between .hint").first).to_contain_text(f"{last - first + 1} events")
    counted = page.locator("#panel-between .counts div", has=page.get_by_text("AppendEntries sent", exact=True))
    assert sent
    expect(counted.locator("dd")).to_have_text(str(sent))
    page.keyboard.press("z")
    settled(page)
    assert page.evaluate("oarlock.store.shared.window") == pytest.approx([first, max(last, first + 4)])
    page.keyboard.press("Escape")
    settled(page)
    assert page.evaluate("oarlock.store.shared.range") is None


def test_keys_mark_a_range(open_page: OpenPage) -> None:
    """Without a pointer: s at one event, s at another."""
    page = open_page()
    page.keyboard.press("Home")
    page.keyboard.press("s")
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    page.keyboard.press("s")
    settled(page)
    assert page.evaluate("oarlock.store.shared.range") == [0, 5]
    expect(page.locator("#panel-between h3")).to_be_visible()


def test_double_click_folds_a_lane(open_page: OpenPage) -> None:
    """A lane clicked twice becomes a line and leaves its room to the others; twice more, and it is back."""
    page = open_page()
    frame = "oarlock.views.spacetime.frame()"
    lane = page.evaluate(f"{frame}.order[0]")
    wide = page.evaluate(f"{frame}.spacing")
    page.locator("#scene canvas").dblclick(position={"x": page.evaluate(f"{frame}.x({lane})"), "y": 12})
    settled(page)
    assert page.evaluate("oarlock.store.shared.folded") == [page.evaluate(f"oarlock.run.lanes[{lane}]")]
    assert page.evaluate(f"{frame}.spacing") > wide
    page.locator("#scene canvas").dblclick(position={"x": page.evaluate(f"{frame}.x({lane})"), "y": 12})
    settled(page)
    assert page.evaluate("oarlock.store.shared.folded") == []


def test_a_link_keeps_what_was_set(open_page: OpenPage) -> None:
    """Range, bookmarks, folded lanes and heartbeats are in the address, and come back from it."""
    page = open_page()
    page.keyboard.press("Home")
    page.keyboard.press("b")
    page.keyboard.press("s")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    for key in ("s", "b", "l", "."):
        page.keyboard.press(key)
    expect(page).to_have_url(re.compile(r"range=.*fold=.*marks=.*hb=1"))
    again = open_page(page.evaluate("location.hash"))
    settled(again)
    for name in ("range", "marked", "folded", "showsHeartbeats", "view", "cursor"):
        assert again.evaluate(f"oarlock.store.shared.{name}") == page.evaluate(f"oarlock.store.shared.{name}"), name


def _names(event: Event) -> set[str]:
    return {parse_id(event.id).lane, event.src, event.to}


def test_queries(open_page: OpenPage, run: Trace) -> None:
    """Each word of the filter keeps exactly the events that it says."""
    page = open_page()
    start = run.events[0].t
    server = run.header.nodes["n2"]
    expected = {
        "rule:RV.2": lambda event: "RV-2" in event.r,
        "-kind:send kind:recv": lambda event: event.k == "recv",
        f'node:"{server}"': lambda event: "n2" in _names(event),
        "lane:n2 role:leader": lambda event: (
            parse_id(event.id).lane == "n2"
            and event.w is not None
            and event.w.role is not None
            and event.w.role[1] == "leader"
        ),
        "t>=0.5 t<0.6": lambda event: 500_000 <= event.t - start < 600_000,
        "client:1": lambda event: event.k == "client" and event.x.get("client") == 1,
        "commit>3 lane:n1": lambda event: (
            parse_id(event.id).lane == "n1"
            and event.w is not None
            and event.w.commit is not None
            and event.w.commit[1] > 3
        ),
        f"id:{next(event.id for event in run.events if event.k == 'send')}": lambda event: (
            next(each.id for each in run.events if each.k == "send") in (event.id, event.m.partition("#")[0])
        ),
    }
    for query, keeps in expected.items():
        page.locator("#query").fill(query)
        settled(page)
        found = page.evaluate("[...oarlock.store.shared.matches].flatMap((each, at) => each ? [at] : [])")
        assert found == [at for at, event in enumerate(run.events) if keeps(event)], query
        assert found, query


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("kind:sent", '"sent" is no kind of event'),
        ("node>=n2", '"node" is no number'),
        ("term>=x", '"x" is no number'),
    ],
)
def test_queries_say_what_is_wrong(open_page: OpenPage, query: str, words: str) -> None:
    """A word that cannot be meant is named, and nothing is filtered."""
    page = open_page()
    page.locator("#query").fill(query)
    expect(page.locator(".wrong")).to_contain_text(words)
