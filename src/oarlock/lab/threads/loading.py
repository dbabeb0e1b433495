"""A user's modules, imported once more under names of their own, with other modules in place of the standard ones.

Each such module has builtins of its own, whose `__import__` hands out the replacements; so an import inside a
function, run later, gets them as well. A copy is made of every module in Python beside the target: of the target's
package, and of what else lies in the folder that holds that package, unless it is where installed packages are. Of
this package itself just the target is copied, or the package below a room that it is of. All other modules are
imported as ever, and shared.
"""

import builtins
import importlib.util
import itertools
import sys
import sysconfig
import weakref
from collections.abc import Mapping, Sequence
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from oarlock.lab.threads.target import BadTarget, Target, first_on_path

FORBIDDEN: Final = {
    "_thread": "use threading",
    "asyncio": "the labs' interface is one of threads",
    "concurrent.futures": "start a threading.Thread for each thing to wait for",
    "multiprocessing": "processes share neither memory nor virtual time",
    "sched": "let a thread sleep",
    "select": "servers reach each other by their ends alone",
    "selectors": "servers reach each other by their ends alone",
    "signal": "there is nobody to send signals",
    "socket": "servers reach each other by their ends alone",
    "subprocess": "processes share neither memory nor virtual time",
}
"""What cannot be had on virtual time, and what to do instead."""
OURS: Final = __name__.partition(".")[0]
_NUMBERS: Final = itertools.count(1)


class NotOnVirtualTime(ImportError):
    """A program imports what has no virtual twin."""


