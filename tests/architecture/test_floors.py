"""Which room may import which, and that the contracts cover every room."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

from tests.support.source_tree import ROOT, modules


def test_import_contracts_hold() -> None:
    """A room imports only from lower floors, and the core imports nothing that does I/O (pyproject.toml)."""
    done = subprocess.run(
        [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},  # this tree, whatever is installed
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_room_has_a_floor() -> None:
    """No room escapes the contract on layers by not being named in it."""
    configuration = tomllib.loads((ROOT / "pyproject.toml").read_text())
    layers = configuration["tool"]["importlinter"]["contracts"][0]["layers"]
    floors = {room.strip().removeprefix("oarlock.") for layer in layers for room in layer.split("|")}
    assert {module.room for module in modules()} - {""} <= floors
