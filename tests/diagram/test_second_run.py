"""A second run is opened in a page, and compared there as in the terminal."""

import gzip
import json
from functools import cache
from pathlib import Path

import msgspec
import pytest
from playwright.sync_api import Page, expect
from tests.diagram.conftest import SEED, OpenPage, both_move_together, bytes_of
from tests.support.simulated import steady

from oarlock.cli.draw import draw
from oarlock.cli.trace import trace as trace_command
from oarlock.diagram.comparison import as_plain, compare
from oarlock.diagram.page import page as page_of
from oarlock.sim import generate, record_schedule
from oarlock.sim.schedule import Fault, MessageEdit
from oarlock.trace.loaded import Trace, load
from oarlock.trace.schema import Event, Header, Kind, encode


def _as_read(data: bytes) -> Trace:
    header, *events = data.splitlines()
    return Trace(
        msgspec.json.decode(header, type=Header),
        [msgspec.json.decode(line, type=Event) for line in events],
    )


@cache
def _crashing(servers: int = 3) -> Trace:
    """A short run with a crash, a cut and a change of leaders."""
    faults = (
        Fault(at=0.5, kind="kill", servers=(1,), seconds=0.3),
        Fault(at=0.9, kind="isolate", servers=(0,), seconds=0.6),
    )
    schedule = steady(*faults, seconds=1.6)
    settings = msgspec.structs.replace(schedule.settings, servers=servers)
    return record_schedule(msgspec.structs.replace(schedule, seed=SEED + 1, settings=settings))[1]


def _without_a_message(run: Trace) -> Trace:
    """The same seed, but for a lost message."""
    sent = [event for event in run.events if event.k is Kind.SEND and event.x.get("entries")][2]
    edit = MessageEdit(message=sent.id, do="drop")
    return record_schedule(msgspec.structs.replace(generate(SEED), edits=(edit,)))[1]


def _as_live(trace: Trace) -> bytes:
    """As a live cluster has it: other names, and times since 1970."""
    text = bytes_of(trace).decode()
    for number in (1, 2, 3):
        text = text.replace(f'"n{number}', f'"na3f0b17c{number}')
    header, *lines = (json.loads(line) for line in text.splitlines())
    header |= {"kind": "live", "run": "c0ffee", "clock": "wall"}
    del header["schedule"], header["seed"]
    events = [line | {"t": line["t"] + 1_790_000_000_000_000} for line in lines]
    return b"".join(json.dumps(each).encode() + b"\n" for each in (header, *events))


def _open(page: Page, data: bytes, name: str = "other.jsonl") -> None:
    page.locator(".opening input").set_input_files({"name": name, "mimeType": "text/plain", "buffer": data})


def test_page_compares_as_python_does(open_page: OpenPage, run: Trace) -> None:
    """The page finds where two runs part, and all that differs, in the words of Python, and what is to be known before."""
    page = open_page()
    others = {
        "a lost message": bytes_of(_without_a_message(run)),
        "another seed": bytes_of(_crashing()),
        "more servers": bytes_of(_crashing(5)),
        "a live run": _as_live(_crashing()),
        "itself": bytes_of(run),
        "no events": encode(run.header),
    }
    notes = {}
    for what, data in others.items():
        found = page.evaluate(
            """async (text) => {
              const [{ readFile }, { compare }] = await Promise.all([import("oarlock/load.js"), import("oarlock/comparison.js")]);
              return compare(oarlock.run, await readFile(new File([text], "other.jsonl"), () => {}), oarlock.extras);
            }""",
            data.decode(),
        )
        wanted = as_plain(compare(_as_read(bytes_of(run)), _as_read(data)))
        assert found == wanted, what
        notes[what] = found["note"]
    assert notes["a lost message"] == notes["itself"] == ""
    assert "are unrelated" in notes["another seed"]
    assert notes["more servers"].endswith("only the second has n4, n5.")
    assert notes["a live run"].endswith("which is live, have no server in common: where they part cannot be asked.")
    assert notes["no events"] == "There is nothing to compare: in one run no server did anything."


