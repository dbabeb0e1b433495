"""Where threads are: stacks without the frames of the runtime itself."""

import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Final, NamedTuple

from oarlock.lab.threads.task import Task

HERE: Final = str(Path(__file__).parent)
DEPTH: Final = 30
"""Frames told of each stack, the innermost."""


def user_frame(depth: int = 1) -> FrameType | None:
    """The innermost frame that is not the runtime's."""
    frame: FrameType | None = sys._getframe(depth)  # noqa: SLF001 - the only way to the caller's frame
    while frame is not None and frame.f_code.co_filename.startswith(HERE):
        frame = frame.f_back
    return frame


class Site(NamedTuple):
    """Where in a user's code something was made."""

    filename: str
    line: int

    def __str__(self) -> str:
        return f"{self.filename.rpartition('/')[2]}:{self.line}"


def site(depth: int = 2) -> Site:
    """Where a user's code is now."""
    frame = user_frame(depth)
    return Site("?", 0) if frame is None else Site(frame.f_code.co_filename, frame.f_lineno)


def stacks_of(tasks: Sequence[Task]) -> dict[int, traceback.StackSummary]:
    """The stack of each task, by its number; none for one that has not begun."""
    frames = sys._current_frames()  # noqa: SLF001 - the only way to other threads' frames
    stacks = {}
    for task in tasks:
        frame = frames.get(task.worker.ident) if task.worker is not None else None
        if frame is not None:
            summary = traceback.extract_stack(frame)
            kept = [line for line in summary if not line.filename.startswith(HERE)]
            stacks[task.number] = traceback.StackSummary.from_list(kept[-DEPTH:])
    return stacks


def waiting_for(task: Task) -> str:
    """What a task does at the moment, in words."""
    if not task.verb:
        return "can run"
    owner = getattr(task.subject, "owner", None)
    held = f", held by {owner.name}" if isinstance(owner, Task) else ""
    return f"waits: {task.verb} {describe(task.subject)}{held}"


def describe(subject: object) -> str:
    """A lock, queue or the like by where it was made."""
    made = getattr(subject, "made_at", None)
    if made is not None:
        return f"the {type(subject).__name__} made at {made}"
    return subject.name if isinstance(subject, Task) else str(subject)


def tell_all(tasks: Sequence[Task], stacks: dict[int, traceback.StackSummary]) -> str:
    """What every task does, and its stack."""
    parts = []
    for task in tasks:
        stack = stacks.get(task.number)
        lines = "".join(stack.format()) if stack else "  has not begun\n"
        parts.append(f"thread {task.name} {waiting_for(task)}\n{lines}")
    return "\n".join(parts)
