"""The ring: the same states and messages as the trace's, at the cursor, moved by playing unless somebody wants stillness."""

from itertools import product
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from tests.diagram.conftest import OpenPage
from tests.diagram.test_page import settled
from tests.support.simulated import steady

from oarlock.diagram.page import page as page_of
from oarlock.sim.run import record_schedule
from oarlock.sim.schedule import Fault
from oarlock.trace.loaded import Trace
from oarlock.trace.schema import Kind
from oarlock.trace.state import Replay

SHOWN = (
    "(() => { const { flights } = oarlock.views.ring.shown();"
    " return flights.map(({ message, fate, share, cause }) => [oarlock.run.events[message.sent].id, fate, share, cause]); })()"
)
HEARD = "document.querySelector('#panel-ring canvas').getAttribute('aria-label')"
WATCH = (
    "(() => { const { ring } = oarlock.views; window.seen = []; const paint = ring.paint.bind(ring);"
    " ring.paint = () => { window.seen.push([ring.moment.position, ring.moment.time]); paint(); }; })()"
)


def at(page: Page, position: int) -> None:
    """The cursor there, and the picture arrived."""
    page.evaluate("(position) => oarlock.store.goTo(position)", position)
    page.wait_for_function(
        "(position) => oarlock.views.ring.moment.position === position && !oarlock.views.ring.isMoving", arg=position
    )
    settled(page)


def under_way(run: Trace, position: int) -> dict[str, str]:
    """What has been sent and not yet ended, and what ends right there, with the kind of its end."""
    found = {}
    ends = {
        event.m.partition("#")[0]: number
        for number, event in enumerate(run.events)
        if event.k in (Kind.RECV, Kind.DROP)
    }
    for event in run.events[: position + 1]:
        if event.k is Kind.SEND and ends.get(event.id, position) >= position:
            end = ends.get(event.id)
            found[event.id] = "nowhere" if end is None else run.events[end].k.value
    return found


def halfway(run: Trace) -> int:
    """The position of an event at which a message is about half-way."""
    sent = {event.id: event for event in run.events if event.k is Kind.SEND}
    for event in run.events:
        begun = sent.get(event.m.partition("#")[0]) if event.k is Kind.RECV else None
        if begun is None:
            continue
        for position, between in enumerate(run.events):
            if 0.3 < (between.t - begun.t) / max(1, event.t - begun.t) < 0.7:
                return position
    raise AssertionError("no message is ever half-way")


@pytest.fixture(scope="module")
def troubled() -> Trace:
    """A run in which a server is cut off and another crashes."""
    faults = (
        Fault(at=0.7, kind="isolate", servers=(0,), seconds=0.6),
        Fault(at=1.6, kind="kill", servers=(1,), seconds=0.5),
    )
    return record_schedule(steady(*faults, seconds=2.4))[1]


@pytest.fixture
def troubled_file(troubled: Trace, tmp_path: Path) -> Path:
    path = tmp_path / "run.html"
    path.write_text(page_of(troubled.header, troubled.events, title="A run"), encoding="utf-8")
    return path


def test_messages_are_where_the_trace_has_them(open_page: OpenPage, troubled: Trace, troubled_file: Path) -> None:
    """At every kind of moment the ring has the messages that are under way, each on its way and none else."""
    page = open_page("#view=ring", path=troubled_file)
    elected = next(
        at for at, event in enumerate(troubled.events) if event.w and event.w.role and event.w.role[1] == "leader"
    )
    cut = next(at for at, event in enumerate(troubled.events) if event.k is Kind.PART)
    for position in (elected, elected + 3, elected + 20, cut - 5):
        at(page, position)
        shown = {sent: share for sent, fate, share, _ in page.evaluate(SHOWN) if fate == "flying"}
        wanted = under_way(troubled, position)
        assert shown.keys() == wanted.keys(), position
        assert all(0 <= share <= 1 for share in shown.values())
        arriving = troubled.events[position]
        if arriving.k is Kind.RECV:
            assert shown[arriving.m.partition("#")[0]] == 1


def test_losses_are_marked_with_their_cause(open_page: OpenPage, troubled: Trace, troubled_file: Path) -> None:
    """A message that is lost stands crossed out at its loss, with the cause, and is told; before, it is held up."""
    page = open_page("#view=ring", path=troubled_file)
    for cause in sorted({event.cause for event in troubled.events if event.k is Kind.DROP}):
        position = next(at for at, event in enumerate(troubled.events) if event.k is Kind.DROP and event.cause == cause)
        sent = troubled.events[position].m.partition("#")[0]
        at(page, position)
        assert [sent, "lost", cause] in [[each, fate, why] for each, fate, _, why in page.evaluate(SHOWN)]
        assert ", lost: " in page.evaluate(HEARD)
        if troubled.find(sent) is not None and troubled.events[position - 1].id != sent:
            at(page, position - 1)
            assert [sent, "lost"] not in [[each, fate] for each, fate, _, _ in page.evaluate(SHOWN)]


