"""A real browser, and pages of runs to open in it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright
from tests.support.system_programs import require

from oarlock.diagram.page import page as page_of
from oarlock.sim.generate import generate
from oarlock.sim.run import record_schedule
from oarlock.trace.loaded import Trace
from oarlock.trace.schema import encode

SEED = 7
PATIENCE_MS = 30_000
"""How long a busy machine may take for what is done at once on an idle one."""
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def bytes_of(trace: Trace) -> bytes:
    """A run as its file has it."""
    return b"".join([encode(trace.header), *map(encode, trace.events)])


def both_move_together(page: Page) -> None:
    """See that the second run shows the time that the first is brought to."""
    page.evaluate("oarlock.store.set({window: [300, 420]})")
    page.wait_for_function(
        "() => { const { run, shared } = oarlock.views.diff.other;"
        " return Math.abs(run.t.data[Math.round(shared.window[0])] - oarlock.run.t.data[300]) < 50000; }"
    )


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium, for one module: an event loop runs as long as it does, and asynchronous tests bear none."""
    program = require("chromium", package="chromium")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=list(ARGUMENTS))
        yield started
        started.close()


@pytest.fixture(scope="session")
def run() -> Trace:
    """A simulated run with a change of leaders."""
    _, trace = record_schedule(generate(SEED))
    return trace


@pytest.fixture(scope="session")
def page_file(run: Trace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """That run's page."""
    path = tmp_path_factory.mktemp("page") / "run.html"
    path.write_text(page_of(run.header, run.events, title="A run"), encoding="utf-8")
    return path


expect.set_options(timeout=PATIENCE_MS)

OpenPage = Callable[..., Page]


@pytest.fixture
def open_page(browser: Browser, page_file: Path) -> Iterator[OpenPage]:
    """Opens the page; whatever the page complains of, or asks the network for, fails the test."""
    complaints: list[str] = []
    pages: list[Page] = []

    def opened(fragment: str = "", *, path: Path = page_file, width: int = 1400, height: int = 860) -> Page:
        page = browser.new_page(viewport={"width": width, "height": height})
        page.set_default_timeout(PATIENCE_MS)
        pages.append(page)
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: None if _is_local(request.url) else complaints.append(request.url))
        page.goto(f"{path.as_uri()}{fragment}")
        page.wait_for_selector("html[data-ready=true]")
        return page

    yield opened
    for page in pages:
        page.close()
    assert not complaints


def _is_local(address: str) -> bool:
    return address.startswith(("file:", "data:", "blob:"))
