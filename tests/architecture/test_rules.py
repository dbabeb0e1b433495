"""Every rule of the catalogue acts in the code and is proved by a test."""

import ast
import re
from collections.abc import Iterator

from tests.support.source_tree import ROOT, calls, modules

from oarlock.raft.rules import RULES

PAPER_TESTS = ROOT / "tests" / "paper"

NOT_FIRED = {
    "SP-1": "a property of all servers together, which no single server can see act",
    "SP-2": "as SP-1; a leader never calls what would delete an entry",
    "SP-3": "as SP-1",
    "SP-4": "as SP-1",
    "SP-5": "as SP-1",
    "CL-Q6": "the query runs above the core, once the read's barrier is passed",
    "CL-Q7": "as CL-Q6: the front door returns the result",
}
"""Rules that no line of the code carries out, each with the reason."""

NOT_PROVED: dict[str, str] = {
    "CL-Q6": "proved where the query runs: by the tests of the key-value service and of real clusters",
    "CL-Q7": "as CL-Q6",
}
"""Rules without a test of their own in tests/paper/, each with the reason."""


def _fired() -> Iterator[tuple[str | None, str]]:
    """The rule ids of every call of `fire`, None where they are no literals, and the place."""
    for module in modules():
        for name, call in calls(module.tree):
            if name.rpartition(".")[2] == "fire" and call.args:
                for rule in _literals(call.args[0]):
                    yield rule, f"{module.name}:{call.lineno}"


def _literals(argument: ast.expr) -> Iterator[str | None]:
    """The string that an argument is, or the two between which it chooses."""
    if isinstance(argument, ast.IfExp):
        yield from _literals(argument.body)
        yield from _literals(argument.orelse)
    elif isinstance(argument, ast.Constant) and isinstance(argument.value, str):
        yield argument.value
    else:
        yield None


def _named_by_tests() -> set[str]:
    """The rule ids that tests in tests/paper/ name: in their docstring, or in a decorator such as `rule("AE-3")`."""
    named = set()
    for path in sorted(PAPER_TESTS.rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test"):
                said = [ast.get_docstring(node) or "", *(ast.unparse(each) for each in node.decorator_list)]
                # Not within a longer id: a test of L-3a says nothing of L-3.
                named.update(re.findall(r"(?<![\w-])[A-Z]+-[A-Z]?\d+[a-z]?(?![\w-])", " ".join(said)))
    return named


def test_fired_ids_are_rules() -> None:
    """Each `fire` names its rule literally, so that a search finds it, and the catalogue has it."""
    strange = [f"{place}: {rule}" for rule, place in _fired() if rule not in RULES]
    assert not strange


def test_every_rule_is_fired() -> None:
    """Each rule acts somewhere in the code, except those listed with a reason."""
    fired = {rule for rule, _ in _fired()}
    unfired = sorted(RULES.keys() - fired - NOT_FIRED.keys())
    assert unfired == [], f"nothing fires {unfired}"
    outlived = sorted(NOT_FIRED.keys() & fired)
    assert outlived == [], f"listed as not fired, but fired: {outlived}"


def test_every_rule_is_proved() -> None:
    """Each rule has a test in tests/paper/ that names it, except those listed with a reason."""
    proved = _named_by_tests()
    unproved = sorted(RULES.keys() - proved - NOT_PROVED.keys())
    assert unproved == [], f"no test in tests/paper/ names {unproved}"
    outlived = sorted(NOT_PROVED.keys() & proved)
    assert outlived == [], f"listed as not proved, but proved: {outlived}"


def test_rules_say_what_they_are() -> None:
    """A rule is filed under its own id, has a source, and its sentence is one."""
    for rule_id, rule in RULES.items():
        assert rule.id == rule_id
        assert rule.source
        assert re.fullmatch(r"\S.*[^.]\.", rule.sentence), rule
