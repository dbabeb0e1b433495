"""The matrix of logs: what the canvas shows, a table says in words, and both are what the trace holds."""

from playwright.sync_api import Page, expect
from tests.diagram.conftest import OpenPage
from tests.diagram.test_page import settled

from oarlock.trace.loaded import Trace
from oarlock.trace.state import states_at

TWIN = "#panel-matrix table"
COLOURS = """([row, column]) => {
  const { canvas, context } = oarlock.views.matrix;
  const ratio = canvas.width / canvas.clientWidth;
  const found = new Set();
  const pixels = context.getImageData(
    (110 + column * 34) * ratio, (30 + 22 + row * 46) * ratio, 32 * ratio, 26 * ratio).data;
  for (let at = 0; at < pixels.length; at += 4) found.add(pixels.slice(at, at + 3).join());
  return found.size;
}"""


def committed_late(page: Page) -> int:
    """Put the cursor where the last entry is known to be committed; where that is."""
    position = int(page.evaluate("oarlock.run.commits.data[oarlock.run.commits.length - 1]"))
    page.evaluate("(at) => oarlock.store.goTo(at)", position)
    settled(page)
    return position


def test_rows_are_the_states_of_the_trace(open_page: OpenPage, run: Trace) -> None:
    """Every entry has the term that its server's log has there, at any position, and says what is known of it."""
    page = open_page()
    for position in range(0, len(run), max(1, len(run) // 12)):
        page.evaluate("(at) => oarlock.store.goTo(at)", position)
        settled(page)
        logs = page.evaluate("oarlock.views.matrix.logs")
        cluster = states_at(run, position)
        by_name = {run.header.nodes.get(lane) or lane: state for lane, state in cluster.states.items()}
        assert [row["name"] for row in logs["rows"]] == sorted(by_name)
        for row in logs["rows"]:
            state = by_name[row["name"]]
            terms = {index: term for first, last, term in state.log for index in range(first, last + 1)}
            for entry in row["entries"]:
                index = entry["index"]
                if index > state.base[0]:
                    assert entry.get("term") == terms.get(index)
                assert entry["isCompacted"] == (index <= state.base[0])
                assert entry["isCommitted"] == (index <= state.commit)
                assert entry["isDurable"] == (index <= state.durable)


def test_the_table_says_what_the_canvas_shows(open_page: OpenPage) -> None:
    """Once the cursor rests, whoever hears the page gets each entry and each mark as words."""
    page = open_page()
    committed_late(page)
    facts = page.evaluate("oarlock.views.matrix.logs.facts")
    expect(page.locator(f"{TWIN} caption")).to_have_text(facts)
    rows = page.evaluate("oarlock.views.matrix.logs.rows")
    heads = page.locator(f"{TWIN} th[scope=row]").all_text_contents()
    assert heads == [f"{row['name']} {row['role']}" for row in rows]
    said = page.locator(f"{TWIN} tbody tr:nth-child(odd) td").all_text_contents()
    entries = [entry for row in rows for entry in row["entries"]]
    assert len(said) == len(entries)
    for words, entry in zip(said, entries, strict=True):
        if entry.get("term") is None:
            assert words == "no entry"
        elif not entry["isCompacted"]:
            assert f"entry {entry['index']} of term {entry['term']}" in words
            assert ("not known to be committed" in words) == (not entry["isCommitted"])
            assert ("not yet on disk" in words) == (not entry["isDurable"])
    marks = ["; ".join(mark["words"] for mark in column) for row in rows for column in row["marks"]]
    assert page.locator(f"{TWIN} tbody tr:nth-child(even) td").all_text_contents() == marks


def test_a_cell_shows_its_entry(open_page: OpenPage) -> None:
    """An entry is drawn where its words are found, and what is there is told to the pointer."""
    page = open_page()
    committed_late(page)
    rows = page.evaluate("oarlock.views.matrix.logs.rows")
    entries = rows[0]["entries"]
    there = next(at for at, entry in enumerate(entries) if entry.get("term") is not None and entry["isCommitted"])
    none = next(at for at, entry in enumerate(entries) if entry.get("term") is None)
    assert page.evaluate(COLOURS, [0, there]) > page.evaluate(COLOURS, [0, none]), "the entry is not drawn"
    page.locator("#panel-matrix canvas").hover(position={"x": 110 + there * 34 + 10, "y": 30 + 22 + 10})
    expect(page.locator("#panel-matrix canvas")).to_have_attribute(
        "title", f"entry {entries[there]['index']} of term {entries[there]['term']}, applied"
    )


def test_what_nothing_changed_is_not_drawn_again(open_page: OpenPage) -> None:
    """A step that changes no log leaves the canvas as it is; one that does draws it."""
    page = open_page()
    position = committed_late(page)
    page.evaluate(
        "() => { const { painter } = oarlock.views.matrix, paint = painter.paint.bind(painter);"
        " window.paints = 0; painter.paint = (...all) => { paints += 1; paint(...all); }; }"
    )
    quiet = int(
        page.evaluate(
            "(at) => { const { events } = oarlock.run; while (events[at].w || events[at].s || events[at].k === 'crash') at += 1;"
            " oarlock.store.goTo(at - 1); return at; }",
            position + 1,
        )
    )
    settled(page)
    before = page.evaluate("paints")
    page.evaluate("(at) => oarlock.store.goTo(at)", quiet)
    settled(page)
    assert page.evaluate("paints") == before
    page.evaluate("oarlock.store.goTo(0)")
    settled(page)
    assert page.evaluate("paints") == before + 1
