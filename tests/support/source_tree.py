"""The package's own source, parsed: what the architecture tests look at."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "oarlock"

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Module:
    """One source file."""

    name: str
    """Dotted, as it is imported."""
    path: Path
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        """Parsed when it is first looked at: to collect tests does not need it."""
        return ast.parse(self.text)

    @property
    def room(self) -> str:
        """The package directly below `oarlock` that holds it; empty for `oarlock` itself."""
        parts = self.name.split(".")
        return parts[1] if len(parts) > 1 else ""

    def functions(self) -> Iterator[tuple[str, Function]]:
        """Every function with its qualified name, nested ones included."""
        yield from _functions(self.tree, self.name)


@cache
def modules() -> tuple[Module, ...]:
    """All hand-written modules of the package; generated protobuf code is left out."""
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        if path.stem.endswith("_pb2"):
            continue
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found.append(Module(name, path, path.read_text()))
    return tuple(found)


def calls(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    """Every call with the dotted name of what is called, such as "time.monotonic"; others are left out."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and (name := dotted(node.func)):
            yield name, node


def imports(tree: ast.AST) -> Iterator[tuple[str, ast.stmt]]:
    """Every imported name, dotted: `from a import b` gives "a.b", `import a.b` gives "a.b"."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                yield f"{node.module}.{alias.name}", node


def dotted(node: ast.expr) -> str:
    """The name of `a.b.c`, or an empty string for any other expression."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (head := dotted(node.value)):
        return f"{head}.{node.attr}"
    return ""


def _functions(node: ast.AST, prefix: str) -> Iterator[tuple[str, Function]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, Function | ast.ClassDef):
            name = f"{prefix}.{child.name}"
            if isinstance(child, Function):
                yield name, child
            yield from _functions(child, name)
        else:
            yield from _functions(child, prefix)
