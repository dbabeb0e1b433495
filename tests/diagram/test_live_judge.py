"""A run that goes on is judged as its events come: as the whole is, and nothing of it is guessed."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any

import pytest
from msgspec import structs
from playwright.sync_api import Browser, Page, expect
from tests.diagram.conftest import PATIENCE_MS, OpenPage
from tests.support.broken_runs import broken_run

from oarlock.dashboard.server import ServerDashboard
from oarlock.diagram.audit import audit
from oarlock.diagram.near_miss import near_misses
from oarlock.diagram.page import page as page_of
from oarlock.diagram.violation import violations
from oarlock.sim.generate import generate
from oarlock.sim.run import record_schedule
from oarlock.trace.loaded import Trace
from oarlock.trace.schema import WORLD, Event, Header, Kind, encode
from oarlock.trace.state import states_at
from oarlock.zoo.core.run import run_seed
from oarlock.zoo.core.trail import recorded

BUGS = ("votes-twice", "match-from-todays-next")


@cache
def _cores(seed: int) -> Trace:
    with recorded() as trails:
        run_seed(seed)
    return Trace(Header(v=1, run="core", kind="sim"), trails[0].events)


@cache
def _run(name: str) -> Trace:
    """A simulated run by its seed, one of cores, or one of a mutant."""
    kind, _, which = name.partition(" ")
    if kind == "sim":
        return record_schedule(generate(int(which)))[1]
    return _cores(int(which)) if kind == "cores" else broken_run(*which.split("/"))


@pytest.fixture
def opened(open_page: OpenPage, tmp_path: Any) -> Callable[[Trace], Page]:
    """Opens the page of a run."""

    def open_run(run: Trace) -> Page:
        path = tmp_path / "run.html"
        path.write_text(page_of(run.header, run.events, title="A run"), encoding="utf-8")
        return open_page(path=path)

    return open_run


RUNS = ("sim 13", "cores 4", *(f"bug {bug}" for bug in BUGS), "bug refusals-count-as-votes")


@pytest.mark.parametrize("name", RUNS)
def test_piece_by_piece_is_as_the_whole(opened: Callable[[Trace], Page], name: str) -> None:
    """Taken in pieces of any size, while old events are let go, a run gives the findings that it gives as a whole."""
    run = _run(name)
    found = opened(run).evaluate(
        """async () => {
          const { Run } = await import("oarlock/run.js");
          const { Store } = await import("oarlock/store.js");
          const { Watch } = await import("oarlock/watch.js");
          const { run: whole, extras } = oarlock;
          const run = new Run(whole.header, []);
          const store = new Store(run);
          const watch = new Watch(store, extras);
          let seed = 42;
          const random = (most) => (seed = (seed * 1103515245 + 12345) & 0x7fffffff) % most;
          for (let at = 0; at < whole.length;) {
            const piece = whole.events.slice(at, (at += 1 + random(random(4) ? 40 : 1000)));
            for (const event of piece) run.append(event);
            watch.take(piece);
            if (run.length > 300) run.forget(run.length - 40);
            if (!random(5)) await new Promise((go) => setTimeout(go));
          }
          while (watch.behind) await new Promise((go) => setTimeout(go, 5));
          const { audit, search, gaps, doubts } = watch.judge;
          return {
            forgotten: run.forgotten, length: run.length, gaps, doubts, counts: [...search.counts.values()].map(([count]) => count),
            steps: audit.found.map((each) => [each.kind, each.property, each.id, each.sentence, each.witnesses]),
            misses: search.found.map((each) => [each.id, each.rule, each.property, each.sentence, each.harm, each.isClose]),
          };
        }"""
    )
    assert found["forgotten"] + found["length"] == len(run)
    assert found["gaps"] == []
    assert found["doubts"] == []
    assert found["steps"] == [
        [each.kind, each.property, each.event_id, each.sentence, list(each.witnesses)] for each in audit(run)
    ]
    misses = near_misses(run)
    assert found["misses"] == [
        [each.event_id, each.rule, each.property, each.sentence, each.harm, each.is_close] for each in misses
    ]
    assert sum(found["counts"]) == len(misses)


PARTS = """async (name) => {
  const { Judge } = await import("oarlock/judge.js");
  const { run: { events, header, servers }, extras } = oarlock;
  let seed = 7;
  const random = (most) => (seed = (seed * 1103515245 + 12345) & 0x7fffffff) % most;
  const parts = [];
  for (let number = 1; number < 12; number++) {
    const at = random(events.length);
    const to = at + 1 + random(Math.min(300, Math.ceil(events.length / 5)));
    const server = `${servers[random(servers.length)]}.`;
    parts.push(events.slice(at));
    parts.push([...events.slice(0, at), ...events.slice(to)]);
    parts.push(events.filter((event, here) => here < at || here >= to || !event.id.startsWith(server)));
  }
  return parts.map((part) => {
    const judge = new Judge(header, extras);
    for (const event of part) judge.take(event);
    const { audit, search, gaps, doubts } = judge;
    return {
      steps: audit.found.map((each) => each.id), gaps: gaps.map((each) => each.sentence), doubts: doubts.map((each) => each.sentence),
      misses: search.found.map((each) => [each.id, each.rule, each.sentence, each.isClose, each.doubt]),
    };
  });
}"""
"""Judges a run of which the begin is missing, a stretch, or a stretch of one server."""


@pytest.mark.parametrize("name", ["sim 13", "cores 4", *(f"bug {bug}" for bug in BUGS)])
def test_nothing_is_guessed_from_a_part(opened: Callable[[Trace], Page], name: str) -> None:
    """Whatever is missing of a run, no step is found wrong that is right; what cannot be judged is said to be so."""
    run = _run(name)
    whole = {each.event_id for each in audit(run, most=1000)}
    misses = {(each.event_id, each.rule, each.sentence): each.is_close for each in near_misses(run)}
    parts = opened(run).evaluate(PARTS)
    for part in parts:
        assert whole.issuperset(part["steps"])
        for event_id, rule, sentence, is_close, doubt in part["misses"]:
            was_close = misses[event_id, rule, sentence]
            assert is_close == was_close or (doubt and not is_close)
    assert any("is seen from" in gap for part in parts for gap in part["gaps"])
    assert any("are missing before" in gap for part in parts for gap in part["gaps"])
    assert any(doubt.startswith("whether ") for part in parts for doubt in part["doubts"])
    for at in range(1, 8):
        later = Trace(run.header, run.events[len(run) * at // 8 :])
        assert whole.issuperset(each.event_id for each in audit(later))


def _attached(run: Trace, position: int) -> Trace:
    """What is seen of a run by who comes in the middle: of each server the whole state, and all from then on."""
    events: list[Event] = []
    for at, event in enumerate(run.events[position:], position):
        lane = event.id.partition(".")[0]
        if lane != WORLD and not any(each.id.startswith(f"{lane}.") for each in events) and event.s is None:
            state = states_at(run, at).states.get(lane)
            event = Event(event.id, event.t, event.lc, Kind.KEY, s=state) if state is not None else event  # noqa: PLW2901
        events.append(event)
    return Trace(run.header, events)


@pytest.mark.parametrize("name", ["sim 13", "bug acknowledges-before-the-disk", "bug always-truncates"])
def test_attached_in_the_middle(opened: Callable[[Trace], Page], name: str) -> None:
    """Who comes in the middle finds what can be known, disks too once they were written, and nothing else; page and Python alike."""
    run = _run(name)
    whole = {each.event_id for each in audit(run, most=1000)}
    seen: set[str] = set()
    page = opened(run)
    for eighth in range(1, 8):
        part = _attached(run, len(run) * eighth // 8)
        found = audit(part)
        seen.update(each.event_id for each in found)
        alike = page.evaluate(
            """async (lines) => {
              const { audit } = await import("oarlock/audit.js");
              const events = lines.map((line) => JSON.parse(line));
              return audit({ header: oarlock.run.header, events }, oarlock.extras).map((each) => [each.kind, each.id]);
            }""",
            [encode(event).decode() for event in part.events],
        )
        assert alike == [[each.kind, each.event_id] for each in found]
    assert whole.issuperset(seen)
    assert bool(seen) == name.startswith("bug")


def _with_a_false_memory(*, is_live: bool, forgets: str) -> tuple[Trace, str]:
    """A sound run up to a restart that forgets its last entry or its term; of a live one the end of the life is missing."""
    run = _cores(4)
    for position, event in enumerate(run.events):
        if event.k is not Kind.RESTART or event.s is None or len(event.s.log) < 1 or event.s.term < 1:
            continue
        lane = event.id.partition(".")[0]
        changed = (
            {"log": [*event.s.log[:-1], (event.s.log[-1][0], event.s.log[-1][1] - 1, event.s.log[-1][2])]}
            if forgets == "log"
            else {"term": event.s.term - 1, "vote": None}
        )
        before = run.events[:position]
        life = [each for each in before if each.id.startswith(f"{lane}.")]
        last = {each.id for each in life[-3:]} | {each.id for each in life if each.k is Kind.CRASH}
        events = [each for each in before if not (is_live and each.id in last)]
        wrong = structs.replace(event, s=structs.replace(event.s, **changed))
        header = Header(v=1, run="core", kind="live" if is_live else "sim")
        return Trace(header, [*events, wrong]), event.id
    raise AssertionError("no server came back with a log")


@pytest.mark.parametrize(("is_live", "forgets"), [(False, "log"), (False, "term"), (True, "log"), (True, "term")])
def test_last_words_may_be_missing(opened: Callable[[Trace], Page], is_live: bool, forgets: str) -> None:
    """Of a process that was killed it is known what it must not forget for certain: its term, but not the end of its log."""
    run, event_id = _with_a_false_memory(is_live=is_live, forgets=forgets)
    found = opened(run).evaluate(
        """async (id) => {
          const { Judge } = await import("oarlock/judge.js");
          const judge = new Judge(oarlock.run.header, oarlock.extras);
          for (const event of oarlock.run.events) judge.take(event);
          const of = (all) => all.filter((each) => each.id === id);
          return [of(judge.audit.found).map((each) => each.kind), of(judge.doubts).map((each) => each.sentence), of(judge.gaps).map((each) => each.sentence)];
        }""",
        event_id,
    )
    kinds, doubts, gaps = found
    assert kinds == [each.kind for each in audit(run, most=1000) if each.event_id == event_id]
    assert (f"forgot-{forgets}" in kinds) == (not is_live or forgets == "term")
    assert any("has forgotten its log" in doubt for doubt in doubts) == (is_live and forgets == "log")
    assert any("begins anew" in gap for gap in gaps) == is_live


class Stream:
    """A dashboard that tells of a recorded run as if it happened now."""

    def __init__(self, header: Header) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._dashboard = self._call(self._make(header))
        self.url = self._call(self._start())

    def _call(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(PATIENCE_MS / 1000)

    async def _make(self, header: Header) -> ServerDashboard:
        return ServerDashboard(self._loop, header, "A run that goes on")

    async def _start(self) -> str:
        host, port = await self._dashboard.start("127.0.0.1", 0)
        return f"http://{host}:{port}/"

    def tell(self, events: Sequence[Event]) -> None:
        """These happen."""

        async def publish() -> None:
            for event in events:
                self._dashboard.publish(event)

        self._call(publish())

    def close(self) -> None:
        """Listen no more."""
        self._call(self._dashboard.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE_MS / 1000)
        self._loop.close()


Watched = Callable[[Trace], tuple[Stream, Page]]


@pytest.fixture
def watched(browser: Browser) -> Iterator[Watched]:
    """Opens a page of a run that has not begun; what it complains of fails the test."""
    complaints: list[str] = []
    streams: list[Stream] = []
    pages: list[Page] = []

    def watch(run: Trace) -> tuple[Stream, Page]:
        stream = Stream(run.header)
        streams.append(stream)
        page = browser.new_page(viewport={"width": 1400, "height": 860})
        pages.append(page)
        page.set_default_timeout(PATIENCE_MS)
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(stream.url)
        page.wait_for_selector("html[data-ready=true]")
        return stream, page

    yield watch
    for page in pages:
        page.close()
    for stream in streams:
        stream.close()
    assert not complaints


def _wait_until(page: Page, expression: str) -> None:
    """Until it holds; the page allows nobody to have that evaluated in its frames."""
    deadline = time.monotonic() + PATIENCE_MS / 1000
    while not page.evaluate(expression):
        assert time.monotonic() < deadline, expression
        page.wait_for_timeout(10)


def _wait_until_judged(page: Page, run: Trace, end: int) -> None:
    """Until the page has judged all events of servers before a position."""
    wanted = sum(not event.id.startswith("net.") for event in run.events[:end])
    _wait_until(page, f"oarlock.store.watch.judge.known.count === {wanted}")


def test_banner_comes_when_a_step_breaks_a_rule(watched: Watched) -> None:
    """Until a step breaks a rule there is no banner; then it names step and rule, and at the end says what a file says."""
    run = broken_run("votes-twice")
    (told,) = violations(run)
    assert told.first_divergence is not None
    wrong = run.position(told.first_divergence.event_id)
    stream, page = watched(run)
    banner = page.locator("#violations")
    stream.tell(run.events[:wrong])
    _wait_until_judged(page, run, wrong)
    expect(banner).to_be_hidden()
    expect(page.locator("#facts")).to_contain_text("none against the rules")
    stream.tell(run.events[wrong : wrong + 1])
    expect(banner).to_be_visible()
    expect(banner.locator("summary")).to_contain_text(f"A step breaks rule {told.rule}")
    expect(banner).to_contain_text(told.first_divergence.sentence)
    stream.tell(run.events[wrong + 1 :])
    expect(banner.locator("summary")).to_contain_text(f"{told.figure3} does not hold")
    expect(banner.locator(".what").first).to_have_text(told.sentence)
    expect(banner.locator("code")).to_have_text(told.rule)
    expect(page.locator("#facts")).to_contain_text("1 against the rules")
    banner.locator(".places .event").first.click()
    at = page.evaluate("oarlock.run.events[oarlock.store.shared.cursor].id")
    assert at == told.first_divergence.event_id
    banner.locator(".ask").click()
    _wait_until(page, "oarlock.store.shared.view === 'why'")


def test_banner_outlives_its_events(watched: Watched) -> None:
    """When the events that it names are let go, the banner stays as it was, and leads to them no more."""
    run = broken_run("votes-twice")
    stream, page = watched(run)
    stream.tell(run.events)
    banner = page.locator("#violations")
    expect(banner.locator("summary")).to_contain_text("does not hold")
    before = banner.inner_text()
    page.evaluate("oarlock.run.forget(oarlock.run.length - 1); oarlock.store.grew()")
    expect(banner.locator(".places .event").first).to_be_disabled()
    assert banner.inner_text() == before


def test_near_misses_grow(watched: Watched) -> None:
    """The list of near-misses grows with the run, and the tab counts them; what is unfolded stays so."""
    run = _cores(4)
    found = near_misses(run)
    half = run.position(found[len(found) // 2].event_id)
    early = [each for each in found if run.position(each.event_id) < half]
    stream, page = watched(run)
    stream.tell(run.events[:half])
    _wait_until_judged(page, run, half)
    tab = page.get_by_role("tab", name="Near-misses")
    expect(tab).to_contain_text(str(len(early)))
    tab.click()
    counts = page.locator(".nearmisses .count")
    expect(counts.first).to_be_visible()
    page.evaluate("document.querySelectorAll('.nearmisses details').forEach((each) => { each.open = true; })")
    seen = page.locator(".nearmisses li").count()
    stream.tell(run.events[half:])
    _wait_until_judged(page, run, len(run))
    expect(tab).to_contain_text(f"{len(found)} ●{sum(each.is_close for each in found)}")
    for rule in {each.rule for each in early}:
        details = page.locator(f".nearmisses details:has(summary code:text-is('{rule}'))")
        expect(details).to_have_attribute("open", "")
        expect(details.locator(".count")).to_contain_text(str(sum(each.rule == rule for each in found)))
    assert page.locator(".nearmisses li").count() >= seen
    page.locator(".nearmisses .event").first.click()
    at = page.evaluate("oarlock.run.events[oarlock.store.shared.cursor].id")
    assert at in {each.event_id for each in found}


def test_no_frame_is_long(opened: Callable[[Trace], Page]) -> None:
    """However many events come at once, each turn of the judging ends soon, and none is left out."""
    run = _run("sim 13")
    turns = opened(run).evaluate(
        """async () => {
          const { Store } = await import("oarlock/store.js");
          const { Watch } = await import("oarlock/watch.js");
          const { run, extras } = oarlock;
          const watch = new Watch(new Store(run), extras);
          const most = [];
          const take = watch.judge.take.bind(watch.judge);
          let now = 0;
          let taken = 0;
          // A clock that goes one millisecond for each event.
          performance.now = () => now;
          watch.judge.take = (event) => { now += 1; taken += 1; take(event); };
          watch.take(run.events);
          most.push(taken);
          while (watch.behind) {
            const before = taken;
            await new Promise((go) => setTimeout(go, 1));
            if (taken > before) most.push(taken - before);
          }
          return [Math.max(...most), taken];
        }"""
    )
    assert turns[1] == len(run)
    assert turns[0] < len(run) / 4
