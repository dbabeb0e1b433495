"""What a user names on the command line: `package.module:function`, or a file `path/to/module.py:function`."""

import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple


class BadTarget(Exception):
    """What was named cannot be loaded; the message says what and why."""


class Target(NamedTuple):
    """A function in a module."""

    module: str
    function: str
    directory: str
    """Where to look for the module first: that of a named file, else the current directory."""

    def of(self, module: object) -> Callable[..., Any]:
        """The function, once its module is there.

        Raises:
            BadTarget: The module has none of that name, or it cannot be called.
        """
        value: Any = module
        for name in self.function.split("."):
            try:
                value = getattr(value, name)
            except AttributeError:
                raise BadTarget(f"{self.module} has no {self.function!r}") from None
        if not callable(value):
            raise BadTarget(f"{self.module}:{self.function} is no function, but a {type(value).__name__}")
        found: Callable[..., Any] = value
        return found


def parse_target(text: str) -> Target:
    """Read `module:function`, where the module may be a file.

    Raises:
        BadTarget: It is of another form, or the file is not there.
    """
    place, colon, function = text.rpartition(":")
    if not colon or not place or not all(part.isidentifier() for part in function.split(".")):
        raise BadTarget(f"{text!r} is not of the form package.module:function")
    if place.endswith(".py"):
        file = Path(place)
        if not file.is_file():
            raise BadTarget(f"there is no file {place}")
        return Target(file.stem, function, str(file.resolve().parent))
    if not all(part.isidentifier() for part in place.split(".")):
        raise BadTarget(f"{place!r} is not the name of a module; a file is named with its ending, .py")
    return Target(place, function, str(Path.cwd()))


@contextlib.contextmanager
def first_on_path(directory: str) -> Iterator[None]:
    """Look for modules in a directory first, as `python -m` does for the current one."""
    sys.path.insert(0, directory)
    try:
        yield
    finally:
        sys.path.remove(directory)
