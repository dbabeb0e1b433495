"""Users' modules get the runtime's modules, however they import them, and nobody else does."""

import sys
import threading
from pathlib import Path

import pytest

from oarlock.lab.threads import BadTarget, VirtualRuntime


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, empty."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_way_to_import(folder: Path) -> None:
    """`import`, `import as`, `from import`, and imports inside functions all get the shims."""
    (folder / "ways.py").write_text(
        "import threading, random\nimport time as t\nfrom threading import Lock\nfrom queue import *\n"
        "import datetime\nfrom datetime import datetime as d\n"
        "def make():\n    import time\n    from threading import Thread as T\n"
        "    return threading, t, time, Lock, T, random, Queue, datetime.datetime.now(), d.now().year\n"
    )
    runtime = VirtualRuntime(0)
    first, t, time, lock, thread, random, queue, now, year = runtime.load("ways:make")()
    assert first is runtime.threading
    assert t is time is runtime.time
    assert lock is runtime.threading.Lock
    assert thread is runtime.threading.Thread
    assert random is runtime.random
    assert queue is runtime.queue.Queue
    assert now.year == year == 2024
    assert "ways" not in sys.modules
    assert sys.modules["threading"] is threading


def test_a_package_and_what_lies_beside_it(folder: Path) -> None:
    """Packages are copied whole, with relative, absolute and late imports, and so are modules beside them."""
    (folder / "fleet" / "oars").mkdir(parents=True)
    (folder / "fleet" / "__init__.py").write_text("from .boat import make\nfrom fleet import oars\n")
    (folder / "fleet" / "boat.py").write_text(
        "from . import crew\nimport fleet.oars.blade as blade\nimport harbour\n"
        "def make():\n    from .oars.blade import LOCK\n    import fleet.late\n"
        "    return crew.LOCK, blade.LOCK, LOCK, harbour.LOCK, fleet.late.LOCK\n"
    )
    lock = "import threading\nLOCK = threading.Lock()\n"
    for name in ("fleet/crew", "fleet/late", "fleet/oars/__init__", "fleet/oars/blade", "harbour"):
        (folder / f"{name}.py").write_text(lock)
    runtime = VirtualRuntime(0)
    locks = runtime.load("fleet:make")()
    assert all(type(found) is runtime.threading.Lock for found in locks)
    assert locks[1] is locks[2]
    assert runtime.load("fleet.boat:make")()[0] is locks[0]
    another = VirtualRuntime(0)
    other = another.load("fleet:make")()
    assert other[0] is not locks[0]
    assert type(other[0]) is not type(locks[0])


def test_classes_of_copies_resolve_their_annotations(folder: Path) -> None:
    """Dataclasses and structs of a copied module find the names in their annotations."""
    (folder / "shapes.py").write_text(
        "from __future__ import annotations\nimport dataclasses, msgspec, typing\n"
        "class Inner(msgspec.Struct):\n    a: int\n"
        "class Outer(msgspec.Struct):\n    inner: Inner\n"
        "@dataclasses.dataclass\nclass Data:\n    inner: Inner\n"
        "def make():\n    return msgspec.convert({'inner': {'a': 1}}, Outer).inner.a, typing.get_type_hints(Data)\n"
    )
    runtime = VirtualRuntime(0)
    number, hints = runtime.load("shapes:make")()
    assert number == 1
    assert hints["inner"].__name__ == "Inner"


def test_of_this_package_the_target_alone_is_copied() -> None:
    """Our own modules share their types with whoever runs them."""
    from oarlock.lab.persister import Persister

    made = VirtualRuntime(0).load("oarlock.lab.persister:Persister")
    assert made is not Persister
    group = VirtualRuntime(0).load("oarlock.lab.group:ServerGroup")
    assert group.__init__.__globals__["Persister"] is Persister


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import asyncio", "asyncio cannot be used on virtual time"),
        ("from multiprocessing import Process", "multiprocessing cannot be used"),
        ("from concurrent import futures", "concurrent.futures cannot be used on virtual time: start a threading"),
        ("import no_such_module", "ModuleNotFoundError"),
        ("from threading import settrace", "cannot import name 'settrace'"),
        ("1/0", "ZeroDivisionError"),
    ],
)
def test_what_cannot_be_had_is_said(folder: Path, text: str, message: str) -> None:
    """A module that needs what has no virtual twin, or fails, is one clear error; nothing of it stays behind."""
    (folder / "wrong.py").write_text(f"{text}\ndef make(): ...\n")
    with pytest.raises(BadTarget, match=message):
        VirtualRuntime(0).load("wrong:make")
    assert not [name for name in sys.modules if name.endswith("wrong")]


def test_copies_go_with_their_runtime(folder: Path) -> None:
    """A runtime that is gone leaves no modules behind."""
    (folder / "brief.py").write_text("import threading\ndef make(): ...\n")
    runtime = VirtualRuntime(0)
    runtime.load("brief:make")
    (name,) = [name for name in sys.modules if name.endswith(":brief")]
    del runtime
    assert name not in sys.modules
