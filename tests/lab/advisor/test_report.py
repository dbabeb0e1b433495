"""The report in words, as JSON and as a page, and the command."""

import json
from itertools import pairwise
from pathlib import Path

import pytest

from oarlock.cli.main import main
from oarlock.lab.advisor import advise
from oarlock.lab.advisor.examples import toy
from oarlock.lab.advisor.report import to_json

FAULTY = "oarlock.lab.advisor.examples.shared_data:faulty"


def test_command_tells_rule_stacks_and_advice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`oarlock lab advise` says what was seen where, with which locks, and what to do; the page holds the same."""
    page = tmp_path / "advice.html"
    assert main(["lab", "advise", FAULTY, "--seed", "1", "-o", str(page)]) == 1
    told = capsys.readouterr().out
    assert "rule 1: Faulty.role   [shared-data, K1, seed 1]" in told
    assert "holding Faulty.mu" in told
    assert "holding nothing" in told
    assert "in Faulty.get_state: return self.current_term, self.role == LEADER" in told
    assert "-> Hold the lock that guards this data at every access" in told
    html = page.read_text()
    assert "rule 1 (K1): Faulty.role" in html
    assert "<script src" not in html
    assert "http" not in html


def test_json_has_findings_and_timeline(capsys: pytest.CaptureFixture[str]) -> None:
    """`--json` prints findings with their stacks, and the timeline: who held a lock, wanted one, and called, and when."""
    assert main(["lab", "advise", "oarlock.lab.advisor.examples.sleep_with_lock:faulty", "--seed", "1", "--json"]) == 1
    advice = json.loads(capsys.readouterr().out)
    finding = next(each for each in advice["findings"] if each["check"] == "waits-with-lock")
    assert finding["rule"] == "rule 4"
    assert {"file", "line", "function", "text"} == finding["places"][0]["stack"][0].keys()
    spans = advice["timeline"]["spans"]
    assert {span["kind"] for span in spans} == {"holds", "wants", "calls"}
    assert all(span["began_ns"] <= span["ended_ns"] for span in spans)
    # One server has one life until the restart, so its lock is held by one at a time.
    held = [span for span in spans if (span["kind"], span["server"]) == ("holds", 0)][:200]
    held = [span for span in held if span["subject"] == "Faulty.mu"]
    assert all(one["ended_ns"] <= other["began_ns"] for one, other in pairwise(held))


def test_nothing_to_advise_is_success(capsys: pytest.CaptureFixture[str]) -> None:
    """A program that follows the advice gives status 0; classes are as they were afterwards."""
    assert main(["lab", "advise", "oarlock.lab.advisor.examples.toy:make", "--seed", "3"]) == 0
    assert "nothing to advise" in capsys.readouterr().out
    assert "__getattribute__" not in vars(toy.Toy)


def test_modules_can_be_watched_as_well(capsys: pytest.CaptureFixture[str]) -> None:
    """`--also` watches the classes of a shared module, and gives them back as they were."""
    from oarlock.raft.progress import Progress

    main(["lab", "advise", "oarlock.lab.raft:make", "--seed", "1", "--also", "oarlock.raft.progress"])
    assert "nothing to advise" in capsys.readouterr().out
    assert "__getattribute__" not in vars(Progress)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["no.such:make"], "no.such cannot be imported"),
        (["json:loads"], "make raised TypeError: loads() takes 1 positional argument"),
        (["NOTHING:make"], "make returned a NoneType, which has no start, no get_state, no kill"),
        (["NOTHING:make", "--also", "no_such"], "no_such, which is to be watched as well, cannot be imported"),
    ],
)
def test_what_cannot_be_watched_is_one_error(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A target that is not there, or makes no Raft, gives status 2 and a sentence."""
    (tmp_path / "nothing.py").write_text("def make(*arguments): return None\n")
    arguments[0] = arguments[0].replace("NOTHING", f"{tmp_path}/nothing.py")
    assert main(["lab", "advise", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_advice_repeats() -> None:
    """The same seed gives the same findings, in the same order, with the same times."""
    target = "oarlock.lab.advisor.examples.serial_rpcs:faulty"
    assert to_json(advise(target, seeds=(4,))) == to_json(advise(target, seeds=(4,)))
