"""Links into the page: each restores what it names and only that, and what does not fit is said."""

from pathlib import Path

from playwright.sync_api import Page, expect
from tests.diagram.conftest import OpenPage
from tests.diagram.test_page import cursor, settled
from tests.support.broken_runs import broken_run

from oarlock.diagram.page import page as page_of
from oarlock.trace.loaded import Trace

NAMES = ("cursor", "window", "view", "query", "why", "axis", "range", "folded", "marked", "showsHeartbeats")


def shared(page: Page) -> dict[str, object]:
    """All that an address keeps."""
    settled(page)
    return {name: page.evaluate(f"oarlock.store.shared.{name}") for name in NAMES}


def follow(page: Page, fragment: str) -> None:
    """As whoever edits the address."""
    page.evaluate("(fragment) => { location.hash = fragment; }", fragment)
    page.evaluate("new Promise((done) => setTimeout(done))")
    settled(page)


def test_a_new_address_leaves_nothing_of_the_old(open_page: OpenPage, run: Trace) -> None:
    """A link brings the same state into a page that was elsewhere as into one that has just been opened."""
    first, last = run.events[3].id, run.events[90].id
    full = (
        f"#e={run.events[40].id}&w=10..60&view=table&axis=time&q=kind:send&why={run.events[40].id}"
        f"&range={first}..{last}&fold=n2&marks={first},{last}&hb=1"
    )
    plain = f"#e={run.events[200].id}"
    page = open_page(full)
    seen = shared(page)
    assert (seen["query"], seen["axis"], seen["range"], seen["folded"]) == ("kind:send", "time", [3, 90], ["n2"])
    follow(page, plain)
    fresh = open_page(plain)
    assert shared(page) == shared(fresh)
    assert page.evaluate("oarlock.store.shared.matches") is None
    expect(page.locator("#linknotice")).to_be_hidden()


def test_back_returns_to_what_was_seen(open_page: OpenPage, run: Trace) -> None:
    """The back button undoes a link that was followed."""
    page = open_page(f"#e={run.events[40].id}&q=kind:send")
    before = shared(page)
    follow(page, f"#e={run.events[200].id}")
    assert cursor(page) == 200
    page.go_back()
    page.wait_for_function("() => oarlock.store.shared.cursor === 40")
    assert shared(page) == before


def test_an_address_is_followed_before_it_is_written(open_page: OpenPage, run: Trace) -> None:
    """What somebody enters is not lost where the page, before it hears of it, writes what it shows into the address."""
    page = open_page()
    page.evaluate("window.setTimeout = (write) => { window.write = write; }")
    page.evaluate("oarlock.store.set({ query: 'kind:recv' })")
    page.wait_for_function("() => window.write")
    page.evaluate("(fragment) => { location.hash = fragment; window.write(); }", f"#e={run.events[200].id}&q=kind:send")
    page.wait_for_function("() => oarlock.store.shared.query === 'kind:send'")
    assert cursor(page) == 200


BAD = {
    "run=sha256:other": "another run, sha256:other",
    "e=n9.1.1": "Its event names n9.1.1",
    "view=st": "Its view=st is nothing that this page knows; it knows matrix, ",
    "axis=space": "Its axis=space",
    "hb=maybe": "Its hb=maybe",
    "w=40": "w=40, is not two numbers",
    "w=60..10": "w=60..10, is not two numbers",
    "w=900000..900010": "begins after the ",
    "why=n9.1.1": "It asks why of n9.1.1",
    "why=n1.1.1:vote": "It asks why vote at n1.1.1, which did not change it",
    "why=V1": "It asks about violation V1, and this run has none",
    "range=n1.1.1": "Its range, range=n1.1.1, is not two events",
    "range=n1.1.1..n9.1.1": "Its range names n9.1.1",
    "marks=n9.1.1": "Its bookmark names n9.1.1",
    "fold=n9": "a lane that this run does not have, n9",
}
"""Values that do not fit, and what is said of each."""