def test_states_are_told_to_ears(open_page: OpenPage, troubled: Trace, troubled_file: Path) -> None:
    """The label names every server with role, term, log and commit index, says who is down, and how many links are cut."""
    page = open_page("#view=ring", path=troubled_file)
    cut = next(at for at, event in enumerate(troubled.events) if event.k is Kind.PART)
    crash = next(at for at, event in enumerate(troubled.events) if event.k is Kind.CRASH)
    for position in (cut + 10, crash):
        at(page, position)
        replay = Replay()
        for event in troubled.events[: position + 1]:
            replay.apply(event)
        heard = page.evaluate(HEARD)
        for lane, state in replay.states.items():
            name = troubled.header.nodes[lane]
            wanted = f"is {state.role} in term {state.term}, log up to"
            assert (f"{name} is down" if lane in replay.down else f"{name} {wanted}") in heard
    assert "is down" in heard
    at(page, cut + 10)
    expect(page.locator("#panel-ring .hint").first).to_contain_text("4 links cut")


def test_learners_are_told_apart(open_page: OpenPage, tmp_path: Path) -> None:
    """Who only learns, by the leader's configuration, is a learner in the ring and has no election timeout."""
    run = record_schedule(steady(Fault(at=0.8, kind="add_learner", servers=(), seconds=1.0), seconds=2.2))[1]
    path = tmp_path / "run.html"
    path.write_text(page_of(run.header, run.events, title="A run"), encoding="utf-8")
    page = open_page("#view=ring", path=path)
    position, learner = next(
        (at, event.w.conf[1].learners[0])
        for at, event in reversed(list(enumerate(run.events)))
        if event.w and event.w.conf and event.w.conf[1].learners
    )
    at(page, position)
    lanes, timers = page.evaluate("(({ lanes, timers }) => [lanes, timers])(oarlock.views.ring.shown())")
    assert page.evaluate(HEARD).count("is learner in term") == 1
    assert dict(zip(lanes, timers, strict=True))[learner] is None
    assert sum(timer is not None for timer in timers) == len(lanes) - 2


def test_a_click_goes_to_what_is_drawn(open_page: OpenPage, run: Trace) -> None:
    """A click on a server goes to its last event, one on a message to its sending."""
    page = open_page("#view=ring")
    position = next(
        at for at, event in enumerate(run.events) if event.w and event.w.role and event.w.role[1] == "leader"
    )
    at(page, position)
    point = page.evaluate("oarlock.views.ring.places.points[0]")
    page.locator("#panel-ring canvas").click(position={"x": point["x"], "y": point["y"]})
    settled(page)
    name = page.evaluate("oarlock.views.ring.shown().lanes[0]")
    assert page.evaluate("oarlock.run.events[oarlock.store.shared.cursor].id").startswith(f"{name}.")
    at(page, halfway(run))
    sent, x, y = page.evaluate(
        "(async () => { const { placeOf } = await import('oarlock/ringpaint.js'); const { ring } = oarlock.views;"
        " const { lanes, flights, run } = ring.shown();"
        " const flight = flights.find((each) => each.share > 0.2 && each.share < 0.8);"
        " const place = placeOf(ring.places, run, lanes, flight); return [flight.message.sent, place.x, place.y]; })()"
    )
    page.locator("#panel-ring canvas").click(position={"x": x, "y": y})
    settled(page)
    assert page.evaluate("oarlock.store.shared.cursor") == sent


def test_playing_moves_the_messages(open_page: OpenPage, run: Trace) -> None:
    """While the page plays, frames lie between events; the states are those of events that have been reached."""
    page = open_page(f"#view=ring&e={run.events[60].id}")
    at(page, 60)
    page.evaluate(WATCH)
    page.keyboard.press("Space")
    page.wait_for_function("() => oarlock.store.shared.cursor >= 72")
    page.keyboard.press("Space")
    times = {event.t for event in run.events}
    seen = page.evaluate("window.seen")
    assert any(time not in times for _, time in seen)
    assert all(run.events[position].t <= time for position, time in seen)
    positions = [position for position, _ in seen]
    assert positions == sorted(positions)


def test_reduced_motion_stands_still(open_page: OpenPage, run: Trace) -> None:
    """Who wants no motion sees each event at once, and nothing in between."""
    page = open_page(f"#view=ring&e={run.events[60].id}")
    page.emulate_media(reduced_motion="reduce")
    at(page, 60)
    page.evaluate(WATCH)
    page.keyboard.press("Space")
    page.wait_for_function("() => oarlock.store.shared.cursor >= 72")
    page.keyboard.press("Space")
    seen = page.evaluate("window.seen")
    assert len(seen) > 5
    assert all(run.events[position].t == time for position, time in seen)


def test_servers_have_room(open_page: OpenPage) -> None:
    """However many servers, in whatever room: none leaves it and no two lie upon each other."""
    page = open_page()
    rooms = [(560, 560), (390, 420), (300, 300), (900, 320)]
    for count, (width, height) in product((1, 2, 3, 5, 7, 9), rooms):
        places = page.evaluate(
            "(room) => import('oarlock/ringpaint.js').then(({ placesOf }) => placesOf(...room))", [count, width, height]
        )
        points, radius = places["points"], places["radius"]
        assert len(points) == count
        for number, one in enumerate(points):
            assert radius <= one["x"] <= width - radius, (count, width, height)
            assert radius <= one["y"] <= height - radius, (count, width, height)
            for other in points[number + 1 :]:
                distance = ((one["x"] - other["x"]) ** 2 + (one["y"] - other["y"]) ** 2) ** 0.5
                assert distance > 2 * radius, (count, width, height)
