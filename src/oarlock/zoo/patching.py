"""Import hook: modules named by a mutant are compiled from changed source; the files, and their bytecode, stay.

Works only in a process that has not yet imported them: a worker of its own for each mutant.
"""

import importlib.util
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType, ModuleType

from oarlock.zoo.mutant import Edit, Mutant, edits_by_module, patch

Compile = Callable[[str, str], CodeType]
"""Makes changed code of a module's text; the path is for tracebacks."""


class _ChangedLoader(SourceFileLoader):
    """Compiles changed text, and neither reads nor writes bytecode."""

    def __init__(self, name: str, path: str, change: Compile) -> None:
        super().__init__(name, path)
        self._change = change

    def get_code(self, fullname: str) -> CodeType:  # noqa: ARG002
        """See `InspectLoader.get_code`."""
        return self._change(importlib.util.decode_source(self.get_data(self.path)), self.path)


class _Finder(MetaPathFinder):
    """Finds the modules to be changed; leaves all others to those after it."""

    def __init__(self, changes: Mapping[str, Compile]) -> None:
        self._changes = changes

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        """See `MetaPathFinder.find_spec`."""
        change = self._changes.get(fullname)
        if change is None:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is None or spec.origin is None:
            return None
        return importlib.util.spec_from_loader(fullname, _ChangedLoader(fullname, spec.origin, change))


def install(mutant: Mutant) -> None:
    """Have this process import the mutant's modules patched.

    Raises:
        RuntimeError: One of them was imported already, as it is.
    """
    install_changes({name: partial(_patched, edits) for name, edits in edits_by_module(mutant).items()})


def install_changes(changes: Mapping[str, Compile]) -> None:
    """Have this process import modules, by full name, as they are compiled here.

    Raises:
        RuntimeError: One of them was imported already, as it is.
    """
    late = sorted(changes.keys() & sys.modules.keys())
    if late:
        raise RuntimeError(f"{', '.join(late)} imported before the patch")
    sys.meta_path.insert(0, _Finder(changes))


def _patched(edits: tuple[Edit, ...], text: str, path: str) -> CodeType:
    code = compile(patch(text, edits), path, "exec", dont_inherit=True)
    assert isinstance(code, CodeType), path  # noqa: S101 - source gives code
    return code
