"""What can be done to a piece of code: each way as a `Change` of one place in its syntax tree.

Left alone is what is only said, not done: docstrings, annotations, messages of errors, `__repr__`, what is logged or
traced, and checks that are there for the type checker.
"""

import ast
from collections.abc import Callable, Iterator
from typing import Final

import msgspec

_BOUNDARIES: Final[dict[type[ast.cmpop], type[ast.cmpop]]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
}
_NEGATIONS: Final[dict[type[ast.cmpop], type[ast.cmpop]]] = {
    ast.Lt: ast.GtE,
    ast.LtE: ast.Gt,
    ast.Gt: ast.LtE,
    ast.GtE: ast.Lt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
_ARITHMETIC: Final[dict[type[ast.operator], type[ast.operator]]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
}
_OPPOSITES: Final = {"min": "max", "max": "min", "any": "all", "all": "any"}
_ONLY_SAY: Final = ("fire", "debug", "info", "warning", "error", "cast")
"""Calls of these names trace, log or tell the type checker."""
_NOT_RUN: Final = ("__repr__", "__str__")


class Change(msgspec.Struct, frozen=True):
    """One way to change one place."""

    operator: str
    line: int
    column: int
    function: str
    """Where it is: a function's or class's name with those around it; "" at the top."""
    before: str
    after: str
    """The changed part, as text."""
    do: Callable[[], None]
    """Changes the tree that it was found in."""


def changes_of(tree: ast.Module) -> list[Change]:
    """Every change of a module, in the order of the source."""
    found = list(_Finder().statements(tree, "body"))
    return sorted(found, key=lambda change: (change.line, change.column))


class _Finder:
    """Walks a tree, and knows in which function it is."""

    def __init__(self) -> None:
        self._names: list[str] = []

    def _change(self, operator: str, node: ast.AST, after: ast.AST, do: Callable[[], None]) -> Change:
        line, column = getattr(node, "lineno", 0), getattr(node, "col_offset", 0)
        before = _first_line(ast.unparse(node))
        return Change(operator, line, column, ".".join(self._names), before, ast.unparse(after), do)

    # -- statements ----------------------------------------------------------------------------------------------------

    def statements(self, parent: ast.AST, field: str) -> Iterator[Change]:
        """Changes of a list of statements."""
        body: list[ast.stmt] = getattr(parent, field)
        for position, statement in enumerate(body):
            yield from self._statement(parent, body, position, statement)

    def _statement(self, parent: ast.AST, body: list[ast.stmt], position: int, statement: ast.stmt) -> Iterator[Change]:
        match statement:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield from self._definition(statement)
                return
            case ast.Assert() | ast.Import() | ast.ImportFrom() | ast.Global() | ast.Nonlocal() | ast.Pass():
                return
            case ast.Expr(value=ast.Constant()):
                return  # a docstring, or `...`
            case ast.Expr(value=call) if _only_says(call):
                return
            case ast.If(body=only, orelse=[]) if all(
                isinstance(each, ast.Expr) and _only_says(each.value) for each in only
            ):
                return
            case ast.Raise():
                pass  # what it says is not looked into
            case ast.AnnAssign():
                if statement.value is not None:
                    yield from self._expression(statement, "value")
            case ast.Return(value=value):
                if value is not None:
                    yield from self._returned(statement, value)
                    yield from self._expression(statement, "value")
            case _:
                yield from self._children(statement)
        if self._is_worth_deleting(parent, statement):
            nothing = ast.Pass()
            yield self._change(
                "delete", statement, nothing, lambda: body.__setitem__(position, _like(nothing, statement))
            )

    def _definition(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> Iterator[Change]:
        if node.name in _NOT_RUN:
            return
        if isinstance(node, ast.ClassDef) and any(_is_named(base, "Protocol") for base in node.bases):
            return
        self._names.append(node.name)
        if not isinstance(node, ast.ClassDef):
            for field in ("defaults", "kw_defaults"):
                yield from self._expressions(node.args, field)
        yield from self.statements(node, "body")
        self._names.pop()

    def _returned(self, statement: ast.Return, value: ast.expr) -> Iterator[Change]:
        if isinstance(value, ast.Compare | ast.BoolOp) or (isinstance(value, ast.UnaryOp) and _is_not(value)):
            for constant in (True, False):
                yield self._replace(f"return-{constant}".lower(), statement, "value", value, ast.Constant(constant))
        elif not isinstance(value, ast.Constant):
            yield self._replace("return-none", statement, "value", value, ast.Constant(None))

    def _is_worth_deleting(self, parent: ast.AST, statement: ast.stmt) -> bool:
        """Whether the rest makes sense without it: not where a name would be missing."""
        in_constructor = bool(self._names) and self._names[-1] == "__init__"
        match statement:
            case ast.Expr() | ast.AugAssign() | ast.Raise() | ast.Delete() | ast.Break() | ast.Continue():
                return True
            case ast.Return(value=None):
                return not isinstance(parent, ast.FunctionDef) or parent.body[-1] is not statement
            case ast.Assign(targets=[target]):
                parts = target.elts if isinstance(target, ast.Tuple) else [target]
                return not in_constructor and all(isinstance(part, ast.Attribute | ast.Subscript) for part in parts)
            case _:
                return False

    # -- expressions ---------------------------------------------------------------------------------------------------

    def _children(self, node: ast.AST) -> Iterator[Change]:
        """Changes of all parts of a node."""
        for field, value in ast.iter_fields(node):
            if field in ("body", "orelse", "finalbody") and isinstance(value, list):
                yield from self.statements(node, field)
            elif field in ("annotation", "returns", "decorator_list", "ctx", "op", "ops"):
                continue
            elif isinstance(value, ast.expr):
                yield from self._expression(node, field)
            elif isinstance(value, list):
                yield from self._expressions(node, field)

    def _expressions(self, node: ast.AST, field: str) -> Iterator[Change]:
        values: list[ast.AST | None] = getattr(node, field)
        for position, value in enumerate(values):
            if isinstance(value, ast.expr):
                yield from self._expression(node, field, position)
            elif isinstance(value, ast.match_case):
                yield from self.statements(value, "body")
            elif isinstance(value, ast.AST) and not isinstance(value, ast.pattern):
                yield from self._children(value)

    def _expression(self, parent: ast.AST, field: str, position: int | None = None) -> Iterator[Change]:
        node: ast.expr = getattr(parent, field) if position is None else getattr(parent, field)[position]
        if isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Call) and _only_says(node)):
            return

        def replace(operator: str, new: ast.expr) -> Change:
            return self._replace(operator, parent, field, node, new, position)

        if isinstance(parent, ast.If | ast.While | ast.IfExp | ast.comprehension) and field in ("test", "ifs"):
            for constant in (True, False):
                if not isinstance(node, ast.Constant):
                    yield replace(f"condition-{constant}".lower(), ast.Constant(constant))
        if isinstance(parent, ast.For | ast.comprehension) and field == "iter":
            yield replace("loop-never", ast.Tuple([], ast.Load()))
        match node:
            case ast.Compare():
                for number, _ in enumerate(node.ops):
                    yield from self._comparison(node, number)
            case ast.BoolOp():
                other: ast.boolop = ast.Or() if isinstance(node.op, ast.And) else ast.And()
                yield replace("and-or", ast.BoolOp(other, node.values))
            case ast.UnaryOp(op=ast.Not() | ast.USub(), operand=operand):
                yield replace("not" if isinstance(node.op, ast.Not) else "sign", operand)
            case ast.BinOp() if type(node.op) in _ARITHMETIC:
                yield replace("arithmetic", ast.BinOp(node.left, _ARITHMETIC[type(node.op)](), node.right))
            case ast.Constant(value=bool(value)):
                yield replace("constant", ast.Constant(not value))
            case ast.Constant(value=int() | float() as number):
                yield replace("constant+1", ast.Constant(number + 1))
                if number:
                    yield replace("constant-1", ast.Constant(number - 1))
            case ast.Call(func=ast.Name(id=name)) if name in _OPPOSITES:
                yield replace("opposite", ast.Call(ast.Name(_OPPOSITES[name], ast.Load()), node.args, node.keywords))
            case _:
                pass
        yield from self._children(node)

    def _comparison(self, node: ast.Compare, number: int) -> Iterator[Change]:
        old = node.ops[number]
        for operator, table in (("boundary", _BOUNDARIES), ("negation", _NEGATIONS)):
            if type(old) in table:
                new = table[type(old)]()
                ops = [*node.ops[:number], new, *node.ops[number + 1 :]]
                after = ast.Compare(node.left, ops, node.comparators)
                yield self._change(operator, node, after, lambda new=new: node.ops.__setitem__(number, new))  # type: ignore[misc]

    def _replace(
        self,
        operator: str,
        parent: ast.AST,
        field: str,
        old: ast.expr,
        new: ast.expr,
        position: int | None = None,
    ) -> Change:
        def do() -> None:
            _like(new, old)
            if position is None:
                setattr(parent, field, new)
            else:
                getattr(parent, field)[position] = new

        return self._change(operator, old, new, do)


def _like(new: ast.AST, old: ast.AST) -> ast.stmt:
    """Put a new node where an old one was."""
    ast.copy_location(new, old)
    return ast.fix_missing_locations(new)  # type: ignore[return-value]


def _only_says(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and any(_is_named(node.func, name) for name in _ONLY_SAY)


def _is_named(node: ast.expr, name: str) -> bool:
    return (isinstance(node, ast.Attribute) and node.attr == name) or (isinstance(node, ast.Name) and node.id == name)


def _is_not(node: ast.UnaryOp) -> bool:
    return isinstance(node.op, ast.Not)


def _first_line(text: str) -> str:
    return text.partition("\n")[0]
