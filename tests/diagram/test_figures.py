"""The pictures of the algorithm are what the code says."""

import importlib.util
from types import ModuleType

from tests.support.source_tree import ROOT


def generator() -> ModuleType:
    """The script, as a module."""
    spec = importlib.util.spec_from_file_location("generate_figures", ROOT / "scripts" / "generate_figures.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_state_machine_is_current() -> None:
    """The picture of roles has an arrow for each row of the table that the core obeys."""
    script = generator()
    assert script.ROLES.read_text() == script.roles(), "run: python scripts/generate_figures.py"


def test_the_card_is_current() -> None:
    """The card names each rule's place, its tests and its mutants as they are now."""
    script = generator()
    assert script.CARD.read_text() == script.card(), "run: python scripts/generate_figures.py"
