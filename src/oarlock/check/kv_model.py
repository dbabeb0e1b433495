"""The key-value store of etcd, whole: revisions and transactions couple keys, so keys alone cannot be judged apart.

If no revision or version is looked at anywhere, keys are independent unless a transaction or a range joins them, and
the search is that much smaller.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import msgspec

from oarlock.check.history import Json, Operation
from oarlock.check.kv_store import (
    Compare,
    Delete,
    DeleteAnswer,
    Get,
    GetAnswer,
    KeyValue,
    Put,
    PutAnswer,
    Request,
    Store,
    Transaction,
    Txn,
    TxnAnswer,
)
from oarlock.check.model import UNKNOWN, Action, BadOperation, Input, Kind, Model, Output, Part, convert, show

SHOWN_KEYS = 20
"""How many keys the description of a store names."""

_ANSWERS: dict[type[Request], type[Any]] = {
    Get: GetAnswer,
    Put: PutAnswer,
    Delete: DeleteAnswer,
    Txn: TxnAnswer,
}


class KeyValueStore(Model[Store]):
    """etcd's `get`, `put`, `delete` and `txn` on one store."""

    name = "kv"
    kinds: ClassVar[Mapping[str, Kind]] = {
        "get": Kind(Get, GetAnswer),
        "put": Kind(Put, PutAnswer),
        "delete": Kind(Delete, DeleteAnswer),
        "txn": Kind(Txn, TxnAnswer),
    }

    def init(self) -> Store:
        """Empty, at etcd's first revision."""
        return Store(1, (), ())

    def parse(self, operation: Operation) -> Action:
        """As every model; also plain values for a `get` of one key, and answers within a `txn`."""
        kind = self.kinds.get(operation.kind)
        if kind is None:
            return super().parse(operation)
        if operation.key:
            raise BadOperation(f'key: model "kv" has its keys in the input; got "{operation.key}"')
        fields = convert(operation.input, dict[str, Any], "input")
        request = convert({**fields, "kind": operation.kind}, kind.argument, "input")
        if isinstance(request, Txn):
            _check_compares(request)
        parsed: Output = UNKNOWN
        if operation.return_ is not None:
            parsed = _parse_answer(request, operation.output, kind.output)
        elif operation.output is not None:
            raise BadOperation("output: an operation without a return has none")
        asked = Input(operation.kind, request)
        return Action("", asked, parsed, self.is_read_only(asked, parsed))

    def is_read_only(self, asked: Input, answer: Output) -> bool:
        """A `get`, a `delete` that found nothing, a `txn` whose branch taken only reads."""
        request = asked.argument
        if isinstance(request, Txn):
            succeeded = None if answer is UNKNOWN else answer.succeeded
            branches = (() if succeeded is False else request.success) + (() if succeeded else request.failure)
            return all(isinstance(each, Get) for each in branches)
        return isinstance(request, Get) or (isinstance(answer, DeleteAnswer) and answer.deleted == 0)

    def partition(self, actions: Sequence[Action]) -> list[Part[Store]]:
        """The whole store if revisions or versions are looked at; else keys that nothing joins."""
        everyone = list(range(len(actions)))
        ranges = any(range_end is not None for action in actions for _, range_end in _keys(action.input.argument))
        if any(map(_looks_at_revisions, actions)):
            return [Part("store", everyone, self.init())]
        plain = Store(None, (), ())
        if ranges:
            return [Part("store", everyone, plain)]
        groups = _Groups(actions)
        parts: dict[str, list[int]] = {}
        for position, action in enumerate(actions):
            key = next((key for key, _ in _keys(action.input.argument)), "")
            parts.setdefault(groups.name_of(key), []).append(position)
        return [Part(name, members, plain) for name, members in parts.items()]

    def step(self, state: Store, asked: Input, answer: Output) -> tuple[bool, Store]:
        """As etcd answers; a `txn` is one revision, and sees its own writes."""
        request = asked.argument
        transaction = Transaction(state)
        if isinstance(request, Txn):
            is_right = _take_branch(transaction, request, answer)
        else:
            is_right = transaction.answers(request, answer)
        after = transaction.end(state)
        return is_right and (answer is UNKNOWN or answer.revision in (None, after.revision)), after

    def describe(self, action: Action) -> str:
        """An action in etcdctl's words."""
        answer = ""
        if action.output is UNKNOWN:
            answer = " -> ?"
        elif fields := {name: value for name, value in msgspec.to_builtins(action.output).items() if value is not None}:
            kvs = fields.get("kvs")
            is_plain = isinstance(action.input.argument, Get) and list(fields) == ["kvs"]
            answer = " -> " + show([kv["value"] for kv in kvs] if is_plain and kvs is not None else fields)
        return _describe(action.input.argument) + answer

    def describe_state(self, state: Store) -> str:
        """Revision, keys and values."""
        shown = ", ".join(
            f"{show(key)}: {show(held.value)}" + (f" at {held.mod_revision}" if held.mod_revision else "")
            for key, held in zip(state.keys[:SHOWN_KEYS], state.held, strict=False)
        )
        more = f", and {len(state.keys) - SHOWN_KEYS} keys more" if len(state.keys) > SHOWN_KEYS else ""
        revision = "" if state.revision is None else f"revision {state.revision} "
        return f"{revision}{{{shown}{more}}}"


