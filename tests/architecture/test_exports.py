"""What others may rely on: the names that packages export, and the commands that are installed."""

import importlib
import pkgutil
import tomllib
from pathlib import Path

from tests.support.source_tree import ROOT

import oarlock

PUBLIC_NAMES = Path(__file__).with_name("public_names.txt")
"""Each name that the package or a room exports, one a line, sorted; to change a line is to change a promise."""


def test_rooms_export_what_is_promised() -> None:
    """No name that the package or a room lists in its `__all__` comes or goes unnoticed."""
    rooms = ["oarlock", *(module.name for module in pkgutil.iter_modules(oarlock.__path__, "oarlock."))]
    exported = {f"{room}.{name}" for room in rooms for name in getattr(importlib.import_module(room), "__all__", [])}
    promised = PUBLIC_NAMES.read_text().splitlines()
    assert promised == sorted(promised)
    assert not exported - set(promised), "exported, but not in public_names.txt"
    assert not set(promised) - exported, "in public_names.txt, but no longer exported"


def test_exported_names_exist() -> None:
    """Whatever any package lists in its `__all__` is there."""
    for module in pkgutil.walk_packages(oarlock.__path__, "oarlock."):
        if module.ispkg:
            package = importlib.import_module(module.name)
            assert all(hasattr(package, name) for name in getattr(package, "__all__", []))


def test_package_is_typed() -> None:
    """Type checkers may use our annotations (PEP 561)."""
    assert (ROOT / "src" / "oarlock" / "py.typed").exists()


def test_version_is_one() -> None:
    """The package, its metadata and the changelog name the same version."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == oarlock.__version__
    assert f"## [{oarlock.__version__}]" in (ROOT / "CHANGELOG.md").read_text()


def test_commands_exist() -> None:
    """Each command that is installed leads to a function."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for target in project["scripts"].values():
        module, _, function = target.partition(":")
        assert callable(getattr(importlib.import_module(module), function))
