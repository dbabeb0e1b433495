"""Hunts find bugs, in processes of their own, and blame no innocent."""

import importlib
import json

import pytest

from oarlock.cli.main import main
from oarlock.zoo.catalogue import MUTANTS
from oarlock.zoo.hunting import WorkerFailed, ask, hunt_all
from oarlock.zoo.mutant import Edit, Mutant
from oarlock.zoo.patching import install
from oarlock.zoo.worker import Hunt, Request

QUICK = {
    "votes-twice": "one vote a term",
    "acknowledges-before-the-disk": "nothing promised before it is durable",
    "counts-older-terms": "only the current term is committed",
    "one-copy-commits": "committed on a durable quorum",
    "reads-where-it-is": "reads are linearizable",
    "hands-out-twice": "applied in order, once",
}
"""Mutants that the first seeds catch, and by what."""

SHORT = 9
"""A seed of whole servers that takes little time."""


def test_quick_ones_are_caught() -> None:
    """A few mutants of different rules are caught by chance, each by the property that it breaks."""
    verdicts = hunt_all([MUTANTS[id_] for id_ in QUICK], repeats=1, seeds=30)
    found = {verdict.mutant: verdict.chance[0].caught for verdict in verdicts}
    assert {id_: catch.property for id_, catch in found.items() if catch is not None} == QUICK


@pytest.mark.parametrize(
    ("id_", "scene"),
    [
        ("refused-vote-resets-timer", "a_stale_log_campaigns"),
        ("stale-heartbeat-resets-timer", "a_candidate_of_an_old_term"),
        ("one-timeout-for-all", "all_start_together"),
        ("old-votes-count", "votes_come_late"),
        ("leads-on-a-stalled-disk", "the_leaders_disk_stalls"),
    ],
)
def test_liveness_needs_a_scene(id_: str, scene: str) -> None:
    """Mutants that need just the right moment are caught by the scene made for it."""
    catch = ask(Request(id_, [Hunt("scenes", 1, 1)])).outcomes[0].caught
    assert catch is not None
    assert catch.where == f"{scene}(1)"


def test_a_rare_one_is_hunted_down() -> None:
    """A mutant that the first seed does not show is caught in the end, and by that very seed when it is run again."""
    first = ask(Request("votes-for-any-log", [Hunt("core", 1, 300)])).outcomes[0]
    assert first.caught is not None
    again = ask(Request("votes-for-any-log", [Hunt("core", int(first.caught.where), 1)])).outcomes[0]
    assert again.caught == first.caught


def test_the_code_as_it_is_passes() -> None:
    """The same hunts find nothing in the production code: neither in cores nor in whole servers."""
    answer = ask(
        Request(None, [Hunt("scenes", 1, 1), Hunt("core", 1, 10), Hunt("node", SHORT, 1), Hunt("drill", 1, 1)])
    )
    assert [outcome.caught for outcome in answer.outcomes] == [None] * 4


def test_a_whole_server_is_hunted() -> None:
    """A bug outside the core is caught in the simulator of whole servers."""
    catch = ask(Request("log-is-not-synced", [Hunt("node", SHORT, 1)])).outcomes[0].caught
    assert catch is not None
    assert catch.property == "nothing promised before it is durable"


def test_patches_come_before_imports() -> None:
    """A process that has imported a module already is refused: it would run the code as it is."""
    importlib.import_module("oarlock.raft.log")
    mutant = Mutant(id="late", breaks=(), bug="", harm="safety", edits=(Edit("raft.log", "a", "b"),))
    with pytest.raises(RuntimeError, match=r"oarlock\.raft\.log imported before the patch"):
        install(mutant)


def test_a_worker_that_fails_says_why() -> None:
    """An answer that does not come is the zoo's failure, not a catch."""
    with pytest.raises(WorkerFailed, match="no-such-mutant"):
        ask(Request("no-such-mutant", []))


def test_commands(capsys: pytest.CaptureFixture[str]) -> None:
    """`zoo list` names all, `zoo run` hunts one and gives JSON, and a name that is none is refused."""
    assert main(["zoo", "list", "--json"]) == 0
    assert [each["id"] for each in json.loads(capsys.readouterr().out)] == list(MUTANTS)
    assert main(["zoo", "run", "votes-twice", "--repeats", "1", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["caught"]
    assert row["median_seeds"] == 1
    assert main(["zoo", "run", "votes-thrice"]) == 2
    assert "no mutant 'votes-thrice'" in capsys.readouterr().err
