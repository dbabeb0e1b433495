"""The search: against an oracle that tries every order, on a corpus, under mutation, within a budget."""

import json
import random
from pathlib import Path

import msgspec
import pytest
from tests.check.brute_force import is_linearizable
from tests.check.generator import CORPUS, GENERATED, generate, with_foreign_answer
from tests.check.objects import OBJECTS

from oarlock.check import (
    MODELS,
    HistoryError,
    Operation,
    Report,
    Verdict,
    check_history,
    make_history,
    model_named,
    read_history,
    render,
    run_check,
)
from oarlock.check.history import history_lines

OK = sorted((CORPUS / "ok").glob("*.jsonl"))
BAD = sorted((CORPUS / "bad").glob("*.jsonl"))


@pytest.mark.parametrize("path", OK, ids=lambda path: path.stem)
def test_good_history_passes(path: Path) -> None:
    """Every history in tests/histories/ok is linearizable."""
    report = run_check(path)
    assert report.verdict is Verdict.OK, report.sentence
    assert report.counterexample is None


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_bad_history_is_refused(path: Path) -> None:
    """Every history in tests/histories/bad is not; the brute-force oracle agrees, and the reason can be shown."""
    report = run_check(path)
    assert report.verdict is Verdict.VIOLATED
    history = read_history(path)
    assert not is_linearizable(history, model_named(report.model))
    prefix = report.counterexample.prefixes[0]
    blocker = next(stuck.number for stuck in prefix.stuck if stuck.must_be_next)
    shown = json.dumps(history.operations[blocker - 1].kind)[1:-1]
    assert shown in report.sentence
    assert blocker not in prefix.order
    assert render(report).startswith("VIOLATED: Not linearizable")


@pytest.mark.parametrize("name", MODELS)
def test_corpus_covers_model(name: str) -> None:
    """Each model has good and bad histories in the corpus."""
    for paths in (OK, BAD):
        assert name in {read_history(path).model for path in paths}


@pytest.mark.parametrize("name", GENERATED)
def test_corpus_is_what_the_generator_makes(name: str) -> None:
    """The generated part of the corpus can be made anew from its seed."""
    path = CORPUS / "ok" / f"generated-{name}.jsonl"
    made = b"".join(history_lines(generate(name, 1, **GENERATED[name]), "generated, seed 1"))
    assert path.read_bytes() == made


@pytest.mark.parametrize("name", OBJECTS)
def test_search_agrees_with_trying_every_order(name: str) -> None:
    """On small histories, true and with exchanged answers, the verdict is that of the exhaustive oracle."""
    refused = 0
    for seed in range(60):
        rng = random.Random(seed)
        true = generate(name, seed, operations=rng.randint(1, 6), clients=3, unknown=0.2)
        assert check_history(true, true.model).ok, f"seed {seed}"
        for _ in range(3):
            mutant = with_foreign_answer(true, rng)
            expected = is_linearizable(mutant, model_named(mutant.model))
            assert check_history(mutant, mutant.model).ok == expected, f"seed {seed}"
            refused += not expected
    assert refused > 3, "mutants are at times wrong, or nothing is shown"


@pytest.mark.parametrize("name", OBJECTS)
def test_large_true_history_passes(name: str) -> None:
    """Histories of some hundred operations by five clients are decided, and rightly."""
    for seed in range(3):
        history = generate(name, seed, operations=200, clients=5, unknown=0.03)
        report = check_history(history, history.model)
        assert report.verdict is Verdict.OK, f"seed {seed}: {report.sentence}"


