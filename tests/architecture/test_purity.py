"""What no module may do: run data as code anywhere; see time, chance or order by other means than those handed in."""

import ast

import pytest
from tests.support.source_tree import Module, calls, imports, modules

EXECUTING_MODULES = ("pickle", "cPickle", "dill", "marshal", "shelve", "cloudpickle")
EXECUTING_CALLS = ("eval", "exec", "compile", "__import__", "os.system", "os.popen")

REPLAYED_ROOMS = ("raft", "storage", "transport", "machine", "mvcc", "node", "etcd")
"""Rooms that must run the same twice, from the same seed, on a clock that is not the wall's."""
UNREPEATABLE_CALLS = (
    *(f"time.{name}" for name in ("time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "sleep")),
    *(f"datetime.{name}" for name in ("now", "utcnow", "today", "datetime.now", "datetime.utcnow")),
    *(f"os.{name}" for name in ("urandom", "getrandom")),
    *(f"uuid.{name}" for name in ("uuid1", "uuid4")),
    "random.SystemRandom",
    "id",
    "hash",
)
RANDOM_CLASSES = ("random.Random",)
"""All that may be used of `random`: the type of the generator that is handed in."""

COMPILES_THIS_PACKAGE = ("zoo",)
"""Rooms that compile source: that of this package, changed on purpose, and nothing that arrives from elsewhere."""

ALLOWED: dict[tuple[str, str], str] = {}
"""Exceptions: (module, call) and the reason."""


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    return any(name == pattern or name.startswith(f"{pattern}.") for pattern in patterns)


@pytest.mark.parametrize("module", modules(), ids=lambda module: module.name)
def test_no_data_is_run_as_code(module: Module) -> None:
    """Nothing that arrives from a peer, a client or a disk can become code: no pickle, no eval."""
    bad = [
        f"line {node.lineno}: import {name}" for name, node in imports(module.tree) if _matches(name, EXECUTING_MODULES)
    ]
    bad += [f"line {call.lineno}: {name}" for name, call in calls(module.tree) if name in EXECUTING_CALLS]
    if module.room in COMPILES_THIS_PACKAGE:
        bad = [each for each in bad if not each.endswith((": compile", ": exec"))]
    assert not bad


def _unrepeatable(module: Module) -> set[str]:
    """Calls in the module, by full name, that would differ from one run to the next."""
    aliases = {name.rpartition(".")[2]: name for name, node in imports(module.tree) if isinstance(node, ast.ImportFrom)}
    found = set()
    for name, _ in calls(module.tree):
        head, dot, rest = name.partition(".")
        full = aliases.get(head, head) + dot + rest
        drawn = full.startswith(("random.", "secrets.")) and not _matches(full, RANDOM_CLASSES)
        if drawn or full.removeprefix("datetime.") in UNREPEATABLE_CALLS or full in UNREPEATABLE_CALLS:
            found.add(full)
    return found


def test_time_and_chance_are_handed_in() -> None:
    """Time comes from the event loop and chance from a seeded generator, so that a run can be repeated exactly."""
    found = {
        (module.name, name) for module in modules() if module.room in REPLAYED_ROOMS for name in _unrepeatable(module)
    }
    assert found == ALLOWED.keys()


def test_core_makes_no_generator() -> None:
    """The core draws only from the generator that it is given; it makes none, not even a seeded one."""
    made = [
        f"{module.name}:{call.lineno}"
        for module in modules()
        if module.room == "raft"
        for name, call in calls(module.tree)
        if name in ("random.Random", "Random")
    ]
    assert not made
