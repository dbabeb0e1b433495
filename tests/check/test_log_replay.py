"""Replay by the log: what it accepts, and each way in which a run can be wrong."""

import random

import msgspec
import pytest

from oarlock.check import (
    HistoryError,
    Operation,
    Placed,
    ReplayReport,
    Verdict,
    check_history,
    make_history,
    replay_log,
)


def write(client, value, call, returned, command, index=None) -> Placed:
    """A write of a register."""
    operation = Operation(client=client, kind="write", input=value, call=call, return_=returned)
    return Placed(operation, command=command, index=index)


def read(client, value, call, returned, index, read_index=None) -> Placed:
    """A read of a register, answered after `index` was applied."""
    operation = Operation(client=client, kind="read", output=value, call=call, return_=returned)
    return Placed(operation, index=index, read_index=read_index)


def found(report: ReplayReport) -> set[str]:
    """The names of what does not hold."""
    return {violation.name for violation in report.violations}


def test_true_run_passes() -> None:
    """Entries of the algorithm's own, repeated commands, unknown outcomes and reads between writes are all in order."""
    log = {1: None, 2: "w1", 3: "w2", 4: "w1", 5: "w3", 6: None}
    placed = [
        write(1, "a", 1, 4, "w1", 2),
        read(9, "a", 3, 5, index=2, read_index=1),
        read(8, "a", 2, 9, index=2),
        write(2, "b", 4, 8, "w2"),
        write(3, "c", 5, None, "w3"),
        write(4, "d", 5, None, "never"),
        read(9, "c", 11, 12, index=6, read_index=5),
        read(9, None, 13, None, index=None),
    ]
    report = replay_log(log, placed, "register", committed_at={2: 3, 3: 6, 5: 10})
    assert report.ok, report.sentence
    assert (report.operations, report.entries) == (8, 6)


@pytest.mark.parametrize(
    ("name", "log", "placed", "said"),
    [
        ("no acknowledged write lost", {1: None}, [write(1, "a", 1, 2, "w1")], "its command w1 is not in the log"),
        ("no phantom", {1: "w9"}, [], "command w9 at index 1 is of no client"),
        (
            "exactly once",
            {1: "w1", 2: "w1"},
            [write(1, "a", 1, 3, "w1", 2)],
            "answered from index 2, but its command w1 acts at 1",
        ),
        (
            "exactly once",
            {1: "w1"},
            [write(1, "a", 1, 3, "w1"), write(2, "a", 1, 3, "w1")],
            "operations 1 and 2 are both said to be w1",
        ),
        (
            "real time",
            {1: "w1", 2: "w2"},
            [write(1, "a", 5, 6, "w1"), write(2, "b", 1, 2, "w2")],
            "operation 2 acts at index 2 and returned at 2, but operation 1, before it at index 1, was only called at 5",
        ),
        (
            "real time",
            {1: "w1"},
            [write(1, "a", 5, 6, "w1"), read(2, "a", 1, 2, index=1)],
            "operation 2 acts after index 1 and returned at 2",
        ),
        (
            "right answers",
            {1: "w1", 2: "w2"},
            [write(1, "a", 1, 2, "w1"), write(1, "b", 3, 4, "w2"), read(2, "a", 3, 6, index=2)],
            'read() -> "a" by client 2, acts after index 2, where the state is "b"',
        ),
        (
            "read index",
            {1: "w1", 2: "w2"},
            [write(1, "a", 1, 2, "w1"), write(1, "b", 3, 4, "w2"), read(2, "b", 5, 6, index=2, read_index=1)],
            "read 3, called at 5, has read index 1, but operation 2 was acknowledged before that at index 2",
        ),
        (
            "reads are placed",
            {1: "w1", 2: "w2"},
            [write(1, "a", 1, 9, "w1"), write(2, "b", 1, 9, "w2"), read(3, "a", 1, 9, index=1, read_index=2)],
            "read 3 has read index 2, but was answered when only 1 was applied",
        ),
        ("reads are placed", {}, [read(3, None, 1, 9, index=None)], "was answered, but it has no index"),
    ],
)
def test_each_fault_is_named(name: str, log: dict, placed: list[Placed], said: str) -> None:
    """One violation of the right name, in a sentence with the operations and indices concerned."""
    report = replay_log(log, placed, "register")
    assert report.verdict is Verdict.VIOLATED
    assert name in found(report)
    assert any(said in violation.sentence for violation in report.violations), report.violations
    assert msgspec.json.decode(msgspec.json.encode(report), type=ReplayReport) == report


