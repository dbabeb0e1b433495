"""How fast a page of a long run loads, pans and zooms, in headless Chromium: `python -m benchmarks.page_frames`.

A frame's time is what the page's thread is busy from the frame's begin until everything is drawn and handed on. Where
others use the machine, the wall's clock says more of them than of the page: `chrt -r 1 python -m ...` lets the
browser's threads go first, and `--cpu` counts what the page's own thread has run.
"""

import argparse
import json
import random
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

from oarlock.diagram.page import page
from oarlock.sim.run import record_schedule
from oarlock.sim.schedule import ClientOperation, Fault, Schedule, Settings

ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking")

FRAMES = """async ([name, count]) => {
  const { store, run, views: { spacetime } } = oarlock, n = run.length;
  const middle = Math.floor(n / 2);
  const scene = document.getElementById("scene").clientHeight;
  // Where a move begins, and what each of its frames does: what a pointer or a key does too.
  const [window, move] = {
    "pan, whole run": [[0, n * 0.9], () => spacetime.pan(1)],
    "pan, 250 events": [[middle, middle + 250], () => spacetime.pan(12)],
    "pan, 2,000 events": [[middle, middle + 2000], () => spacetime.pan(12)],
    "zoom, whole run to 50 events": [[0, n], () => spacetime.zoom(0.88, scene / 2)],
    "step, event by event": [[middle - 100, middle + 150], (at) => store.goTo(middle + at)],
    "seek, all over the run": [[middle, middle + 250], (at) => {
      const position = Math.floor((n / count) * at);
      store.set({ cursor: position, window: store.clampWindow(position - 125, position + 125) });
    }],
  }[name];
  store.set({ window, cursor: middle });
  await new Promise(requestAnimationFrame);
  await new Promise(requestAnimationFrame);
  const times = [];
  for (let at = 0; at < count; at++) {
    move(at);
    const began = await new Promise(requestAnimationFrame);
    const port = new MessageChannel();
    await new Promise((done) => {
      port.port1.onmessage = done;
      port.port2.postMessage(0);
    });
    times.push(performance.now() - began);
  }
  return times;
}"""
MOVES = (
    "pan, whole run",
    "pan, 250 events",
    "pan, 2,000 events",
    "zoom, whole run to 50 events",
    "step, event by event",
    "seek, all over the run",
)


def schedule(seconds: float) -> Schedule:
    """A cluster under steady load, with a fault now and then."""
    rng = random.Random(1)
    operations = tuple(
        ClientOperation(at=at / 40, client=1 + at % 8, server=1 + at % 3, kind="put", key=f"k{at % 5}", value=f"v{at}")
        for at in range(int(seconds * 40))
    )
    faults = tuple(
        Fault(at=float(at), kind=rng.choice(("isolate", "kill", "pause")), servers=(0,), seconds=0.8)
        for at in range(5, int(seconds), 7)
    )
    settings = Settings(servers=3, clients=8, duration_s=seconds, heartbeat_interval_ms=30)
    return Schedule(seed=1, settings=settings, faults=faults, operations=operations)


def measure(browser_page: Page, path: Path, frames: int) -> dict[str, Any]:
    """One round: the time to load, and frame times of each move."""
    begin = time.perf_counter()
    open_page(browser_page, path)
    found: dict[str, Any] = {"load_s": time.perf_counter() - begin}
    for move in MOVES:
        found[move] = percentiles(browser_page.evaluate(FRAMES, [move, frames]))
    return found


def measure_cpu(browser_page: Page, path: Path, frames: int) -> dict[str, Any]:
    """The same in time that the page's main thread has run: what a busy machine takes from it is not counted."""
    found: dict[str, Any] = {"load_s": sum(traced(browser_page, lambda: open_page(browser_page, path))) / 1000}
    for move in MOVES:
        tasks = traced(browser_page, lambda move=move: browser_page.evaluate(FRAMES, [move, frames]))
        # A frame is one long task; the rest are messages between threads.
        found[move] = percentiles(sorted(tasks)[-frames:])
    return found


