"""What others may rely on: the names that packages export, and the commands that are installed."""

import importlib
import pkgutil
import tomllib

from tests.support.source_tree import ROOT

import oarlock

PUBLIC_NAMES: dict[str, list[str]] = {}
"""By room, what its `__all__` must hold; to change an entry is to change what we promise."""


def test_rooms_export_what_is_promised() -> None:
    """No name that the package or a room exports comes or goes unnoticed."""
    rooms = ["oarlock", *sorted(module.name for module in pkgutil.iter_modules(oarlock.__path__, "oarlock."))]
    exported = {name: sorted(getattr(importlib.import_module(name), "__all__", [])) for name in rooms}
    assert {name: names for name, names in exported.items() if names} == PUBLIC_NAMES


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