def test_what_does_not_fit_is_said_once(open_page: OpenPage, run: Trace) -> None:
    """One bad value gets one message that names it, and the rest of the link still holds."""
    page = open_page("#q=kind:send&run=sha256:other")  # the others are followed, which is the same: see above
    notice = page.locator("#linknotice")
    for number, (fragment, said) in enumerate(BAD.items()):
        held = "kind:send" if number % 2 == 0 else "kind:recv"
        marks = "" if fragment.startswith("marks") else f"&marks={run.events[3].id}"
        if number:
            follow(page, f"#q={held}{marks}&{fragment}")
        expect(notice).to_contain_text(said)
        assert (notice.inner_text().count("It asks") + notice.inner_text().count("Its ")) <= 1
        assert page.evaluate("oarlock.store.shared.query") == held
        notice.get_by_role("button", name="Close").click()
        expect(notice).to_be_hidden()


def test_a_bad_value_loses_nothing(open_page: OpenPage, run: Trace) -> None:
    """What a link names wrongly stays as it was."""
    page = open_page(f"#e={run.events[40].id}&view=card&axis=time&why={run.events[40].id}&w=10..60")
    before = shared(page)
    follow(page, "#e=n9.1.1&view=st&axis=space&why=n9.1.1&w=x")
    assert shared(page) == before
    expect(page.locator("#linknotice")).to_contain_text("n9.1.1")
    follow(page, f"#e={run.events[40].id}")
    expect(page.locator("#linknotice")).to_be_hidden()


def test_a_violation_can_be_asked_about(open_page: OpenPage, tmp_path: Path) -> None:
    """`why=V1` opens the first violation's explanation, with the chain below it; there is no V99."""
    broken = broken_run("votes-twice")
    path = tmp_path / "broken.html"
    path.write_text(page_of(broken.header, broken.events, title="Broken"), encoding="utf-8")
    page = open_page("#view=why&why=V1", path=path)
    expect(page.locator("#panel-why h3")).to_contain_text("not hold?")
    sentence = page.evaluate("oarlock.views.violations.found[0].sentence")
    expect(page.locator("#panel-why .verdict")).to_have_text(sentence)
    assert page.locator("#panel-why .steps li").count() > 1
    expect(page.locator("#linknotice")).to_be_hidden()
    follow(page, "#view=why&why=V99")
    expect(page.locator("#linknotice")).to_contain_text("violation V99")
    assert page.evaluate("oarlock.store.shared.why") == "V1"


def test_a_running_clusters_page_waits_for_the_event(open_page: OpenPage, run: Trace) -> None:
    """A link to an event that comes later is followed when it comes; until then that is said, and the rest can change."""
    page = open_page()
    page.evaluate(
        """async (id) => {
          const [{ Run }, { Store }, { keepLink }] = await Promise.all(["run", "store", "link"].map((each) => import(`oarlock/${each}.js`)));
          document.getElementById("linknotice").remove();
          window.live = new Store(new Run(oarlock.run.header, oarlock.run.servers));
          location.hash = `#e=${id}&q=kind:send`;
          keepLink(live, { live: {} });
          window.bring = (from, to) => {
            for (const event of oarlock.run.events.slice(from, to)) live.run.append(event);
            live.grew();
          };
        }""",
        run.events[30].id,
    )
    notice = page.locator("#linknotice")
    expect(notice).to_be_hidden()
    page.evaluate("bring(0, 20)")
    expect(notice).to_contain_text("does not hold yet, or no more")
    assert page.evaluate("live.shared.query") == "kind:send"
    page.evaluate("live.set({ query: 'kind:drop' })")
    page.evaluate("bring(20, 25)")
    settled(page)
    page.evaluate("bring(25, 40)")
    expect(notice).to_be_hidden()
    assert page.evaluate("[live.shared.cursor, live.shared.selected]") == [30, 30]
    assert page.evaluate("live.shared.query") == "kind:drop"
