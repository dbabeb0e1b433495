"""What the documents ask of a recorded run has answers."""

import re
import shlex
from pathlib import Path

import pytest
from tests.support.source_tree import ROOT

from oarlock.cli.main import main

PAGES = ("README.md", "docs/howto/explain-a-broken-run.md")
SEED = 42


def _questions() -> list[list[str]]:
    """The commands of these pages that ask about a message, an event or an index of seed 42's run."""
    text = "\n".join((ROOT / page).read_text() for page in PAGES)
    lines = re.findall(r"^\$ oarlock (trace (?:why|why-not|what-if) run\.jsonl .*?)(?: +#.*)?$", text, re.MULTILINE)
    return [shlex.split(line) for line in dict.fromkeys(lines) if not line.endswith(" viol")]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The recorded run."""
    path = tmp_path_factory.mktemp("shown") / "run.jsonl"
    assert main(["sim", "--seed", str(SEED), "--trace", str(path)]) == 0
    return path


def test_the_run_is_worth_a_look(run: Path) -> None:
    """The seed that newcomers draw is of several servers, and has more than one leader."""
    text = run.read_text()
    assert '"n3":' in text.partition("\n")[0]
    assert text.count('"L-1"') >= 2


@pytest.mark.parametrize("question", _questions(), ids=" ".join)
def test_what_is_asked_is_answered(
    question: list[str], run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each command, as it stands in the documents, finds what it names and says something."""
    arguments = [str(run) if each == "run.jsonl" else each for each in question]
    if "-o" in arguments:
        arguments[arguments.index("-o") + 1] = str(tmp_path / "page.html")
    assert main(arguments) == (1 if "what-if" in arguments else 0)  # as of `diff`: the runs differ
    said = capsys.readouterr()
    assert said.out
    assert not said.err
