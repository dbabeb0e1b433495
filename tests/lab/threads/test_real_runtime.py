"""The real modules behind the runtime's names, and users' programs loaded from where they are."""

import threading
from pathlib import Path

import pytest

from oarlock.lab.threads import BadTarget, RealRuntime


def test_hands_out_the_real_modules() -> None:
    """Code that runs on the real runtime uses the standard library itself."""
    runtime = RealRuntime()
    assert runtime.threading is threading
    assert runtime.run(lambda: 7) == 7


def test_loads_a_file(tmp_path: Path) -> None:
    """A file is named with its ending, and what lies beside it can be imported."""
    (tmp_path / "beside_real.py").write_text("FACTOR = 3\n")
    (tmp_path / "by_real_file.py").write_text("import beside_real\ndef triple(x): return x * beside_real.FACTOR\n")
    assert RealRuntime().load(f"{tmp_path}/by_real_file.py:triple")(2) == 6


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("nothing", "not of the form"),
        ("no.such.module:make", "cannot be imported: ModuleNotFoundError"),
        ("no/file.py:make", "there is no file"),
        ("no/file:make", "a file is named with its ending"),
        ("json:no_such", "has no 'no_such'"),
        ("json:__name__", "is no function, but a str"),
    ],
)
def test_names_what_cannot_be_loaded(target: str, message: str) -> None:
    """A target that leads nowhere is one error that says why."""
    with pytest.raises(BadTarget, match=message):
        RealRuntime().load(target)


def test_notes_what_ends_threads() -> None:
    """An exception that nobody catches in a thread is in `failures`, with its thread's name."""
    runtime = RealRuntime()

    def fail() -> None:
        raise ValueError("on purpose")

    def main() -> None:
        thread = runtime.threading.Thread(target=fail, name="unlucky")
        thread.start()
        thread.join()

    runtime.run(main)
    (failure,) = runtime.failures
    assert failure.thread == "unlucky"
    assert "ValueError: on purpose" in str(failure)