@pytest.mark.parametrize("name", ["register", "cas-register", "queue", "counter", "set", "lock", "kv"])
def test_impossible_answer_in_a_large_history_is_found(name: str) -> None:
    """One answer among 200 that nothing explains is found, wherever it is."""
    impossible = {
        "register": ("read", 99999),
        "cas-register": ("read", 99999),
        "queue": ("dequeue", 99999),
        "counter": ("read", 99999),
        "set": ("read", [99]),
        "lock": ("acquire", 0),
        "kv": ("put", {"revision": 99999}),
    }
    kind, answer = impossible[name]
    for seed in range(4):
        history = generate(name, seed, operations=200, clients=5, unknown=0.02)
        operations = list(history.operations)
        places = [i for i, each in enumerate(operations) if each.kind == kind and each.return_ is not None]
        i = places[seed * (len(places) - 1) // 3]
        operations[i] = msgspec.structs.replace(operations[i], output=answer)
        report = check_history(make_history(operations), name)
        assert report.verdict is Verdict.VIOLATED, f"seed {seed}"


def test_budget_ends_in_no_pass_and_counts_alike() -> None:
    """When steps run out the verdict is unknown, which is no pass, and the count is the same every time."""
    history = generate("kv-plain", 2, operations=200, clients=30, unknown=0)
    reports = [check_history(history, "kv", max_steps=2000) for _ in range(2)]
    assert reports[0] == reports[1]
    assert reports[0].verdict is Verdict.UNKNOWN
    assert not reports[0].ok
    assert 2000 < reports[0].steps < 2100
    assert "2000 steps were not enough" in reports[0].sentence
    assert render(reports[0]).startswith("UNKNOWN: Not decided")


def test_smallest_partition_is_judged_first_and_the_first_violation_ends_it() -> None:
    """A violation in a small partition is found without looking at a large one."""
    large = generate("register", 1, operations=100, clients=10, unknown=0).operations
    wrong = Operation(client=99, kind="read", key="wrong", output="never", call=1, return_=2)
    report = check_history(make_history([*large, wrong]), "register")
    assert report.verdict is Verdict.VIOLATED
    assert [part.partition for part in report.partitions] == ["wrong"]
    assert report.partitions_not_judged == 2
    assert report.steps == 1


def test_violation_outweighs_an_undecided_partition() -> None:
    """A partition that used up the budget does not hide that another is wrong."""
    hard = [Operation(client=i, kind="write", key="a", input=i, call=1, return_=100) for i in range(6)]
    hard += [
        Operation(client=9, kind="read", key="a", output=f"{i}", call=101 + 2 * i, return_=102 + 2 * i) for i in (0, 1)
    ]
    easy = [Operation(client=i, kind="write", key="b", input=i, call=1, return_=2) for i in range(8)]
    easy.append(Operation(client=9, kind="read", key="b", output="never", call=0, return_=0))
    report = check_history(make_history([*hard, *easy]), "register", max_steps=3)
    assert [part.verdict for part in report.partitions] == [Verdict.UNKNOWN, Verdict.VIOLATED]
    assert report.verdict is Verdict.VIOLATED


def test_true_and_one_are_different_answers() -> None:
    """A lock that answered true under no token is not one that answered token 1."""
    answers = [True, 1]
    for first, second in (answers, answers[::-1]):
        history = make_history(
            [
                Operation(client=1, kind="acquire", output=first, call=1, return_=2),
                Operation(client=1, kind="release", output=True, call=3, return_=4),
                Operation(client=1, kind="acquire", output=second, call=5, return_=6),
                Operation(client=1, kind="release", input={"token": 5}, output=second is True, call=7, return_=8),
            ]
        )
        assert check_history(history, "lock").ok


def test_report_is_json_with_all_a_picture_needs() -> None:
    """A report encodes to JSON and back; the counterexample has every operation of its partition with its times."""
    report = run_check(CORPUS / "bad" / "second-key-is-bad.jsonl")
    back = msgspec.json.decode(msgspec.json.encode(report), type=Report)
    assert back == report
    assert [view.number for view in back.counterexample.operations] == [3, 4, 5]
    assert b'"return"' in msgspec.json.encode(back)
    assert {number for prefix in back.counterexample.prefixes for number in prefix.order} <= {3, 4, 5}


def test_file_that_names_no_model_needs_one(tmp_path: Path) -> None:
    """The model comes from the caller or from the file; the caller's wins."""
    path = tmp_path / "h.jsonl"
    path.write_text('{"format": "oarlock-history/1"}\n{"client": 1, "kind": "read", "call": 1, "return": 2}\n')
    with pytest.raises(HistoryError, match=r"h.jsonl:1: model: the file names none"):
        run_check(path)
    assert run_check(path, "register").ok
    assert run_check(CORPUS / "ok" / "concurrent-writes.jsonl", "cas-register").model == "cas-register"
