"""What is drawn is found quickly, and is the same as if everything had been looked at."""

import math
import random

import pytest
from tests.diagram.conftest import OpenPage
from tests.diagram.test_page import settled

from oarlock.trace.loaded import Trace

COLUMNS = """() => {
  const { run, store } = oarlock, take = (column) => [...column.data.subarray(0, run.length)];
  return { lanes: take(run.lane), severities: take(run.severity), places: [...store.axis.coordinates], names: run.lanes };
}"""

GROWING = """async ([pieces]) => {
  const { Run } = await import("oarlock/run.js");
  const { Worst } = await import("oarlock/worst.js");
  const run = new Run(oarlock.run.header, []);
  const worst = new Worst(run);
  let at = 0;
  const wrong = [];
  for (const piece of pieces) {
    for (let count = 0; count < piece && at < oarlock.run.length; count++) run.append(oarlock.run.events[at++]);
    if (at > 1500 && !run.forgotten) run.forget(700);
    if (run.length > 40) run.markWrong(run.events[(at * 7) % run.length].id);
    worst.follow();
    for (const [begin, end] of [[0, run.length], [run.length >> 1, run.length], [Math.max(0, run.length - 7), run.length]]) {
      const [found, wanted] = [new Uint8Array(run.lanes.length), new Uint8Array(run.lanes.length)];
      worst.between(begin, end, (lane, each) => { found[lane] = each; });
      for (let position = begin; position < end; position++) {
        const lane = run.lane.data[position];
        wanted[lane] = Math.max(wanted[lane], run.severity.data[position] + 1);
      }
      if (found.join() !== wanted.join()) wrong.push([at, begin, end, found.join(), wanted.join()]);
    }
  }
  return wrong;
}"""


@pytest.mark.parametrize("axis", ["logical", "time", "gaps"])
def test_tiles_hold_the_worst_of_every_row(open_page: OpenPage, axis: str) -> None:
    """At any zoom each row of each lane has the worst that happened there, as counting every event finds it."""
    page = open_page()
    page.evaluate("(axis) => oarlock.store.set({ axis })", axis)
    settled(page)
    columns = page.evaluate(COLUMNS)
    end = columns["places"][-1]
    rng = random.Random(1)
    for height in (end / 700, end / 97, end / 5000 * rng.uniform(0.5, 2)):
        begin = rng.randrange(max(1, math.ceil(end / height) - 400))
        count = 400
        wanted = [0] * (len(columns["names"]) * count)
        for lane, severity, place in zip(columns["lanes"], columns["severities"], columns["places"], strict=True):
            row = next((each for each in (math.floor(place / height) + shift for shift in (-1, 0, 1))
                        if each * height <= place < (each + 1) * height), -1) - begin  # fmt: skip
            if 0 <= row < count:
                wanted[lane * count + row] = max(wanted[lane * count + row], severity + 1)
        found = page.evaluate(
            "([height, begin, end]) => { const { tiles } = oarlock.views.spacetime; tiles.height = height;"
            " return [...tiles.rows(begin, end)]; }",
            [height, begin, begin + count],
        )
        assert found == wanted
        assert any(wanted)


def test_the_worst_is_known_as_a_run_grows(open_page: OpenPage, run: Trace) -> None:
    """Events, lanes, verdicts and forgetting come while the page looks: what is asked for then is right."""
    page = open_page()
    assert len(run) > 2000
    rng = random.Random(2)
    pieces = [1, 1, 3, *(rng.randrange(1, 400) for _ in range(14))]
    assert page.evaluate(GROWING, [pieces]) == []


def test_messages_under_way_are_found(open_page: OpenPage) -> None:
    """Of a window all messages are found that are under way in it, each once, and no others."""
    page = open_page()
    messages = page.evaluate(
        "oarlock.run.messages.map((each, at) => { each.number = at; return [each.sent, each.end]; })"
    )
    length = int(page.evaluate("oarlock.run.length"))
    rng = random.Random(3)
    windows = [(0, length), (255, 256), (256, 256), (100, 700)]
    windows += [(first, first + rng.randrange(900)) for first in (rng.randrange(length) for _ in range(20))]
    for first, last in windows:
        wanted = [
            number
            for number, (sent, end) in enumerate(messages)
            if (sent if sent >= 0 else end) <= last and max(sent, end) >= first
        ]
        found = page.evaluate(
            "([first, last]) => oarlock.run.messagesBetween(first, last).map((each) => each.number)", [first, last]
        )
        assert sorted(found) == wanted
