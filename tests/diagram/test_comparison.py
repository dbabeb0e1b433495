"""Two runs are compared by what they mean; a message's fate is changed, and both runs shown."""

import json
from functools import cache
from itertools import product
from pathlib import Path

import msgspec
import pytest
from playwright.sync_api import expect
from tests.diagram.conftest import SEED, OpenPage, both_move_together, bytes_of
from tests.support.simulated import steady

from oarlock.cli.trace import trace as trace_command
from oarlock.diagram.comparison import Comparison, compare
from oarlock.sim import generate, record_schedule
from oarlock.sim.schedule import Fault, MessageEdit
from oarlock.trace.loaded import Trace, load
from oarlock.trace.schema import Event, Kind

SCHEDULE = steady(Fault(at=0.7, kind="isolate", servers=(0,), seconds=0.8), seconds=2.0)


@cache
def _run(edit: MessageEdit | None = None) -> Trace:
    edits = () if edit is None else (edit,)
    return record_schedule(msgspec.structs.replace(SCHEDULE, edits=edits))[1]


def _appends(run: Trace) -> list[Event]:
    return [event for event in run.events if event.k is Kind.SEND and event.x.get("entries")]


def _append(run: Trace) -> Event:
    """The first request with news."""
    return _appends(run)[0]


def _rows(found: Comparison, title: str) -> list[str]:
    return [row.sentence for part in found.parts if part.title == title for row in part.rows]


@pytest.fixture
def recorded_file(tmp_path: Path) -> Path:
    path = tmp_path / "run.jsonl"
    path.write_bytes(bytes_of(_run()))
    return path


def test_a_run_does_not_differ_from_itself(recorded_file: Path) -> None:
    """Nothing differs between a run and its own file."""
    found = compare(load(recorded_file), load(recorded_file))
    assert found == Comparison(None, [])


def test_a_lost_append_shows_as_the_refusal_it_leads_to(run: Trace) -> None:
    """Without one append the next is refused by AE-2 and the leader steps back: that, and no shift of times, is told."""
    appends = _appends(run)
    message = next(
        one
        for one, other in product(appends[10:], appends[11:])
        if (one.src, one.to) == (other.src, other.to) and 0 < other.t - one.t < 1000 and run.ends_of(one.id)
    )
    edits = (MessageEdit(message=message.id, do="drop"),)
    other = record_schedule(msgspec.structs.replace(generate(SEED), edits=edits))[1]
    found = compare(run, other)
    assert found.first is not None
    rules = _rows(found, "Rules that acted")
    follower, leader = message.to, message.src
    assert any(row.startswith(f"AE-2 at {follower}") and row.endswith("only in the second run") for row in rules), rules
    assert any(row.startswith(f"BT-2 at {leader}") for row in rules), rules
    assert "AppendEntries lost on the way: 0 in the first run, 1 in the second" in _rows(found, "Messages")


def test_another_election_shows_as_who_led() -> None:
    """Where another server wins a term, both leaders are named, with the events by which they came to lead."""
    other = record_schedule(msgspec.structs.replace(SCHEDULE, seed=11))[1]
    found = compare(_run(), other)
    (part,) = [part for part in found.parts if part.title == "Who led"]
    row = part.rows[0]
    assert _run().find(row.one) is not None or other.find(row.other) is not None
    assert "led by" in row.sentence


def test_what_if_tells_both_fates(recorded_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The message as it was and as it is to be, and where the runs part, are in the terminal; the page is written."""
    message = _append(_run())
    page = recorded_file.with_name("both.html")
    arguments = ["what-if", str(recorded_file), "--message", message.id, "--drop", "-o", str(page)]
    assert trace_command(arguments) == 1
    told = " ".join(capsys.readouterr().out.split())
    for words in ("What if the message were lost?", "as it was: received after", "lost on the way", "They part here"):
        assert words in told, words
    assert page.stat().st_size > 100_000


@pytest.mark.parametrize(
    ("message", "problem"), [("n9.1.1", "holds no message n9.1.1"), ("n1.1.1", "holds no message n1.1.1")]
)
def test_what_if_needs_a_message(
    recorded_file: Path, capsys: pytest.CaptureFixture[str], message: str, problem: str
) -> None:
    """What is no message is named, with the way to find one."""
    assert trace_command(["what-if", str(recorded_file), "--message", message, "--drop"]) == 2
    assert problem in capsys.readouterr().err


def test_what_if_refuses_what_it_cannot_repeat(recorded_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A trace whose schedule gives another run today is refused, and not compared with something else."""
    lines = recorded_file.read_bytes().splitlines(keepends=True)
    header = json.loads(lines[0])
    header["schedule"]["seed"] += 1
    recorded_file.write_bytes(b"".join([json.dumps(header).encode() + b"\n", *lines[1:]]))
    message = _append(_run()).id
    assert trace_command(["what-if", str(recorded_file), "--message", message, "--drop"]) == 2
    assert "another run of that schedule" in capsys.readouterr().err


def test_page_shows_both_runs(recorded_file: Path, open_page: OpenPage, tmp_path: Path) -> None:
    """The second run is drawn beside its differences, moves with the first, and each difference leads to both."""
    other = _run(MessageEdit(message=_append(_run()).id, do="drop"))
    second = tmp_path / "other.jsonl"
    second.write_bytes(bytes_of(other))
    path = tmp_path / "both.html"
    assert trace_command(["diff", str(recorded_file), str(second), "-o", str(path)]) == 1
    page = open_page(path=path)
    page.evaluate("oarlock.views.diff.ready")
    assert page.evaluate("oarlock.views.diff.other.run.length") == len(other)
    expect(page.locator("#panel-diff .other canvas")).to_be_visible()
    page.locator("#panel-diff .parted .event").nth(1).click()
    first = compare(load(recorded_file), load(second)).first
    assert first is not None
    at = "oarlock.views.diff.other.run.events[oarlock.views.diff.other.shared.cursor].id"
    assert page.evaluate(at) == first.other
    both_move_together(page)


def test_card_of_a_message_shows_the_command(open_page: OpenPage, run: Trace) -> None:
    """Of a message the page says how to run the seed again without it, and of one that was lost, with it."""
    page = open_page()
    sent = _append(run)
    page.evaluate(
        "(id) => { oarlock.store.goTo(oarlock.run.position(id)); oarlock.store.set({view: 'why'}); }", sent.id
    )
    card = page.locator("#panel-why .whatif")
    card.locator("summary").click()
    fate = "--deliver" if any(end.k is Kind.DROP for end in run.ends_of(sent.id)) else "--drop"
    expect(card.locator("code")).to_contain_text(f"oarlock trace what-if RUN --message {sent.id} {fate}")
    card.get_by_role("button", name="doubled").click()
    expect(card.locator("code")).to_contain_text("--duplicate")
