"""Histories: what is recorded, the file format, and what is said of bad files."""

import random
from pathlib import Path

import pytest
from tests.check.generator import generate

from oarlock.check import HistoryError, Operation, Recorder, check_history, make_history, read_history, write_history
from oarlock.check import history as history_module

HEADER = b'{"format": "oarlock-history/1", "model": "register"}\n'
GOOD = b'{"client": 1, "kind": "read", "call": 1, "return": 2}\n'


def test_file_gives_back_what_was_written(tmp_path: Path) -> None:
    """Writing and reading keeps every operation, in order, and the model's name."""
    for name in ("kv", "lock", "set", "register"):
        history = generate(name, 5, operations=40, clients=4, unknown=0.3)
        write_history(history, tmp_path / "h.jsonl", "a comment")
        back = read_history(tmp_path / "h.jsonl")
        assert back.operations == history.operations
        assert (back.model, back.source) == (history.model, "h.jsonl")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (b"", r"h:1: Input data was truncated"),
        (b"\n", r"h:1: Input data was truncated"),
        (b'{"model": "kv"}\n', r"h:1: Object missing required field `format`"),
        (b'{"format": "oarlock-history/2"}\n', r'h:1: format: expected "oarlock-history/1", got "oarlock-history/2"'),
        (b'{"format": "oarlock-history/1", "x": 1}\n', r"h:1: Object contains unknown field `x`"),
        (HEADER + b"[1]\n", r"h:2: Expected `object`, got `array`"),
        (HEADER + GOOD + b"{nonsense\n", r"h:3: JSON is malformed"),
        (HEADER + GOOD + b'{"client": 1, "kind": "read"}\n', r"h:3: Object missing required field `call`"),
        (HEADER + b'{"client": 1.5, "kind": "read", "call": 1}\n', r"h:2: client: Expected `int \| str`, got `float`"),
        (HEADER + b'{"client": 1, "kind": "read", "call": "1"}\n', r"h:2: call: Expected `int \| float`, got `str`"),
        (
            HEADER + b'{"client": 1, "kind": "read", "call": 3, "return": 2}\n',
            r"h:2: return: 2 is before the call at 3",
        ),
        (HEADER + b'{"client": 1, "kind": "read", "call": 1, "returned": 2}\n', r"h:2: Object contains unknown field"),
        (HEADER + b'{"client": 1, "kind": "\xff", "call": 1}\n', r"h:2: .*utf-8"),
        (HEADER + GOOD + b"\n", r"h:3: Input data was truncated"),
    ],
)
def test_bad_line_is_named(lines: bytes, message: str) -> None:
    """One error, with the line, the field and the reason."""
    with pytest.raises(HistoryError, match=message):
        history_module.parse_history(lines.splitlines(keepends=True), "h")


