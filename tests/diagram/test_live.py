"""A running cluster in the page: three real processes watched, used, hurt and healed through a real browser."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page
from playwright.sync_api import TimeoutError as TookTooLong

from oarlock.cli.main import main

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("live")]
"""In one process, as all look at one cluster."""

DEADLINE_MS = 60_000


def _first_of_free(count: int) -> int:
    """The first of so many free ports in a row, outside the range that others get for port 0."""
    start = 10_000 + os.getpid() * count % 20_000
    for first in range(start, start + 2000, count):
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            for port in range(first, first + count):
                stack.enter_context(socket.socket()).bind(("127.0.0.1", port))
            return first
    raise AssertionError("no free ports")


class LocalCluster:
    """`oarlock up --dashboard` in a process of its own."""

    def __init__(self, directory: Path) -> None:
        self.traces = directory / "traces"
        port = _first_of_free(30)
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ETCD_")}
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "oarlock.cli.main", "up", "--dashboard", "--json"),
                *("--port", str(port), "--data-dir", str(directory / "data"), "--trace", str(self.traces)),
            ],
            stdout=subprocess.PIPE,
            env=environment,
        )
        self.page_url = self._wait_until_ready()

    def _wait_until_ready(self) -> str:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            said = json.loads(line)
            if said["event"] == "ready":
                return str(said["dashboard"])
        raise AssertionError(f"the cluster did not start: status {self.process.wait()}")

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.communicate(timeout=60)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    started = LocalCluster(tmp_path_factory.mktemp("live"))
    yield started
    if started.process.poll() is None:
        started.stop()


@pytest.fixture
def page(browser: Browser, cluster: LocalCluster) -> Iterator[Page]:
    """The cluster's page; what it complains of fails the test."""
    complaints: list[str] = []
    page = browser.new_page(viewport={"width": 1400, "height": 860})
    page.set_default_timeout(DEADLINE_MS)
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(cluster.page_url)
    page.wait_for_selector("html[data-ready=true]")
    page.wait_for_selector("#live .leads")
    yield page
    wrong = page.evaluate("oarlock.store.watch.judge.audit.found")
    page.close()
    assert not complaints
    # Whatever was done to them, sound servers do nothing wrong, and nobody guesses that they do.
    assert wrong == []


def _leader(page: Page) -> str:
    name = page.get_attribute("#live .leads", "data-server")
    assert name
    return name


def _press(page: Page, server: str, order: str) -> None:
    page.click(f'[data-server={server}] button:text-is("{order}")')


def _replaced_leader(page: Page, order: str) -> str:
    """Give the leader an order after which another leads; tells who led."""
    leader = _leader(page)
    _press(page, leader, order)
    page.wait_for_selector(f"#live .leads:not([data-server={leader}])")
    return leader


def _counts(page: Page) -> dict[str, Any]:
    """What the page's run knows."""
    found: dict[str, Any] = page.evaluate(
        """() => { const { run } = oarlock;
        return { events: run.length, elections: run.elections.length,
            unresolved: run.messages.filter((each) => each.outcome === 'unresolved').length,
            received: run.messages.filter((each) => each.outcome === 'received' && each.sent >= 0).length,
            unknown: run.messages.filter((each) => each.sent < 0).length }; }"""
    )
    return found


def _put(page: Page) -> str:
    page.click("#tab-kv")
    page.click("button[value=put]")
    answer = page.locator(".answers li span").first
    page.wait_for_selector(".answers li:first-child span:not(:text-is('…'))")
    return answer.inner_text()


def test_put_and_get_through_the_panel(page: Page) -> None:
    """The panel writes and reads by a server, and the page shows what came of it: entries, commits, a latency."""
    assert "revision" in _put(page)
    page.click("button[value=get]")
    page.wait_for_selector(".answers li:first-child span:text('world')")
    for _ in range(10):
        with contextlib.suppress(TookTooLong):
            page.wait_for_selector("#live dd:text-matches('[1-9].* ms')", timeout=6000)
            break
        _put(page)  # what is shown is of the last seconds
    else:
        pytest.fail("no latency is shown")
    counts = _counts(page)
    assert counts["received"] > 10 * counts["unknown"]


def test_held_page_does_not_move(page: Page) -> None:
    """Whoever moves the cursor keeps the place, while the run grows; `f` follows again."""
    page.wait_for_selector("#follow[aria-pressed=true]")
    page.keyboard.press("ArrowLeft")
    page.wait_for_selector("#follow[aria-pressed=false]")
    before = page.evaluate("[oarlock.store.shared.cursor, oarlock.run.length]")
    while page.evaluate("oarlock.run.length") < before[1] + 50:
        page.wait_for_timeout(50)
    assert page.evaluate("oarlock.store.shared.cursor") == before[0]
    page.keyboard.press("f")
    page.wait_for_selector("#follow[aria-pressed=true]")
    while page.evaluate("oarlock.store.shared.cursor") <= before[1]:
        page.wait_for_timeout(50)