def test_stale_read_breaks_real_time_though_its_answer_fits_its_place() -> None:
    """A read served from an old prefix answers that prefix rightly, and is caught by the clock alone."""
    placed = [write(1, "a", 1, 2, "w1"), write(1, "b", 3, 4, "w2"), read(2, "a", 5, 6, index=1)]
    assert found(replay_log({1: "w1", 2: "w2"}, placed, "register")) == {"real time"}


def test_times_of_commitment_bound_each_answer() -> None:
    """A command is not answered before it is committed, nor committed before it is called."""
    early = [write(1, "a", 1, 2, "w1")]
    assert found(replay_log({1: "w1"}, early, "register", committed_at={1: 3})) == {"no early answer"}
    assert found(replay_log({1: "w1"}, early, "register", committed_at={})) == {"no early answer"}
    assert found(replay_log({1: "w1"}, early, "register", committed_at={1: 0.5})) == {"real time"}
    assert replay_log({1: "w1"}, early, "register", committed_at={1: 1.5}).ok


def test_repetition_is_a_fault_where_nothing_removes_it() -> None:
    """Without removal of duplicates a second copy in the log acts again."""
    log = {1: "w1", 2: "w1"}
    placed = [write(1, "a", 1, 2, "w1")]
    assert replay_log(log, placed, "register").ok
    assert found(replay_log(log, placed, "register", is_deduplicated=False)) == {"exactly once"}


def test_keys_and_revisions_are_replayed_as_one_store() -> None:
    """Of a key-value store, revisions across keys are compared with the log's order."""

    def put(key: str, revision: int, call: int, command: str) -> Placed:
        operation = Operation(
            client=1,
            kind="put",
            input={"key": key, "value": "1"},
            output={"revision": revision},
            call=call,
            return_=call + 1,
        )
        return Placed(operation, command=command)

    log = {1: "a", 2: "b"}
    assert replay_log(log, [put("x", 2, 1, "a"), put("y", 3, 3, "b")], "kv").ok
    assert found(replay_log(log, [put("x", 2, 1, "a"), put("y", 2, 3, "b")], "kv")) == {"right answers"}


def test_bad_operation_is_named() -> None:
    """What the model does not know is said, as for histories."""
    with pytest.raises(HistoryError, match=r"kind: model \"queue\" knows"):
        replay_log({1: "w1"}, [write(1, "a", 1, 2, "w1")], "queue")


def _run(seed: int) -> tuple[dict, list[Placed]]:
    """A log and the operations of clients whose moments follow it."""
    rng = random.Random(seed)
    log: dict[int, str | None] = {}
    placed = []
    value, now = None, 0
    for index in range(1, rng.randint(4, 8)):
        now += 10
        log[index] = f"w{index}" if rng.random() < 0.9 else None
        if log[index] is not None:
            value = rng.choice(("a", "b", index))
            returned = now + rng.randint(1, 30) if rng.random() < 0.8 else None
            placed.append(write(index, value, now - rng.randint(1, 30), returned, log[index]))
        if rng.random() < 0.6:
            placed.append(read(-index, value, now + 2 - rng.randint(1, 30), now + 3 + rng.randint(1, 30), index=index))
    return log, placed


def test_what_replay_accepts_is_linearizable() -> None:
    """Runs with moments and answers shaken: whatever replay accepts, the search accepts too, which knows no log."""
    accepted = refused = 0
    for seed in range(300):
        log, placed = _run(seed)
        assert replay_log(log, placed, "register").ok, f"seed {seed}"
        rng = random.Random(-seed)
        i = rng.randrange(len(placed))
        shaken = placed[i].operation
        call = shaken.call + rng.randint(-40, 40)
        returned = None if shaken.return_ is None else max(call, shaken.return_ + rng.randint(-40, 40))
        shaken = msgspec.structs.replace(shaken, call=call, return_=returned)
        if shaken.kind == "read":
            shaken = msgspec.structs.replace(shaken, output=rng.choice((shaken.output, "a", "b")))
        placed[i] = msgspec.structs.replace(placed[i], operation=shaken)
        verdict = replay_log(log, placed, "register").ok
        accepted += verdict
        refused += not verdict
        if verdict:
            assert check_history(make_history(each.operation for each in placed), "register").ok, f"seed {seed}"
    assert min(accepted, refused) > 20, "shaking is at times harmless, at times not"