def test_opened_file_is_drawn_beside(open_page: OpenPage, run: Trace) -> None:
    """A second trace that is opened, gzipped or not, is drawn; both runs go to where they part, and move together."""
    page = open_page()
    page.keyboard.press("d")
    other = _without_a_message(run)
    _open(page, gzip.compress(bytes_of(other)), "other.jsonl.gz")
    expect(page.locator("#panel-diff .other canvas")).to_be_visible()
    first = compare(run, other).first
    assert first is not None
    at = "[oarlock.store, oarlock.views.diff.other].map(({ run, shared }) => run.events[shared.cursor].id)"
    assert page.evaluate(at) == [first.one, first.other]
    expect(page.locator("#panel-diff .parted dd").nth(1)).to_contain_text(first.told_other)
    expect(page.locator("#panel-diff .selected")).to_contain_text(f"{first.other} \N{MIDDLE DOT} ")
    both_move_together(page)


def test_dropped_page_is_compared(open_page: OpenPage, run: Trace) -> None:
    """A page of a run, dropped anywhere on another's, brings its run; the view of two runs comes to the front."""
    page = open_page()
    text = page_of(run.header, run.events, title="The same")
    page.evaluate(
        """(text) => {
          const dataTransfer = new DataTransfer();
          dataTransfer.items.add(new File([text], "same.html"));
          for (const name of ["dragover", "drop"]) document.body.dispatchEvent(new DragEvent(name, { dataTransfer, bubbles: true, cancelable: true }));
        }""",
        text,
    )
    expect(page.locator("#panel-diff")).to_contain_text("The servers do the same in both runs.")
    assert page.evaluate("oarlock.views.diff.other.run.length") == len(run)


def test_what_is_no_trace_is_named(open_page: OpenPage) -> None:
    """Of a file that is no trace the page says so in a sentence, and what was there before stays."""
    page = open_page()
    page.keyboard.press("d")
    _open(page, bytes_of(_crashing()))
    told, drawn = page.locator(".opening .told"), page.locator("#panel-diff .other canvas")
    expect(drawn).to_be_visible()
    header = encode(_crashing().header)
    wrong = {
        "notes.txt": (b"Dear diary,\n", "it is no trace: its first line is no JSON."),
        "package.json": (b'{"name":"x"}\n', "it is no trace: its first line names no run."),
        "new.jsonl": (header.replace(b'"v":1', b'"v":2'), "this page reads raft-trace/1, and the file says version 2."),
        "bad.jsonl": (header + b'{"id":"n1.1.1"}\n', "its line 2 is no event: it lacks id, time or kind."),
        "empty.jsonl": (b"", "it is empty."),
        "page.html": (b"<!doctype html><p>Hello", "it is a page without a run."),
    }
    for name, (data, reason) in wrong.items():
        _open(page, data, name)
        expect(told).to_have_text(f"{name} cannot be compared: {reason}")
    expect(drawn).to_be_visible()


@pytest.fixture
def two_files(tmp_path: Path, run: Trace) -> tuple[Path, Path]:
    one, other = tmp_path / "one.jsonl", tmp_path / "other.jsonl"
    one.write_bytes(bytes_of(run))
    other.write_bytes(bytes_of(_crashing()))
    return one, other


def test_draw_against(two_files: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    """`draw --against` writes a page of two runs under both names; for a picture, or what is no trace, it says why not."""
    one, other = two_files
    page = one.with_name("both.html")
    assert draw([str(one), "--against", str(other), "-o", str(page)]) == 0
    assert f"{len(load(one)):,} and {len(load(other)):,} events" in capsys.readouterr().out
    text = page.read_text(encoding="utf-8")
    assert "<title>one.jsonl and other.jsonl</title>" in text
    assert '"names":["one.jsonl","other.jsonl"]' in text
    page.unlink()
    page.write_text("Dear diary,\n")
    assert draw([str(one), "--against", str(page), "-o", str(page)]) == 2
    assert "both.html, line 1: is no header of a trace" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        draw([str(one), "--against", str(other), "-o", "run.svg"])
    assert "only a page (.html) shows two runs" in capsys.readouterr().err


def test_incomplete_record_is_named(two_files: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    """Where events are missing inside a trace, commands that need all of them say from where on, and what helps."""
    one, other = two_files
    lines = one.read_bytes().splitlines(keepends=True)
    one.write_bytes(b"".join([*lines[:100], *lines[400:]]))
    picture = str(one.with_suffix(".mmd"))
    for arguments in (["diff", str(one), str(other)], ["why-not", str(one), "leader"]):
        assert trace_command(arguments) == 2
        assert "what came before it was not recorded. `oarlock trace check`" in capsys.readouterr().err
    assert draw([str(one), "-o", picture]) == 2
    assert "oarlock draw: event " in capsys.readouterr().err