class PrivateModules:
    """The copies that one runtime has.

    Args:
        replacements: Modules by the names that they stand in for.
    """

    def __init__(self, replacements: Mapping[str, ModuleType]) -> None:
        self._replacements = dict(replacements)
        self._prefix = f"virtual{next(_NUMBERS)}:"
        self._copies: dict[str, ModuleType] = {}
        self._specs: dict[str, ModuleSpec | None] = {}
        self._scope = ""
        """The module or package that is copied in any case."""
        self._folder: Path | None = None
        """Whatever lies in it is copied too."""
        # The copies are in `sys.modules` and must not keep us alive, or they would never go.
        self_or_none = weakref.ref(self)

        def import_(*args: Any, **kwargs: Any) -> ModuleType:  # noqa: ANN401 - as the original
            modules = self_or_none()
            if modules is None:
                raise ImportError("the runtime that this module was loaded on is gone")
            return modules._import(*args, **kwargs)  # noqa: SLF001 - it is our own

        self._builtins = {**vars(builtins), "__import__": import_}
        weakref.finalize(self, _forget, self._prefix)

    def load(self, target: Target) -> Any:  # noqa: ANN401 - a function
        """Import a module, and find a function in it.

        Raises:
            BadTarget: It cannot be found, or raises when imported.
        """
        with first_on_path(target.directory):
            try:
                self._set_scope(target.module)
                module = self._copy(target.module)
            except Exception as error:
                raise BadTarget(f"{target.module} cannot be imported: {type(error).__name__}: {error}") from error
        return target.of(module)

    def copies(self) -> list[ModuleType]:
        """Those made so far, in the order in which they were asked for."""
        return list(self._copies.values())

    # -- what is copied ------------------------------------------------------------------------------------------

    def _set_scope(self, module: str) -> None:
        top = module.partition(".")[0]
        self._scope = top
        if top == OURS:
            package = module.rpartition(".")[0]
            deep = package.count(".") > 2
            self._scope = package if deep and not _is_package(module) else module
        self._folder = None
        spec = self._spec(top)
        if top != OURS and spec is not None:
            locations = list(spec.submodule_search_locations or ())
            place = locations[0] if locations else spec.origin
            folder = Path(place).resolve().parent if place else None
            if folder is not None and not _is_for_installed(folder):
                self._folder = folder

    def _copies_it(self, name: str) -> bool:
        if name == self._scope or name.startswith(f"{self._scope}."):
            return True
        top = name.partition(".")[0]
        if self._folder is None or top == OURS or top in sys.builtin_module_names:
            return False
        spec = self._spec(top)
        places = [] if spec is None else [*(spec.submodule_search_locations or ()), spec.origin or ""]
        return any(place and Path(place).resolve().is_relative_to(self._folder) for place in places)

    def _spec(self, name: str) -> ModuleSpec | None:
        """Where a module is; its package, if any, is copied already."""
        if name not in self._specs:
            parent = self._copies.get(name.rpartition(".")[0])
            self._specs[name] = importlib.util.find_spec(name) if parent is None else _find(name, parent.__path__)
        return self._specs[name]

    # -- importing -----------------------------------------------------------------------------------------------

    def _import(
        self,
        name: str,
        globals: Mapping[str, Any] | None = None,  # noqa: A002 - as the original
        locals: Mapping[str, Any] | None = None,  # noqa: A002, ARG002
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        """What an `import` statement in a copied module does."""
        if level:
            package = str((globals or {}).get("__package__") or "").removeprefix(self._prefix)
            name = importlib.util.resolve_name("." * level + name, package)
        self._refuse(name, fromlist or ())
        if name in self._replacements:
            return self._replacements[name]
        if not self._copies_it(name):
            return builtins.__import__(name, {}, {}, fromlist or (), 0)
        module = self._copy(name)
        if not fromlist:
            return self._copies[name.partition(".")[0]] if not level else module
        if hasattr(module, "__path__"):
            wanted = getattr(module, "__all__", ()) if "*" in fromlist else fromlist
            for member in wanted:
                if not hasattr(module, member) and self._spec(f"{name}.{member}") is not None:
                    self._copy(f"{name}.{member}")
        return module

    def _refuse(self, name: str, fromlist: Sequence[str]) -> None:
        for wanted in (name, *(f"{name}.{member}" for member in fromlist)):
            for forbidden, reason in FORBIDDEN.items():
                if wanted == forbidden or wanted.startswith(f"{forbidden}."):
                    raise NotOnVirtualTime(f"{forbidden} cannot be used on virtual time: {reason}", name=forbidden)

    def _copy(self, name: str) -> ModuleType:
        """The copy of a module, made when it is first asked for, after those of its packages."""
        parent, _, last = name.rpartition(".")
        if name in self._copies:
            return self._copies[name]
        if parent and self._copies_it(parent):
            self._copy(parent)
            if name in self._copies:
                return self._copies[name]
        spec = self._spec(name)
        if spec is None:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        module = self._execute(name, spec)
        if parent in self._copies:
            setattr(self._copies[parent], last, module)
        return module

    def _execute(self, name: str, spec: ModuleSpec) -> ModuleType:
        if spec.origin and not spec.origin.endswith(".py"):
            # What is not written in Python cannot be given other builtins.
            self._copies[name] = builtins.__import__(name, {}, {}, ("*",), 0)
            return self._copies[name]
        module = _empty(self._prefix + name, spec)
        vars(module)["__builtins__"] = self._builtins
        self._copies[name] = sys.modules[module.__name__] = module
        loader = module.__loader__
        if isinstance(loader, SourceFileLoader):
            try:
                loader.exec_module(module)
            except BaseException:
                del self._copies[name], sys.modules[module.__name__]
                raise
        return module


def _empty(private_name: str, spec: ModuleSpec) -> ModuleType:
    """A module that is yet to be executed, by the plain loader, whatever its own does besides; or a namespace."""
    places = spec.submodule_search_locations
    if spec.origin is None:
        namespace = ModuleType(private_name)
        namespace.__path__ = list(places or ())
        namespace.__package__ = private_name
        return namespace
    loader = SourceFileLoader(private_name, spec.origin)
    own = importlib.util.spec_from_file_location(
        private_name, spec.origin, loader=loader, submodule_search_locations=None if places is None else list(places)
    )
    assert own is not None  # noqa: S101 - there is a loader
    return importlib.util.module_from_spec(own)


def _find(name: str, path: Sequence[str]) -> ModuleSpec | None:
    for finder in sys.meta_path:
        spec = finder.find_spec(name, path)
        if spec is not None:
            return spec
    return None


def _is_package(name: str) -> bool:
    spec = importlib.util.find_spec(name)
    return spec is not None and spec.submodule_search_locations is not None


def _is_for_installed(folder: Path) -> bool:
    paths = sysconfig.get_paths()
    return any(folder == Path(paths[kind]).resolve() for kind in ("stdlib", "platstdlib", "purelib", "platlib"))


def _forget(prefix: str) -> None:
    """Let the copies go."""
    for name in [name for name in sys.modules if name.startswith(prefix)]:
        del sys.modules[name]
