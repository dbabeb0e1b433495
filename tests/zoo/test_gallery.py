"""The gallery: of each bug a small run, the same run repaired, and a page that explains; interrupted, it goes on."""

import json
from pathlib import Path

import msgspec
import pytest
from playwright.sync_api import expect
from tests.diagram.conftest import OpenPage, browser, open_page, page_file, run  # noqa: F401 - fixtures

from oarlock.cli.gallery import _up_to_the_end_of
from oarlock.cli.main import main
from oarlock.diagram.gallery import Picture, index
from oarlock.trace.loaded import load
from oarlock.zoo.catalogue import MUTANTS
from oarlock.zoo.core.lessen import lessen
from oarlock.zoo.core.play import Act, Play
from oarlock.zoo.core.run import play_of, run_play, run_seed
from oarlock.zoo.core.trail import recorded
from oarlock.zoo.gallery import Exhibit, file_name, fingerprint
from oarlock.zoo.score import cells
from oarlock.zoo.score import recorded as recorded_rows

SHOWN = ("votes-twice", "no-no-op", "log-is-not-synced")
"""One found by seeds of cores, one by a scene, one by drills of whole servers."""


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The gallery of three bugs."""
    made = tmp_path_factory.mktemp("gallery")
    assert main(["zoo", "gallery", "-o", str(made), "--seconds", "6", "--only", *SHOWN]) == 0
    return made


def test_each_bug_has_a_page_and_a_row(directory: Path) -> None:
    """The index names each with what it goes against and what falls, and leads to its page."""
    text = (directory / "index.html").read_text()
    rows = json.loads((directory / "gallery.json").read_text())
    assert {row["id"] for row in rows} == set(SHOWN)
    for row in rows:
        assert (directory / row["file"]).exists()
        for words in (row["file"], row["id"], *row["breaks"]):
            assert words in text
        assert row["sentence"].endswith(".")
    assert "Election Safety (one vote a term)" in text


def test_the_repaired_run_breaks_nothing_and_is_the_same_until_the_bug(directory: Path) -> None:
    """Both runs of a bug begin alike, event by event; only the one with the bug ends with a violation."""
    for id_ in ("votes-twice", "no-no-op"):
        broken, repaired = (load(directory / "runs" / f"{id_}.{kind}.jsonl") for kind in ("broken", "repaired"))
        assert [event.k for event in broken.events].count("viol") == 1
        assert "viol" not in [event.k for event in repaired.events]
        assert broken.events[:3] == repaired.events[:3]
        assert _up_to_the_end_of(broken, repaired).events[-1].t <= broken.events[-1].t


def test_what_is_there_is_kept(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A second call makes nothing anew, unless the source that a run depends on has changed."""
    page = directory / "votes-twice.html"
    before = page.stat().st_mtime_ns
    assert main(["zoo", "gallery", "-o", str(directory), "--only", "votes-twice"]) == 0
    assert "(kept)" in capsys.readouterr().err
    assert page.stat().st_mtime_ns == before
    noted = directory / "runs" / "votes-twice.exhibit.json"
    exhibit = msgspec.json.decode(noted.read_bytes(), type=Exhibit)
    assert exhibit.code == fingerprint(MUTANTS["votes-twice"])
    noted.write_bytes(msgspec.json.encode(msgspec.structs.replace(exhibit, code="older")))
    assert main(["zoo", "gallery", "-o", str(directory), "--seconds", "3", "--only", "votes-twice"]) == 0
    assert page.stat().st_mtime_ns != before