def _check_compares(request: Txn) -> None:
    for position, compare in enumerate(request.compare):
        expected = str if compare.target == "value" else int
        convert(compare.value, expected, f"input.compare[{position}].value")


def _parse_answer(request: Request, answer: Json, into: type[Any]) -> Output:
    if isinstance(request, Get) and request.range_end is None and not isinstance(answer, dict):
        value = convert(answer, str | None, "output")
        return GetAnswer(() if value is None else (KeyValue(request.key, value),))
    parsed = convert({} if answer is None else answer, into, "output")
    return _parse_responses(request, parsed) if isinstance(request, Txn) else parsed


def _parse_responses(request: Txn, answer: TxnAnswer) -> TxnAnswer:
    if answer.responses is None:
        return answer
    if answer.succeeded is None:
        raise BadOperation("output.succeeded: needed to tell which operations the responses answer")
    branch = request.success if answer.succeeded else request.failure
    if len(branch) != len(answer.responses):
        raise BadOperation(f"output.responses: {len(answer.responses)} for {len(branch)} operations")
    return TxnAnswer(
        answer.succeeded,
        tuple(
            None if given is None else convert(given, _ANSWERS[type(each)], f"output.responses[{position}]")
            for position, (each, given) in enumerate(zip(branch, answer.responses, strict=True))
        ),
        answer.revision,
    )


def _take_branch(transaction: Transaction, request: Txn, answer: Output) -> bool:
    succeeds = all(map(transaction.holds, request.compare))
    branch = request.success if succeeds else request.failure
    responses = None
    if answer is not UNKNOWN:
        if answer.succeeded not in (None, succeeds):
            return False
        responses = answer.responses
    is_right = True
    for each, response in zip(branch, responses or (None,) * len(branch), strict=True):
        is_right = transaction.answers(each, UNKNOWN if response is None else response) and is_right
    return is_right


def _keys(request: Request) -> Iterator[tuple[str, str | None]]:
    if isinstance(request, Txn):
        for compare in request.compare:
            yield compare.key, None
        for each in (*request.success, *request.failure):
            yield from _keys(each)
    else:
        yield request.key, None if isinstance(request, Put) else request.range_end


def _looks_at_revisions(action: Action) -> bool:
    compares: tuple[Compare, ...] = getattr(action.input.argument, "compare", ())
    answers = [action.output, *(getattr(action.output, "responses", None) or ())]
    return any(compare.target != "value" for compare in compares) or any(
        getattr(shown, field, None) is not None
        for answer in answers
        for shown in (answer, *(getattr(answer, "kvs", None) or ()))
        for field in ("revision", "create_revision", "mod_revision", "version")
    )


class _Groups:
    """Keys that transactions join: each group is known by the smallest of its keys."""

    def __init__(self, actions: Sequence[Action]) -> None:
        self._above: dict[str, str] = {}
        for action in actions:
            names = [self.name_of(key) for key, _ in _keys(action.input.argument)]
            for name in names:
                self._above[name] = min(names)

    def name_of(self, key: str) -> str:
        """The smallest key of the group."""
        while (above := self._above.get(key, key)) != key:
            self._above[key] = self._above.get(above, above)
            key = above
        return key


def _describe(request: Request) -> str:
    if isinstance(request, Put):
        return f"put({show(request.key)}, {show(request.value)})"
    if isinstance(request, Get | Delete):
        name = "get" if isinstance(request, Get) else "delete"
        return f"{name}({show(request.key)}{'' if request.range_end is None else f', {show(request.range_end)}'})"
    conditions = " and ".join(f"{each.target}({each.key}) {each.result} {show(each.value)}" for each in request.compare)
    success, failure = ("; ".join(map(_describe, branch)) or "nothing" for branch in (request.success, request.failure))
    return f"txn(if {conditions or 'true'}: {success}; else: {failure})"
