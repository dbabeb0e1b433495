"""Modules that hold one idea, functions that fit a screen, and a docstring on each."""

import ast

import pytest
from tests.support.source_tree import Function, Module, modules

MODULE_LINES = 500
FUNCTION_LINES = 60
"""Without decorators, docstring and the docstrings of attributes."""

LONGER_MODULES: dict[str, str] = {}
"""Modules over the limit, each with the reason."""
LONGER_FUNCTIONS: dict[str, str] = {}
"""Functions over the limit, each with the reason."""


def _lines(function: Function) -> int:
    """Lines from `def` to the end, less docstrings."""
    docstrings = [
        node
        for node in ast.walk(function)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    ]
    return _span(function) - sum(_span(docstring) for docstring in docstrings)


def _span(node: ast.stmt) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


@pytest.mark.parametrize("module", modules(), ids=lambda module: module.name)
def test_module_has_a_docstring(module: Module) -> None:
    """Every module says in its first line what it is."""
    assert ast.get_docstring(module.tree), f"{module.name} has no docstring"


def test_modules_are_short() -> None:
    """No module exceeds the limit unless it is listed, and no listing has outlived its reason."""
    longer = {module.name: len(module.text.splitlines()) for module in modules()}
    longer = {name: lines for name, lines in longer.items() if lines > MODULE_LINES}
    assert longer.keys() == LONGER_MODULES.keys(), longer


def test_functions_fit_a_screen() -> None:
    """No function exceeds the limit unless it is listed, and no listing has outlived its reason."""
    longer = {name: _lines(function) for module in modules() for name, function in module.functions()}
    longer = {name: lines for name, lines in longer.items() if lines > FUNCTION_LINES}
    assert longer.keys() == LONGER_FUNCTIONS.keys(), longer
