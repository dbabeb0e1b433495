"""Models: purely functional, partitioned only where that is sound, and clear in what they say."""

import copy

import pytest
from tests.check.generator import generate
from tests.check.objects import OBJECTS

from oarlock.check import MODELS, UNKNOWN, Operation, make_history, model_named
from oarlock.check.linearizability import parse_actions


@pytest.mark.parametrize("name", OBJECTS)
def test_step_is_a_function(name: str) -> None:
    """The same state, question and answer give the same outcome, and leave the state as it was."""
    history = generate(name, 3, operations=60, clients=1, unknown=0)
    model = model_named(history.model)
    actions = parse_actions(history, model)
    for part in model.partition(actions):
        state = part.initial
        for member in part.members:
            _, asked, answer, _ = actions[member]
            before = copy.deepcopy(state)
            first, second = model.step(state, asked, answer), model.step(state, asked, answer)
            assert first == second
            assert state == before
            assert hash(state) == hash(before)
            assert first[0], "one client's true answers are accepted in turn"
            accepted, after = model.step(state, asked, UNKNOWN)
            assert accepted
            assert after == first[1] or name == "lock", "an unknown answer is whatever is right; a token stays unknown"
            state = first[1]
        assert model.describe_state(state)


@pytest.mark.parametrize("name", OBJECTS)
def test_read_only_actions_change_no_state(name: str) -> None:
    """What a model calls read-only leaves each state in which it is accepted."""
    history = generate(name, 4, operations=150, clients=1, unknown=0)
    model = model_named(history.model)
    actions = parse_actions(history, model)
    states = {part.initial for part in model.partition(actions)}
    for part in model.partition(actions):
        state = part.initial
        for member in part.members:
            state = model.step(state, actions[member].input, actions[member].output)[1]
            states.add(state)
    some = [action for action in actions if action.read_only]
    assert some
    for action in some:
        for state in list(states)[:40]:
            accepted, after = model.step(state, action.input, action.output)
            assert not accepted or after == state


def _kv_parts(*requests: tuple[str, dict, object]) -> list[list[int]]:
    operations = [
        Operation(client=1, kind=kind, input=asked, output=answer, call=2 * i, return_=2 * i + 1)
        for i, (kind, asked, answer) in enumerate(requests)
    ]
    model = MODELS["kv"]
    parts = model.partition(parse_actions(make_history(operations), model))
    return sorted(part.members for part in parts)


def test_keys_are_judged_apart_only_where_nothing_couples_them() -> None:
    """Transactions join keys; a range, or any revision or version that is looked at, joins all."""
    put_x, put_y, put_z = (("put", {"key": key, "value": "1"}, None) for key in "xyz")
    joining = ("txn", {"success": [{"kind": "put", "key": "x", "value": "2"}, {"kind": "get", "key": "y"}]}, None)
    compare = {"key": "z", "target": "value", "result": "=", "value": "1"}
    chain = ("txn", {"compare": [compare], "success": [{"kind": "put", "key": "y", "value": "2"}]}, None)
    assert _kv_parts(put_x, put_y, put_z) == [[0], [1], [2]]
    assert _kv_parts(put_x, put_y, put_z, joining) == [[0, 1, 3], [2]]
    assert _kv_parts(put_x, put_y, put_z, joining, chain) == [[0, 1, 2, 3, 4]]
    assert _kv_parts(put_x, put_y, ("get", {"key": "a", "range_end": "b"}, None)) == [[0, 1, 2]]
    assert _kv_parts(put_x, ("put", {"key": "y", "value": "1"}, {"revision": 3})) == [[0, 1]]
    version = {"key": "y", "target": "version", "result": "=", "value": 0}
    assert _kv_parts(put_x, ("txn", {"compare": [version]}, None)) == [[0, 1]]
    kvs = {"kvs": [{"key": "y", "value": "1", "version": 1}]}
    assert _kv_parts(put_x, ("get", {"key": "y"}, kvs)) == [[0, 1]]
    inner = {"succeeded": True, "responses": [{"revision": 2}]}
    assert _kv_parts(put_x, ("txn", {"success": [{"kind": "put", "key": "y", "value": "1"}]}, inner)) == [[0, 1]]


def test_elements_of_a_set_are_judged_apart_unless_read_together() -> None:
    """A read of the whole set joins its elements, of other keys not."""
    model = MODELS["set"]
    operations = [
        Operation(client=1, kind="add", key=key, input=element, output=True, call=1, return_=2)
        for key in "pq"
        for element in (1, "1")
    ]
    operations.append(Operation(client=1, kind="read", key="q", output=[1, "1"], call=3, return_=4))
    parts = model.partition(parse_actions(make_history(operations), model))
    assert sorted(part.members for part in parts) == [[0], [1], [2, 3, 4]]


def test_lock_answers_its_holder_again_with_the_same_token() -> None:
    """A retried acquisition gets the token it had; a token first seen on a retry is the holder's from then on."""
    model = MODELS["lock"]

    def ask(state, kind, answer, owner=1, **fields):
        operation = Operation(client=owner, kind=kind, input=fields or None, output=answer, call=1, return_=2)
        return model.step(state, *model.parse(operation)[1:3])

    accepted, held = ask(model.init(), "acquire", 4)
    assert accepted
    assert ask(held, "acquire", 4)[0]
    assert not ask(held, "acquire", 5)[0]
    assert not ask(held, "acquire", False)[0]
    assert not ask(held, "release", True, token=3)[0]
    unseen = model.step(model.init(), *model.parse(Operation(client=1, kind="acquire", call=1))[1:3])[1]
    accepted, seen = ask(unseen, "acquire", 3)
    assert accepted
    assert not ask(seen, "acquire", 4)[0]
    free = ask(unseen, "release", True)[1]
    assert not ask(free, "acquire", 1, owner=2)[0], "a token was used up"
    assert ask(free, "acquire", 2, owner=2)[0]


def test_descriptions() -> None:
    """Captions name what was asked and answered, and states what is held."""
    cases = [
        ("register", "write", "x", "a", None, 'x.write("a")'),
        ("register", "read", "", None, None, "read() -> null"),
        ("cas-register", "cas", "", {"expected": 1, "new": 2}, True, 'cas({"expected":1,"new":2}) -> true'),
        ("set", "read", "", None, [2, 1], "read() -> [1,2]"),
        ("kv", "get", "", {"key": "x"}, "1", 'get("x") -> ["1"]'),
        ("kv", "delete", "", {"key": "x", "range_end": "y"}, {"deleted": 2}, 'delete("x", "y") -> {"deleted":2}'),
    ]
    for name, kind, key, asked, answer, caption in cases:
        model = MODELS[name]
        operation = Operation(client=1, kind=kind, key=key, input=asked, output=answer, call=1, return_=2)
        assert model.describe(model.parse(operation)) == caption
    unknown = MODELS["queue"].parse(Operation(client=1, kind="dequeue", call=1))
    assert MODELS["queue"].describe(unknown) == "dequeue() -> ?"
    store = MODELS["kv"]
    state = store.init()
    for i in range(25):
        put = Operation(client=1, kind="put", input={"key": f"k{i:02}", "value": "v"}, call=1)
        state = store.step(state, *store.parse(put)[1:3])[1]
    assert store.describe_state(state).startswith('revision 26 {"k00": "v" at 2, ')
    assert store.describe_state(state).endswith(", and 5 keys more}")
