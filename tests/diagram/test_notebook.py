"""A run as the last value of a notebook's cell."""

from pathlib import Path

from playwright.sync_api import Browser, expect
from tests.diagram.conftest import bytes_of

from oarlock.diagram.notebook import Diagram
from oarlock.trace.loaded import Trace


def test_a_run_shows_itself_in_a_frame(browser: Browser, run: Trace, tmp_path: Path) -> None:
    """Inside a notebook's cell, in a sandboxed frame, the page loads, follows keys and complains of nothing."""
    trace = tmp_path / "run.jsonl"
    trace.write_bytes(bytes_of(run))
    html = Diagram.load(trace)._repr_html_()
    notebook = tmp_path / "notebook.html"
    notebook.write_text(f'<!doctype html><body><div class="output">{html}</div><p>The next cell</p>', encoding="utf-8")
    page = browser.new_page(viewport={"width": 1100, "height": 800})
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(notebook.as_uri())
    frame = page.frame_locator("iframe")
    expect(frame.locator("html[data-ready=true] #facts")).to_contain_text(f"{len(run):,} events")
    frame.locator("#scene canvas").click(position={"x": 400, "y": 60})
    frame.locator("body").press("e")
    expect(frame.locator("#sentence")).to_contain_text("leads term")
    frame.locator("body").press("w")
    expect(frame.locator("#panel-why h3")).to_contain_text("Why ")
    # The address would be written a quarter of a second after the last key.
    page.frames[1].evaluate("new Promise((done) => setTimeout(done, 400))")
    assert page.frames[1].evaluate("oarlock.run.length") == len(run)
    page.close()
    assert not complaints