def open_page(browser_page: Page, path: Path) -> None:
    """Open the page and wait until it is loaded."""
    browser_page.goto(path.as_uri())
    browser_page.wait_for_selector("html[data-ready=true]", timeout=240_000)


def traced(browser_page: Page, act: Callable[[], object]) -> list[float]:
    """For each task of the page's main thread, the milliseconds that it ran."""
    browser = browser_page.context.browser
    if browser is None:
        raise RuntimeError("the page belongs to no browser")
    browser.start_tracing(page=browser_page, categories=["toplevel"])
    act()
    events = json.loads(browser.stop_tracing())["traceEvents"]
    mains = {(each["pid"], each["tid"]) for each in events if each.get("args", {}).get("name") == "CrRendererMain"}
    tasks = [each for each in events if each["name"] == "ThreadControllerImpl::RunTask" and each.get("ph") == "X"]
    return [each.get("tdur", 0) / 1000 for each in tasks if (each["pid"], each["tid"]) in mains]


def percentiles(times: list[float]) -> dict[str, float]:
    """The middle, and what a twentieth exceeds."""
    times = sorted(times)
    return {"p50_ms": times[len(times) // 2], "p95_ms": times[int(len(times) * 0.95)]}


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description="Measure the page of a long run in a browser.")
    parser.add_argument("--seconds", type=float, default=60, help="simulated time of the run (default: 60)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--frames", type=int, default=60, help="of each move in a round")
    parser.add_argument("--cpu", action="store_true", help="count the main thread's own time, not the wall's")
    parser.add_argument(
        "--page",
        type=Path,
        action="append",
        help="a page to measure, made if it is not there; several take turns, to compare what made them",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    program = shutil.which("chromium")
    if program is None:
        raise SystemExit("chromium is not on the path")
    with tempfile.TemporaryDirectory() as directory, sync_playwright() as playwright:
        pages: list[Path] = options.page or [Path(directory) / "run.html"]
        for path in pages:
            if not path.exists():
                _, trace = record_schedule(schedule(options.seconds))
                path.write_text(page(trace.header, trace.events, title="A long run"), encoding="utf-8")
        browser = playwright.chromium.launch(executable_path=program, args=list(ARGUMENTS))
        rounds: dict[Path, list[dict[str, Any]]] = {path: [] for path in pages}
        for _ in range(options.rounds):
            for path in pages:
                browser_page = browser.new_page(viewport={"width": 1400, "height": 860})
                found = (measure_cpu if options.cpu else measure)(browser_page, path.resolve(), options.frames)
                found["events"] = browser_page.evaluate("oarlock.run.length")
                rounds[path].append(found)
                browser_page.close()
        browser.close()
        for path in pages:
            median = _median(rounds[path], path)
            print(json.dumps(median, indent=1) if options.json else _table(median))


def _median(rounds: list[dict[str, Any]], path: Path) -> dict[str, Any]:
    median: dict[str, Any] = {"page": path.name, "events": rounds[0]["events"], "bytes": path.stat().st_size}
    median["load_s"] = statistics.median(each["load_s"] for each in rounds)
    for move in MOVES:
        median[move] = {key: statistics.median(each[move][key] for each in rounds) for key in ("p50_ms", "p95_ms")}
    return median


def _table(median: dict[str, Any]) -> str:
    size = f"{median['events']:,} events, a page of {median['bytes'] / 1e6:.1f} MB"
    lines = [
        f"{median['page']}: {size}, loaded in {median['load_s']:.2f} s",
        "",
        "| | p50 ms | p95 ms |",
        "|-|-|-|",
    ]
    lines += [f"| {move} | {median[move]['p50_ms']:.1f} | {median[move]['p95_ms']:.1f} |" for move in MOVES]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
