"""Attributes under watch: the classes of a user's modules, with every read and write told of.

Watched are the attributes that objects have themselves, of all classes that the user's modules define at their top
level or within such a class, but for enumerations, exceptions, tuples, containers and `msgspec.Struct`s. An attribute
that holds a list, dict, set or deque counts as written where the source says that it is changed through the
attribute: `self.log.append(x)`, `self.next_index[i] = n`, `del self.log[k:]`, `heapq.heappush(self.queue, x)`. Missed
are changes through a local alias (`log = self.log; log.append(x)`), variables of modules, and those that closures
share.
"""

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from enum import Enum
from types import BuiltinFunctionType, FunctionType, MemberDescriptorType, MethodType, ModuleType
from typing import Any, Final

import msgspec

from oarlock.lab.advisor.sources import use_now
from oarlock.lab.advisor.watch import Watch, is_inside
from oarlock.lab.threads.locks import Lock, Shim

UNWATCHED: Final = (Enum, BaseException, tuple, list, dict, set, msgspec.Struct)
NO_DATA: Final = (Shim, FunctionType, MethodType, BuiltinFunctionType, ModuleType, type)
"""What is no shared data, but a way to share it, or code."""
CONTAINERS: Final = (list, dict, set, bytearray)


def classes_of(modules: Iterable[ModuleType]) -> list[type]:
    """The classes that modules define, bases first."""
    found: dict[type, None] = {}
    for module in modules:
        for value in list(vars(module).values()):
            if isinstance(value, type) and value.__module__ == module.__name__:
                found[value] = None
                inner = [each for each in vars(value).values() if isinstance(each, type)]
                found.update(dict.fromkeys(each for each in inner if each.__module__ == module.__name__))
    return sorted(found, key=lambda each: len(each.__mro__))


@contextmanager
def watched(classes: Iterable[type], watch: Watch) -> Iterator[None]:
    """Tell a watch of attributes, until the end of the context."""
    undo: list[tuple[type, str, Any]] = []
    try:
        for each in classes:
            if not issubclass(each, UNWATCHED) and not getattr(each.__getattribute__, "is_watched", False):
                _patch(each, watch, undo)
        yield
    finally:
        for each, name, before in reversed(undo):
            if before is None:
                delattr(each, name)
            else:
                setattr(each, name, before)


def _patch(each: type, watch: Watch, undo: list[tuple[type, str, Any]]) -> None:
    get: Any = each.__getattribute__
    put: Any = each.__setattr__
    has_own: dict[tuple[type, str], bool] = {}

    def is_data(owner: object, name: str) -> bool:
        """Whether a name is the object's own, not one of its class."""
        key = (type(owner), name)
        known = has_own.get(key)
        if known is None:
            inherited = [vars(base)[name] for base in type(owner).__mro__ if name in vars(base)]
            known = has_own[key] = not inherited or isinstance(inherited[0], MemberDescriptorType)
        return known

    def __getattribute__(self: object, name: str) -> Any:  # noqa: ANN401, N807 - as the original
        value = get(self, name)
        if not watch.paused and name[:2] != "__" and not isinstance(value, NO_DATA) and is_data(self, name):
            frame = sys._getframe(1)  # noqa: SLF001 - the only way to the caller's frame
            if not is_inside(frame.f_code.co_filename):
                use = use_now(frame)
                is_write = use.changes and isinstance(value, CONTAINERS)
                watch.on_access(self, name, value, frame, use, is_write=is_write)
        return value

    def __setattr__(self: object, name: str, value: object) -> None:  # noqa: N807
        if not watch.paused:
            if isinstance(value, Lock):
                watch.lock_names.setdefault(value, f"{type(self).__name__}.{name}")
            elif not isinstance(value, NO_DATA) and is_data(self, name):
                frame = sys._getframe(1)  # noqa: SLF001
                if not is_inside(frame.f_code.co_filename):
                    watch.on_access(self, name, value, frame, use_now(frame), is_write=True)
        put(self, name, value)

    __getattribute__.is_watched = True  # type: ignore[attr-defined]
    for name, replacement in (("__getattribute__", __getattribute__), ("__setattr__", __setattr__)):
        _replace(each, name, replacement, undo)


def _replace(each: type, name: str, replacement: Callable[..., Any], undo: list[tuple[type, str, Any]]) -> None:
    before = vars(each).get(name)
    try:
        setattr(each, name, replacement)
    except TypeError:
        return  # a class that cannot be changed
    undo.append((each, name, before))
