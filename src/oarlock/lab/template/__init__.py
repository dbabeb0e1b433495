"""A package to begin an own Raft with: the bodies are left out, as an exercise."""

import keyword
from importlib.resources import files
from pathlib import Path
from typing import Final

_FILES: Final = {
    "__init__.py": "init.txt",
    "raft.py": "raft.txt",
    "messages.py": "messages.txt",
    "README.md": "readme.txt",
}
"""What is written, and the text here that it is made of; NAME in it becomes the package's name."""


class AlreadyThere(ValueError):
    """The package cannot be written under that name; the message says why."""


def write_template(name: str, directory: Path) -> list[Path]:
    """Write the package.

    Args:
        name: A Python identifier.
        directory: Where the package's folder is made.

    Raises:
        AlreadyThere: There is something of that name, or it cannot name a package.
    """
    if not name.isidentifier() or keyword.iskeyword(name):
        raise AlreadyThere(f"{name!r} cannot name a package in Python")
    folder = directory / name
    if folder.exists():
        raise AlreadyThere(f"{folder} is there already")
    folder.mkdir()
    written = []
    for file, text in _FILES.items():
        path = folder / file
        path.write_text((files(__package__) / text).read_text(encoding="utf-8").replace("NAME", name), encoding="utf-8")
        written.append(path)
    return written
