"""The generated page of rules is what the code and the tests say."""

import importlib.util
from types import ModuleType

from tests.support.source_tree import ROOT


def generator() -> ModuleType:
    """The script, as a module."""
    spec = importlib.util.spec_from_file_location("generate_rules", ROOT / "scripts" / "generate_rules.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_current() -> None:
    """The page names every rule's places and tests as they are now."""
    script = generator()
    assert script.PAGE.read_text() == script.page(), "run: python scripts/generate_rules.py"
