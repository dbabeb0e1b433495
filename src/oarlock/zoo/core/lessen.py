"""The least play that still breaks the same property: fewer acts, no chance of its own, plain settings."""

import time
from collections.abc import Callable
from typing import Final

import msgspec

from oarlock.zoo.core.play import Act, Play

Breaks = Callable[[Play], str | None]
"""Runs a play; the property that it breaks, or None."""

_PLAIN: Final[dict[str, object]] = {
    "lease_reads": False, "max_message_bytes": 1 << 20, "max_inflight_messages": 256,
    "max_uncommitted_bytes": 1 << 20, "max_pending_reads": 4096, "pre_vote": False, "check_quorum": False,
}  # fmt: skip


class _OutOfTime(Exception):
    """It has cost all that it may."""


def lessen(play: Play, breaks: Breaks, max_s: float) -> Play:
    """Reduce a play that breaks a property, for so many seconds of real time at most.

    Returns:
        The least that was found; the play itself if it breaks nothing.
    """
    name = breaks(play)
    return play if name is None else _Lessening(play, breaks, name, time.monotonic() + max_s).reduce()


class _Lessening:
    def __init__(self, play: Play, breaks: Breaks, name: str, deadline: float) -> None:
        self._play = play
        self._breaks = breaks
        self._name = name
        self._deadline = deadline

    def reduce(self) -> Play:
        try:
            before: Play | None = None
            while before is not self._play:
                before = self._play
                self._try(faults=False)
                self._fewer_acts()
                self._simpler_acts()
                for members in range(self._play.members):
                    self._try(members=members)
                for name, value in _PLAIN.items():
                    self._try(settings={**self._play.settings, name: value})
        except _OutOfTime:
            pass
        return self._play

    def _try(self, **changes: object) -> bool:
        """Take a change if the play still breaks the same.

        Raises:
            _OutOfTime: There is no time to try.
        """
        changed = msgspec.structs.replace(self._play, **changes)
        if changed == self._play:
            return False
        if time.monotonic() >= self._deadline:
            raise _OutOfTime
        holds = self._breaks(changed) == self._name
        if holds:
            self._play = changed
        return holds

    def _fewer_acts(self) -> None:
        """Without all, without halves, quarters, and so on to single ones."""
        size = len(self._play.acts)
        while size:
            at = 0
            while at < len(self._play.acts):
                acts = self._play.acts
                if not self._try(acts=acts[:at] + acts[at + size :]):
                    at += size
            size = min(size, len(self._play.acts)) // 2

    def _simpler_acts(self) -> None:
        """Once instead of five times; and sooner, all that follows with it."""
        for at in range(len(self._play.acts)):
            act = self._play.acts[at]
            if act.do in ("propose", "read") and act.times > 1:
                self._try(acts=self._with(at, msgspec.structs.replace(act, times=1)))
            before = self._play.acts[at - 1].step if at else 0
            for gap in (1, 4, 10):
                if act.step - before > gap and self._try(acts=self._sooner(at, act.step - before - gap)):
                    break

    def _with(self, at: int, act: Act) -> list[Act]:
        acts = list(self._play.acts)
        acts[at] = act
        return acts

    def _sooner(self, at: int, steps: int) -> list[Act]:
        acts = self._play.acts
        return acts[:at] + [msgspec.structs.replace(each, step=each.step - steps) for each in acts[at:]]
