"""Sequential objects that answer requests: written apart from the models, to make histories that must be accepted."""

import random
from typing import Any


class RegisterObject:
    """A register, with compare-and-set or without."""

    model = "cas-register"
    keys = ("x", "y")

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}

    def draw(self, rng: random.Random, client: int, number: int) -> tuple[str, str, Any]:
        """A request: key, kind, input."""
        value = rng.choice((number, rng.randint(0, 3)))
        kind = rng.choice(("read", "write", "cas"))
        argument = {"read": None, "write": value, "cas": {"expected": rng.randint(0, 3), "new": value}}[kind]
        return rng.choice(self.keys), kind, argument

    def apply(self, client: int, key: str, kind: str, argument: Any) -> Any:
        """Carry it out."""
        before = self.values.get(key)
        if kind == "read":
            return before
        if kind == "write":
            self.values[key] = argument
            return None
        if before != argument["expected"]:
            return False
        self.values[key] = argument["new"]
        return True


class PlainRegisterObject(RegisterObject):
    """A register without compare-and-set."""

    model = "register"

    def draw(self, rng: random.Random, client: int, number: int) -> tuple[str, str, Any]:
        """A request: key, kind, input."""
        if rng.random() < 0.5:
            return rng.choice(self.keys), "read", None
        return rng.choice(self.keys), "write", rng.choice((number, rng.randint(0, 3)))


class QueueObject:
    """A queue."""

    model = "queue"

    def __init__(self) -> None:
        self.items: list[Any] = []

    def draw(self, rng: random.Random, client: int, number: int) -> tuple[str, str, Any]:
        """A request: key, kind, input."""
        if rng.random() < 0.5:
            return "", "dequeue", None
        # Values that arrive twice are few: between them and others FIFO tells the search little, and it grows long.
        is_new = number > 12 or rng.random() < 0.7
        return "", "enqueue", number + 10 if is_new else rng.randint(0, 2)

    def apply(self, client: int, key: str, kind: str, argument: Any) -> Any:
        """Carry it out."""
        if kind == "enqueue":
            self.items.append(argument)
            return None
        return self.items.pop(0) if self.items else None


class CounterObject:
    """A counter."""

    model = "counter"

    def __init__(self) -> None:
        self.total = 0

    def draw(self, rng: random.Random, client: int, number: int) -> tuple[str, str, Any]:
        """A request: key, kind, input."""
        return ("", "read", None) if rng.random() < 0.4 else ("", "add", rng.randint(-2, 3))

    def apply(self, client: int, key: str, kind: str, argument: Any) -> Any:
        """Carry it out; every third addition does not ask for the sum."""
        if kind == "add":
            self.total += argument
            if argument % 3 == 0:
                return None
        return self.total


class SetObject:
    """A set."""

    model = "set"
    kinds = ("add", "remove", "contains", "read")

    def __init__(self) -> None:
        self.elements: set[int] = set()

    def draw(self, rng: random.Random, client: int, number: int) -> tuple[str, str, Any]:
        """A request: key, kind, input."""
        kind = rng.choice(self.kinds)
        return "", kind, None if kind == "read" else rng.randint(0, 3)

    def apply(self, client: int, key: str, kind: str, argument: Any) -> Any:
        """Carry it out."""
        if kind == "read":
            return sorted(self.elements)
        is_in = argument in self.elements
        if kind == "contains":
            return is_in
        if kind == "add":
            self.elements.add(argument)
            return not is_in
        self.elements.discard(argument)
        return is_in


class ElementsObject(SetObject):
    """A set of which nobody reads all."""

    kinds = ("add", "remove", "contains")


class LockObject:
    """A lock that refuses at once, and gives out rising tokens with gaps."""

    model = "lock"

    def __init__(self) -> None:
        self.owner: int | None = None
        self.token = 0

    def draw(self, rng: random.Random, client: int, number: int) -> tuple[str, str, Any]:
        """A request: key, kind, input."""
        return "", rng.choice(("acquire", "release")), None

    def apply(self, client: int, key: str, kind: str, argument: Any) -> Any:
        """Carry it out."""
        if kind == "release":
            held = self.owner == client
            self.owner = None if held else self.owner
            return held
        if self.owner is None:
            self.owner = client
            self.token += 1 + self.token % 2
        return self.token if self.owner == client else False


