"""Buggy copies of our threaded Raft that the advisor is to see: some of the lab's, and a few more."""

from pathlib import Path
from typing import Final, NamedTuple

from tests.support.lab_mutants import FACADE, SERVER, facade

from oarlock.zoo.mutant import SOURCE, Mutant, patch


class Seen(NamedTuple):
    """A bug, and the check that finds it."""

    mutant: Mutant
    check: str
    also: tuple[str, ...] = ()
    """Modules to watch beside the copy."""


_LAB = {mutant.id: mutant for mutant in FACADE}
_CALL = "self._peers[to - 1].call(_METHODS[type(request)], request, Replies)\n"

SEEN: Final = [
    Seen(
        facade(
            "starts-without-the-lock",
            ("K1",),
            "`start` changes what other threads use without the lock.",
            "safety",
            (
                "        with self._lock:\n            term = self._core",
                "        if True:\n            term = self._core",
            ),
        ),
        "shared-data",
    ),
    Seen(
        facade(
            "sleeps-with-the-lock",
            ("K4",),
            "The loop for elections keeps the lock while it sleeps.",
            "liveness",
            (
                "                with self._released():\n                    time.sleep(ELECTION_CHECK_S)",
                "                time.sleep(ELECTION_CHECK_S)\n                with self._released():\n                    pass",
            ),
        ),
        "waits-with-lock",
    ),
    Seen(
        facade(
            "calls-with-the-lock",
            ("K4",),
            "A peer is called with the lock held, and cannot call back.",
            "liveness",
            (
                f"        replies: Replies | None = {_CALL}",
                f"        with self._lock:\n            replies: Replies | None = {_CALL}",
            ),
        ),
        "waits-with-lock",
    ),
    Seen(
        facade(
            "delivers-with-the-lock",
            ("K4", "G31"),
            "The applier holds the lock while it puts on the apply channel, whose reader may be waiting for it.",
            "liveness",
            (
                "with self._released():\n                        self._apply_ch.put(message)",
                "self._apply_ch.put(message)",
            ),
        ),
        "lock-order",
    ),
    Seen(_LAB["one-rpc-at-a-time"], "waits-with-lock"),
    Seen(_LAB["elections-beat-too"], "combined-timers"),
    Seen(_LAB["two-appliers"], "several-appliers"),
    Seen(_LAB["applier-is-not-kicked"], "applier-not-woken", ("oarlock.raft.state",)),
]
"""In the order of the notes."""


def write(mutant: Mutant, folder: Path) -> str:
    """Write a buggy copy; gives what to load."""
    text = SOURCE.joinpath(*SERVER.split(".")).with_suffix(".py").read_text()
    file = folder / "buggy_raft.py"
    file.write_text(patch(text, mutant.edits))
    return f"{file}:make"
