"""What a user's source says about the expression that runs just now: how an attribute is used.

The interpreter tells, for the instruction that a frame is at, which columns of the source it came from; there the
syntax tree has the expression. Without source, or where the expression is none of ours, everything is taken to be a
plain read.
"""

import ast
import linecache
from functools import lru_cache
from types import CodeType, FrameType
from typing import Final, NamedTuple

MUTATORS: Final = frozenset(
    [
        "add",
        "append",
        "appendleft",
        "clear",
        "discard",
        "difference_update",
        "extend",
        "extendleft",
        "insert",
        "intersection_update",
        "pop",
        "popitem",
        "popleft",
        "remove",
        "reverse",
        "rotate",
        "setdefault",
        "sort",
        "symmetric_difference_update",
        "update",
    ]
)
"""Methods of lists, dicts, sets and deques that change them."""
CHANGERS: Final = frozenset({"heappush", "heappop", "heapify", "heapreplace", "heappushpop", "insort", "shuffle"})
"""Functions that change their first argument."""
Span = tuple[int, int, int, int]
"""Line, last line, column, last column."""


class Use(NamedTuple):
    """How an attribute is used where it is mentioned."""

    changes: bool = False
    """Its value is a container that is changed: `self.log.append(...)`, `self.votes[peer] = ...`."""
    augments: bool = False
    """It is read only to be written again: `self.term += 1`."""
    compared: bool = False
    """It is compared, there or through a local variable it is kept in."""
    asks_if_newer: bool = False
    """It is compared just to learn whether something is greater: `reply.term > self.term`."""


PLAIN: Final = Use()


class Source:
    """The syntax tree of one file, with each attribute's place."""

    def __init__(self, text: str) -> None:
        self._parents: dict[ast.AST, ast.AST] = {}
        self._attributes: dict[Span, ast.Attribute] = {}
        for node in ast.walk(ast.parse(text)):
            for child in ast.iter_child_nodes(node):
                self._parents[child] = node
            if isinstance(node, ast.Attribute):
                self._attributes[_span(node)] = node

    def use_of(self, span: Span) -> Use:
        """How the attribute there is used."""
        node = self._attributes.get(span)
        if node is None:
            return PLAIN
        parent = self._parents.get(node)
        augments = isinstance(parent, ast.AugAssign) and parent.target is node
        comparison = self._comparison_of(node)
        asks_if_newer = comparison is not None and _asks_if_newer(*comparison)
        return Use(self._is_changed(node), augments, comparison is not None, asks_if_newer)

    def _is_changed(self, node: ast.Attribute) -> bool:
        child: ast.AST = node
        parent = self._parents.get(child)
        while isinstance(parent, ast.Subscript) and parent.value is child:
            if isinstance(parent.ctx, ast.Store | ast.Del):
                return True
            child, parent = parent, self._parents.get(parent)
        if isinstance(parent, ast.Attribute) and parent.attr in MUTATORS:
            call = self._parents.get(parent)
            return isinstance(call, ast.Call) and call.func is parent
        if isinstance(parent, ast.Call) and parent.args and parent.args[0] is child:
            name = ast.unparse(parent.func).rpartition(".")[2]
            return name in CHANGERS
        return False

    def _comparison_of(self, node: ast.expr) -> tuple[ast.Compare, ast.expr] | None:
        """The comparison that an expression is part of, and as which operand."""
        child: ast.AST = node
        parent = self._parents.get(child)
        while isinstance(parent, ast.expr):
            if isinstance(parent, ast.Compare):
                assert isinstance(child, ast.expr)  # noqa: S101 - operands are expressions
                return parent, child
            if isinstance(parent, ast.Lambda | ast.Call):
                return None
            child, parent = parent, self._parents.get(parent)
        if isinstance(parent, ast.Assign) and len(parent.targets) == 1 and isinstance(parent.targets[0], ast.Name):
            return self._comparison_with(parent.targets[0].id, parent)
        return None

    def _comparison_with(self, name: str, statement: ast.stmt) -> tuple[ast.Compare, ast.expr] | None:
        """A comparison of a local variable, after a statement of the same function."""
        function: ast.AST = statement
        while not isinstance(function, ast.FunctionDef | ast.Module):
            function = self._parents[function]
        for node in ast.walk(function):
            if isinstance(node, ast.Compare) and node.lineno >= statement.lineno:
                for operand in (node.left, *node.comparators):
                    if isinstance(operand, ast.Name) and operand.id == name:
                        return node, operand
        return None


def _span(node: ast.expr) -> Span:
    return node.lineno, node.end_lineno or 0, node.col_offset, node.end_col_offset or 0


def _asks_if_newer(compare: ast.Compare, operand: ast.expr) -> bool:
    """Whether a comparison is `other > operand`, or `operand < other`."""
    if len(compare.ops) != 1:
        return False
    return isinstance(compare.ops[0], ast.Lt if compare.left is operand else ast.Gt)


@lru_cache(maxsize=256)
def _source(filename: str) -> Source | None:
    text = "".join(linecache.getlines(filename))
    try:
        return Source(text) if text else None
    except SyntaxError:
        return None


@lru_cache(maxsize=100_000)
def _use_at(code: CodeType, offset: int) -> Use:
    source, span = _source(code.co_filename), _span_at(code, offset)
    return source.use_of(span) if source is not None and span is not None else PLAIN


@lru_cache(maxsize=10_000)
def _span_at(code: CodeType, offset: int) -> Span | None:
    # Two bytes an instruction.
    for number, (line, last_line, column, last_column) in enumerate(code.co_positions()):
        if number == offset // 2:
            if None in (line, last_line, column, last_column):
                return None
            return line or 0, last_line or 0, column or 0, last_column or 0
    return None


def use_now(frame: FrameType) -> Use:
    """How the attribute that a frame mentions just now is used there."""
    return _use_at(frame.f_code, frame.f_lasti)
