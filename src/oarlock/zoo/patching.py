"""Import hook: modules named by a mutant are compiled from patched source; the files, and their bytecode, stay.

Works only in a process that has not yet imported them: a worker of its own for each mutant.
"""

import importlib.util
import sys
from collections.abc import Mapping, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType, ModuleType

from oarlock.zoo.mutant import Edit, Mutant, edits_by_module, patch


class _PatchedLoader(SourceFileLoader):
    """Compiles the patched text, and neither reads nor writes bytecode."""

    def __init__(self, name: str, path: str, edits: tuple[Edit, ...]) -> None:
        super().__init__(name, path)
        self._edits = edits

    def get_code(self, fullname: str) -> CodeType:
        """See `InspectLoader.get_code`."""
        text = importlib.util.decode_source(self.get_data(self.path))
        code = self.source_to_code(patch(text, self._edits).encode(), self.path)
        assert isinstance(code, CodeType), fullname  # noqa: S101 - source gives code
        return code


class _Finder(MetaPathFinder):
    """Finds the modules to be patched; leaves all others to those after it."""

    def __init__(self, edits: Mapping[str, tuple[Edit, ...]]) -> None:
        self._edits = edits

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        """See `MetaPathFinder.find_spec`."""
        edits = self._edits.get(fullname)
        if edits is None:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is None or spec.origin is None:
            return None
        return importlib.util.spec_from_loader(fullname, _PatchedLoader(fullname, spec.origin, edits))


def install(mutant: Mutant) -> None:
    """Have this process import the mutant's modules patched.

    Raises:
        RuntimeError: One of them was imported already, as it is.
    """
    edits = edits_by_module(mutant)
    late = sorted(edits.keys() & sys.modules.keys())
    if late:
        raise RuntimeError(f"{', '.join(late)} imported before the patch")
    sys.meta_path.insert(0, _Finder(edits))