def test_pages_are_drawn_anew_from_the_same_runs(
    directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where only the diagram has changed nothing is hunted; what was found goes into the zoo's table, with its length."""
    page, runs = directory / "votes-twice.html", directory / "runs" / "votes-twice.broken.jsonl"
    noted = directory / "runs" / "votes-twice.drawn.json"
    noted.write_text(noted.read_text().replace('"code": "', '"code": "older'))
    drawn, recorded_at = page.stat().st_mtime_ns, runs.stat().st_mtime_ns
    (tmp_path / "docs" / "reference").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert main(["zoo", "gallery", "-o", str(directory), "--write", "--only", "votes-twice"]) == 0
    assert "(kept)" not in capsys.readouterr().err
    assert page.stat().st_mtime_ns != drawn
    assert runs.stat().st_mtime_ns == recorded_at
    (row,) = recorded_rows(tmp_path)
    assert row.length is not None
    assert cells(row)[-1] == str(row.length)
    assert f"| {' | '.join(cells(row))} |" in (tmp_path / "docs" / "reference" / "zoo.md").read_text()


def test_without_a_hunt_what_is_missing_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--as-recorded` hunts nothing: a bug without a recorded run has no page."""
    assert main(["zoo", "gallery", "-o", str(tmp_path), "--as-recorded", "--only", "votes-twice"]) == 1
    assert "no run is recorded" in capsys.readouterr().err


def test_pages_open_with_the_explanation(directory: Path, open_page: OpenPage) -> None:  # noqa: F811
    """A bug's page shows what fell, both runs, and the way back to all bugs."""
    page = open_page(path=directory / "votes-twice.html")
    expect(page.locator("#violations")).to_contain_text("Election Safety does not hold")
    expect(page.locator("#panel-diff .question")).to_contain_text(MUTANTS["votes-twice"].bug)
    page.evaluate("oarlock.views.diff.ready")
    expect(page.locator("#panel-diff .other canvas")).to_be_visible()
    expect(page.locator("#facts a")).to_have_attribute("href", "index.html")


def test_unknown_bugs_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A bug that there is not is named, and nothing is made."""
    assert main(["zoo", "gallery", "-o", str(tmp_path / "out"), "--only", "never-heard-of"]) == 2
    assert "no mutant 'never-heard-of'" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_bugs_without_a_page_are_listed_with_the_reason() -> None:
    """Text of bugs cannot become markup, and one without a page has no link."""
    picture = Picture(id="a<b", bug="x & y", breaks=("RV-2", "G1"), property="", sentence="no run was found.")
    text = index([picture])
    assert "a&lt;b" in text
    assert "x &amp; y" in text
    assert 'href="' not in text.partition("<tbody>")[2]
    assert "0 of 1 bugs" in text


def test_names_of_files_are_harmless() -> None:
    """No mutant's page leaves the directory or meets another's."""
    names = [file_name(id_) for id_ in MUTANTS]
    assert len(set(names)) == len(names)
    assert not any("/" in name or "'" in name or "." in name for name in names)


def test_a_play_is_its_seed() -> None:
    """What is noted of a seed's run does the very same again, event by event, up to the end of its faults."""
    seed = 10
    with recorded() as one:
        run_seed(seed)
    with recorded() as other:
        run_play(play_of(seed))
    end = 50_000 * (play_of(seed).acts[-1].step + 1)
    first, second = ([event for event in trails[0].events if event.t < end] for trails in (one, other))
    assert first == second
    assert len(first) > 500


def test_plays_are_lessened_to_what_matters() -> None:
    """Acts, chance and settings that the breach does not need are gone; what it needs is there."""
    acts = [Act(step, "propose", times=5) for step in range(20)] + [Act(30, "crash", 1), Act(40, "restart", 1)]
    play = Play(seed=1, members=3, settings={"pre_vote": True, "lease_reads": True}, acts=acts)

    def breaks(tried: Play) -> str | None:
        done = [act.do for act in tried.acts]
        return "it" if "crash" in done and "restart" in done and tried.settings["pre_vote"] else None

    least = lessen(play, breaks, 5.0)
    assert [act.do for act in least.acts] == ["crash", "restart"]
    assert not least.faults
    assert least.members == 0
    assert least.settings["pre_vote"] is True
    assert least.settings["lease_reads"] is False
    assert least.acts[0].step < 30


def test_a_play_that_breaks_nothing_stays() -> None:
    """There is nothing to keep to."""
    play = Play(seed=1, settings={}, acts=[Act(1, "heal")])
    assert lessen(play, lambda _: None, 1.0) is play


def test_recording_changes_nothing() -> None:
    """A run of cores is the same whether it is recorded or not."""
    plain = run_seed(3)
    with recorded() as trails:
        seen = run_seed(3)
    assert (plain.describe(), plain.messages, plain.now) == (seen.describe(), seen.messages, seen.now)
    assert trails[0].events