def test_killed_leader_is_followed_by_another(page: Page) -> None:
    """Kill the leader through the page: it stays down, another is elected, writes go on; start it, and it is back."""
    leader = _replaced_leader(page, "Kill")
    assert page.inner_text(f"[data-server={leader}] .role").endswith("down")
    assert "revision" in _put(page)
    _press(page, leader, "Start")
    page.wait_for_selector(f"[data-server={leader}]:not(.off) .role:text('follower')")


def test_partitioned_leader_is_replaced_and_comes_back(page: Page) -> None:
    """Cut the leader off: the others elect, what is sent over the cut stays unresolved; healed, all agree on a leader."""
    leader = _replaced_leader(page, "Cut off")
    page.wait_for_selector(f"[data-server={leader}] .marks:text('cut off')")
    assert _counts(page)["unresolved"] > 0
    page.click("#heal")
    page.wait_for_selector("#heal:disabled")
    page.wait_for_selector(f"[data-server={leader}] .role:text('follower')")


def test_paused_server_goes_on(page: Page) -> None:
    """A paused server is shown as such, and follows again when it goes on."""
    leader = _leader(page)
    follower = next(name for name in ("s1", "s2", "s3") if name != leader)
    _press(page, follower, "Pause")
    page.wait_for_selector(f"[data-server={follower}].off .role:text('paused')")
    _press(page, follower, "Resume")
    page.wait_for_selector(f"[data-server={follower}]:not(.off)")


def test_old_events_are_let_go_and_that_is_said(page: Page) -> None:
    """Events beyond the limit make room for new ones; states, terms and lanes stay right, and the page says so."""
    while page.evaluate("oarlock.run.length") < 200:
        page.wait_for_timeout(50)
    before, after = page.evaluate(
        """() => { const { run } = oarlock;
        const told = () => JSON.stringify([...run.track.latest.servers].sort());
        const before = told(); run.forget(run.length - 50);
        return [before, told()]; }"""
    )
    assert before == after
    page.evaluate("oarlock.views.live.limit = 200")
    page.wait_for_selector("#notice:text('older events were let go')")
    assert page.evaluate("oarlock.run.length") <= 200
    assert page.evaluate("oarlock.run.length") >= 50
    assert page.evaluate("oarlock.run.spans.filter((spans) => spans.length).length") == 3


def test_who_comes_later_is_told_what_is_not_here(page: Page) -> None:
    """A page opened in the middle judges from there on, says what it has not seen, and finds nothing wrong."""
    page.wait_for_selector("#facts .unresolved:text('unresolved')")
    assert "revision" in _put(page)
    _press(page, _leader(page), "Kill")
    page.wait_for_selector("#facts:has-text('none against the rules')")
    page.click("#facts .unresolved")
    page.wait_for_selector(".nearmisses .open li:has-text('is seen from')")
    down = page.locator("#live .server.off")
    _press(page, str(down.first.get_attribute("data-server")), "Start")
    page.wait_for_selector("#live .servers:not(:has(.off))")


def test_wrong_token_gets_nothing(browser: Browser, cluster: LocalCluster) -> None:
    """Without the token there is no page."""
    page = browser.new_page()
    answer = page.goto(cluster.page_url.partition("?")[0])
    assert answer is not None
    assert answer.status == 403
    page.close()


def test_recorded_incident_opens_in_the_page(browser: Browser, cluster: LocalCluster, tmp_path: Path) -> None:
    """The servers' files and the record of what was done to them open as one page, which agrees with itself."""
    page = browser.new_page()
    page.set_default_timeout(DEADLINE_MS)
    page.goto(cluster.page_url)
    page.wait_for_selector("#live .leads")
    killed = _replaced_leader(page, "Kill")
    _press(page, killed, "Start")
    page.wait_for_selector(f"[data-server={killed}]:not(.off) .role:text('follower')")
    _replaced_leader(page, "Cut off")
    page.close()
    cluster.stop()
    assert main(["trace", "check", str(cluster.traces)]) == 0
    drawn = tmp_path / "incident.html"
    assert main(["draw", str(cluster.traces), "-o", str(drawn)]) == 0
    page = browser.new_page()
    page.goto(drawn.as_uri())
    page.wait_for_selector("html[data-ready=true]")
    counts = _counts(page)
    assert counts["elections"] >= 3
    assert counts["unresolved"] > 0
    assert page.evaluate("oarlock.run.events.filter((event) => event.k === 'crash' && event.x.server).length") >= 1
    assert page.evaluate("oarlock.run.events.filter((event) => event.k === 'part').length") >= 1
    assert not page.locator("#live").count()
    page.close()
