"""The tutorial shows what its commands print, and its pictures are what is drawn of its runs now."""

import pytest
from tests.support.scripts import load_script

TUTORIAL = load_script("generate_tutorial")


def test_outputs_are_current() -> None:
    """Each command of the page prints, on the runs beside it, what the page says."""
    assert TUTORIAL.PAGE.read_text(encoding="utf-8") == TUTORIAL.page(), "run: python scripts/generate_tutorial.py"


@pytest.mark.parametrize("name", sorted(TUTORIAL.PICTURES))
def test_pictures_are_current(name: str) -> None:
    """Drawn again, a stretch of a kept run is the very SVG that is kept: no change of drawing goes unseen."""
    kept = TUTORIAL.image_path(name).read_text(encoding="utf-8")
    assert kept == TUTORIAL.picture(TUTORIAL.PICTURES[name]), (
        "look at it, then run: python scripts/generate_tutorial.py"
    )


def test_the_story_is_in_the_runs() -> None:
    """In one run an entry of an older term is on a majority, uncommitted; in the other a snapshot is installed."""
    printed = TUTORIAL.page()
    assert "but its term 2 is older than the leader's, 4" in printed
    assert "drops its whole log" in printed
