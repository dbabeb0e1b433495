"""The page of advice in a real browser."""

from pathlib import Path

from playwright.sync_api import sync_playwright
from tests.support.system_programs import require

from oarlock.lab.advisor import advise
from oarlock.lab.advisor.page import page


def test_timeline_is_drawn_and_tells(tmp_path: Path) -> None:
    """The page runs without an error, draws spans, zooms, and tells what is under the pointer."""
    file = tmp_path / "advice.html"
    file.write_text(page(advise("oarlock.lab.advisor.examples.put_with_lock:faulty", seeds=(1,))))
    errors: list[str] = []
    with sync_playwright() as playwright:
        program = require("chromium", package="chromium")
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        opened = browser.new_page()
        opened.on("pageerror", lambda error: errors.append(str(error)))
        opened.goto(file.as_uri())
        assert "rule 4 (K4): Faulty.mu: puts into a queue" in opened.inner_text("section >> nth=0")
        told = opened.evaluate(
            """() => {
                const canvas = document.getElementById("timeline");
                canvas.scrollIntoView();
                const box = canvas.getBoundingClientRect();
                const told = [];
                for (let y = 20; y < box.height; y += 8) {
                    for (let x = 235; x < box.width; x += 5) {
                        const at = { clientX: box.left + x, clientY: box.top + y, bubbles: true };
                        canvas.dispatchEvent(new PointerEvent("pointermove", at));
                        const text = document.getElementById("tip").textContent;
                        if (text) told.push(text);
                    }
                }
                canvas.dispatchEvent(new WheelEvent("wheel", { deltaY: -500, clientX: box.left + 300, clientY: box.top + 50 }));
                return told;
            }"""
        )
        browser.close()
    assert errors == []
    assert any("holds Faulty.mu" in each for each in told)
    assert any("calls append_entries" in each for each in told)