@pytest.mark.parametrize(
    ("model", "line", "message"),
    [
        ("register", {"kind": "pop"}, r'h:2: kind: model "register" knows read, write; got "pop"'),
        ("register", {"kind": "write", "input": 1.5}, r"h:2: input: Expected `int \| str \| null`, got `float`"),
        ("register", {"kind": "write", "input": True}, r"h:2: input: Expected `int \| str \| null`, got `bool`"),
        ("register", {"kind": "write", "input": 1, "output": "OK"}, r"h:2: output: Expected `null`, got `str`"),
        ("cas-register", {"kind": "cas", "input": {"expected": 1}, "output": True}, r"h:2: input: .*`new`"),
        ("cas-register", {"kind": "cas", "input": {"expected": 1, "new": []}, "output": True}, r"h:2: input.new: Exp"),
        ("lock", {"kind": "acquire", "input": {"token": 3}, "output": 1}, r"h:2: input: .*unknown field `token`"),
        ("kv", {"kind": "put", "key": "x", "input": {}}, r'h:2: key: model "kv" has its keys in the input; got "x"'),
        ("kv", {"kind": "put", "input": {"key": "x"}}, r"h:2: input: .*`value`"),
        ("kv", {"kind": "get", "input": {"key": "x"}, "output": 3}, r"h:2: output: Expected `str \| null`, got `int`"),
        (
            "kv",
            {"kind": "txn", "input": {"compare": [{"key": "x", "target": "value", "result": "=", "value": 1}]}},
            r"h:2: input.compare\[0\].value: Expected `str`, got `int`",
        ),
        ("kv", {"kind": "txn", "input": {}, "output": {"responses": []}}, r"h:2: output.succeeded: needed"),
        (
            "kv",
            {"kind": "txn", "input": {}, "output": {"succeeded": True, "responses": [None]}},
            r"h:2: output.responses: 1 for 0 operations",
        ),
        (
            "kv",
            {
                "kind": "txn",
                "input": {"success": [{"kind": "get", "key": "x"}]},
                "output": {"succeeded": True, "responses": [{"deleted": 1}]},
            },
            r"h:2: output.responses\[0\]: .*unknown field `deleted`",
        ),
        ("queue", {"kind": "dequeue", "output": 1, "return": None}, r"h:2: output: an operation without a return"),
        ("kv", {"kind": "get", "input": {"key": "x"}, "output": "1", "return": None}, r"h:2: output: an operation wi"),
        ("nonesuch", {"kind": "read"}, r'no model "nonesuch"; there are cas-register, counter, kv, lock, queue'),
    ],
)
def test_what_a_model_does_not_know_is_named(model: str, line: dict, message: str) -> None:
    """One error, with the line, the field and the reason."""
    fields = {"client": 1, "call": 1, "return_": 2, **{k: v for k, v in line.items() if k != "return"}}
    if "return" in line:
        fields["return_"] = line["return"]
    with pytest.raises(HistoryError, match=message):
        check_history(make_history([Operation(**fields)], source="h"), model)


def test_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a long file nor a long line is taken in."""
    monkeypatch.setattr(history_module, "MAX_OPERATIONS", 3)
    with pytest.raises(HistoryError, match="h:5: more than 3 operations"):
        history_module.parse_history([HEADER, *[GOOD] * 4], "h")
    with pytest.raises(HistoryError, match="more than 3 operations"):
        make_history([Operation(client=1, kind="read", call=1)] * 4)
    monkeypatch.setattr(history_module, "MAX_LINE_BYTES", 60)
    with pytest.raises(HistoryError, match="h:2: longer than 60 bytes"):
        history_module.parse_history([HEADER, GOOD[:-2] + b" " * 60 + b"}\n"], "h")


def test_long_line_is_not_read_whole(tmp_path: Path) -> None:
    """A file that is one endless line costs no more memory than the limit."""
    path = tmp_path / "long.jsonl"
    path.write_bytes(b" " * (history_module.MAX_LINE_BYTES + 100))
    with pytest.raises(HistoryError, match=r"long.jsonl:1: longer than 1048576 bytes"):
        read_history(path)


def test_times_must_be_finite() -> None:
    """Infinity is no time."""
    with pytest.raises(HistoryError, match="call: inf is no time"):
        make_history([Operation(client=1, kind="read", call=float("inf"))])


def test_recorder_keeps_the_order_of_events() -> None:
    """Each event gets the next number; open calls are unknown, failed ones leave, late answers count."""
    recorder = Recorder()
    one = recorder.call("a", "write", 1, key="x")
    two = recorder.call("b", "read", key="x")
    three = recorder.call("c", "write", 2, key="x")
    recorder.call("d", "write", 3, key="x")
    one.returns()
    three.fails()
    assert [(o.client, o.call, o.return_) for o in recorder.history().operations] == [
        ("a", 1, 5),
        ("b", 2, None),
        ("d", 4, None),
    ]
    two.returns(1)
    history = recorder.history("register")
    assert history.operations[1].return_ == 6
    assert check_history(history, "register").ok


def test_recorder_is_bounded_and_takes_a_clock() -> None:
    """A limit on operations, and times of whatever clock is given."""
    rng = random.Random(1)
    times = sorted(rng.random() for _ in range(2))
    ticks = iter(times)
    recorder = Recorder(lambda: next(ticks), max_operations=1)
    recorder.call(1, "read").returns(None)
    assert (recorder.history().operations[0].call, recorder.history().operations[0].return_) == tuple(times)
    with pytest.raises(OverflowError, match="at most 1 operations"):
        recorder.call(1, "read")
