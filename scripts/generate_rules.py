#!/usr/bin/env python3
"""Writes docs/reference/rules.md: every rule, where it acts in the code, and which tests prove it.

Run it after adding a rule, a place that fires one, or a test that names one: `python scripts/generate_rules.py`.
"""

import ast
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "src"))

from oarlock.raft.rules import RULES  # noqa: E402 - found by the path above

PAGE = ROOT / "docs" / "reference" / "rules.md"
PACKAGE = ROOT / "src" / "oarlock"
TESTS = ROOT / "tests" / "paper"
EXCEPTIONS = ROOT / "tests" / "architecture" / "test_rules.py"
ID = re.compile(r"(?<![\w-])[A-Z]+-[A-Z]?\d+[a-z]?(?![\w-])")

HEAD = """# The rules

Written by `scripts/generate_rules.py`: do not edit.

Code, traces, tests and diagrams cite these rules by id. Each acts in one place, by `state.fire("…")`, and is proved by
tests of its own. The sentences are ours; the sources are the [extended Raft paper](https://raft.github.io/raft.pdf),
the [dissertation](https://github.com/ongardie/dissertation) and established practice.
`tests/architecture/test_rules.py` sees that no rule is left out.
"""


def functions(tree: ast.AST, prefix: str = "") -> Iterator[tuple[str, ast.AST]]:
    """Every function or method with its qualified name, inner ones with the outer's."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.ClassDef):
            yield from functions(node, f"{prefix}{node.name}.")
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield prefix + node.name, node
        else:
            yield from functions(node, prefix)


def fired() -> dict[str, list[str]]:
    """For each rule the places, as `file` and function, that fire it."""
    places: dict[str, list[str]] = defaultdict(list)
    for path in sorted(PACKAGE.rglob("*.py")):
        if path.stem.endswith("_pb2"):
            continue
        for name, function in functions(ast.parse(path.read_text())):
            for rule in fired_in(function):
                place = f"`{path.relative_to(PACKAGE)}` `{name}`"
                if place not in places[rule]:
                    places[rule].append(place)
    return places


def fired_in(function: ast.AST) -> Iterator[str]:
    """The ids in the first arguments of all calls of `fire`."""
    for node in ast.walk(function):
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] == "fire" and node.args:
            for part in ast.walk(node.args[0]):
                if isinstance(part, ast.Constant) and part.value in RULES:
                    yield part.value


def proved() -> dict[str, dict[str, list[str]]]:
    """For each rule, by file, the tests that name it in their docstring or a decorator."""
    tests: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for path in sorted(TESTS.rglob("test_*.py")):
        for name, function in functions(ast.parse(path.read_text())):
            assert isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)  # noqa: S101 - what `functions` yields
            said = [ast.get_docstring(function) or "", *map(ast.unparse, function.decorator_list)]
            for rule in dict.fromkeys(ID.findall(" ".join(said))):
                if name.startswith("test") and rule in RULES:
                    tests[rule][str(path.relative_to(ROOT))].append(name)
    return tests


def exceptions(name: str) -> dict[str, str]:
    """The reasons that the architecture test gives for rules without a place, or without a test."""
    for node in ast.parse(EXCEPTIONS.read_text()).body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if [ast.unparse(target) for target in targets] == [name]:
                reasons: dict[str, str] = ast.literal_eval(node.value)
                return reasons
    return {}


def page() -> str:
    """The whole page."""
    places, tests = fired(), proved()
    not_fired, not_proved = exceptions("NOT_FIRED"), exceptions("NOT_PROVED")
    lines = [HEAD]
    source = None
    for rule in sorted(RULES.values(), key=lambda rule: list(type(rule.source)).index(rule.source)):
        if rule.source is not source:
            source = rule.source
            lines.append(f"## {source.value}\n")
        lines.append(f"### {rule.id}\n\n{rule.sentence}\n")
        where = ", ".join(places[rule.id]) or f"nowhere: {not_fired.get(rule.id, 'nothing fires it')}"
        lines.append(f"- Acts in {where}" if places[rule.id] else f"- Acts {where}")
        for path, names in tests[rule.id].items():
            listed = ", ".join(f"`{name}`" for name in names)
            lines.append(f"- Proved in [`{Path(path).name}`](../../{path}): {listed}")
        if not tests[rule.id]:
            lines.append(f"- No test of its own: {not_proved.get(rule.id, 'nothing names it')}")
        lines.append("")
    return "\n".join(lines)


def main() -> None:
    """Write the page."""
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(page())


if __name__ == "__main__":
    main()
