"""Histories from a seed: clients run against a sequential object, and their answers are true by construction.

`python -m tests.check.generator` writes the generated part of the corpus anew.
"""

import random
from pathlib import Path
from typing import Any

from tests.check.objects import OBJECTS

from oarlock.check.history import History, Operation, make_history, write_history

CORPUS = Path(__file__).parents[1] / "histories"


def generate(name: str, seed: int, *, operations: int, clients: int, unknown: float = 0.1) -> History:
    """A linearizable history: each operation acts at one moment between its call and its return.

    Of those whose outcome stays unknown, half act, some long after their call.
    """
    rng = random.Random(f"{name}:{seed}")
    subject = OBJECTS[name]()
    now = 0
    idle = list(range(1, clients + 1))
    stage: dict[int, dict[str, Any]] = {}
    late: list[dict[str, Any]] = []
    done: list[dict[str, Any]] = []
    number = 0
    while number < operations or stage:
        now += 1
        if late and rng.random() < 0.1:
            _act(subject, late.pop(rng.randrange(len(late))))
        if idle and number < operations and (not stage or rng.random() < 0.5):
            client = idle.pop(rng.randrange(len(idle)))
            number += 1
            key, kind, argument = subject.draw(rng, client, number)
            operation = {"client": client, "key": key, "kind": kind, "input": argument, "call": now}
            stage[client] = operation
            done.append(operation)
            continue
        client = rng.choice(sorted(stage))
        operation = stage[client]
        if "acted" not in operation and rng.random() < unknown:
            del stage[client]
            idle.append(client)
            if rng.random() < 0.5:
                late.append(operation)
        elif "acted" not in operation:
            _act(subject, operation)
        else:
            operation["return"] = now
            del stage[client]
            idle.append(client)
    return make_history(map(_operation, done), subject.model, name)


def _act(subject: Any, operation: dict[str, Any]) -> None:
    asked = (operation["client"], operation["key"], operation["kind"], operation["input"])
    operation["acted"] = subject.apply(*asked)


def _operation(operation: dict[str, Any]) -> Operation:
    returned = operation.get("return")
    return Operation(
        client=operation["client"],
        kind=operation["kind"],
        key=operation["key"],
        input=operation["input"],
        output=None if returned is None else operation["acted"],
        call=operation["call"],
        return_=returned,
    )


def with_foreign_answer(history: History, rng: random.Random) -> History:
    """The history with one answer exchanged for that of another operation of its kind; often, not always, wrong."""
    operations = list(history.operations)
    answered = [i for i, operation in enumerate(operations) if operation.return_ is not None]
    for _ in range(100):
        if len(answered) < 2:
            break
        one, other = (operations[i] for i in rng.sample(answered, 2))
        if one.kind == other.kind and one.kind != "txn" and one.output != other.output:
            i = operations.index(one)
            operations[i] = Operation(
                client=one.client,
                kind=one.kind,
                key=one.key,
                input=one.input,
                output=other.output,
                call=one.call,
                return_=one.return_,
            )
            break
    return make_history(operations, history.model, history.source)


GENERATED = {name: {"operations": 60, "clients": 4} for name in OBJECTS}
"""What the corpus holds of each object, seed 1."""


def main() -> None:
    """Write the generated corpus."""
    for name, size in GENERATED.items():
        write_history(generate(name, 1, **size), CORPUS / "ok" / f"generated-{name}.jsonl", "generated, seed 1")


if __name__ == "__main__":
    main()