class StoreObject:
    """etcd, as far as the model goes: every revision kept in one list of changes, read by replaying it."""

    model = "kv"
    revisions = True
    keys = ("a", "b", "c")

    def __init__(self) -> None:
        self.revision = 1
        self.changes: list[tuple[int, str, str | None]] = []

    def draw(self, rng: random.Random, client: int, number: int) -> tuple[str, str, Any]:
        """A request: key, kind, input."""
        kind = rng.choice(("get", "put", "delete", "txn"))
        if kind != "txn":
            return "", kind, self._draw_one(rng, kind, number)
        target = rng.choice(("value", "version", "mod_revision", "create_revision") if self.revisions else ("value",))
        wanted: Any = str(rng.randint(0, 3)) if target == "value" else rng.randint(0, 4)
        compare = {"key": rng.choice(self.keys), "target": target, "result": rng.choice("=<>"), "value": wanted}
        branches = [
            [{"kind": kind, **self._draw_one(rng, kind, number)} for kind in rng.choices(("get", "put", "delete"), k=n)]
            for n in (rng.randint(1, 2), rng.randint(0, 2))
        ]
        return "", "txn", {"compare": [compare], "success": branches[0], "failure": branches[1]}

    def _draw_one(self, rng: random.Random, kind: str, number: int) -> dict[str, Any]:
        request: dict[str, Any] = {"key": rng.choice(self.keys)}
        if kind == "put":
            request["value"] = str(rng.choice((number, rng.randint(0, 3))))
        elif self.revisions and rng.random() < 0.3:
            request["range_end"] = rng.choice(("\0", "c", "z"))
        return request

    def _present(self) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = {}
        for revision, key, value in self.changes:
            if value is None:
                del found[key]
            else:
                before = found.get(key, {"create_revision": revision, "version": 0})
                found[key] = {
                    "key": key,
                    "value": value,
                    "create_revision": before["create_revision"],
                    "mod_revision": revision,
                    "version": before["version"] + 1,
                }
        return dict(sorted(found.items()))

    def _matching(self, request: dict[str, Any]) -> list[dict[str, Any]]:
        end = request.get("range_end")
        return [
            kv
            for key, kv in self._present().items()
            if (key == request["key"] if end is None else key >= request["key"] and (end == "\0" or key < end))
        ]

    def _one(self, kind: str, request: dict[str, Any], revision: int) -> dict[str, Any]:
        if kind == "put":
            self.changes.append((revision, request["key"], request["value"]))
            return {}
        matching = self._matching(request)
        if kind == "get":
            shown = matching if self.revisions else [{"key": kv["key"], "value": kv["value"]} for kv in matching]
            return {"kvs": shown, "count": len(shown)}
        self.changes += [(revision, kv["key"], None) for kv in matching]
        return {"deleted": len(matching)}

    def apply(self, client: int, key: str, kind: str, argument: Any) -> Any:
        """Carry it out."""
        before = len(self.changes)
        if kind != "txn":
            answer = self._one(kind, argument, self.revision + 1)
        else:
            [compare] = argument["compare"]
            held = self._present().get(compare["key"])
            if held is None and compare["target"] == "value":
                succeeded = False
            else:
                actual = 0 if held is None else held[compare["target"]]
                wanted = compare["value"]
                succeeded = {"=": actual == wanted, "<": actual < wanted, ">": actual > wanted}[compare["result"]]
            responses = [
                self._one(each["kind"], each, self.revision + 1)
                for each in argument["success" if succeeded else "failure"]
            ]
            answer = {"succeeded": succeeded, "responses": responses}
        self.revision += len(self.changes) > before
        return {**answer, "revision": self.revision} if self.revisions else answer


class PlainStoreObject(StoreObject):
    """A store of whose revisions nothing is looked at."""

    revisions = False


OBJECTS = {
    "register": PlainRegisterObject,
    "cas-register": RegisterObject,
    "queue": QueueObject,
    "counter": CounterObject,
    "set": SetObject,
    "set-elements": ElementsObject,
    "lock": LockObject,
    "kv": StoreObject,
    "kv-plain": PlainStoreObject,
}
"""Every object by the name of its histories."""
