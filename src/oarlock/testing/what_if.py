"""Counterfactuals of a library's run, in the words of `oarlock trace what-if`."""

import re
from typing import Final

import msgspec

from oarlock.sim.schedule import MessageEdit

_WORDS: Final = re.compile(r"(?:(drop|deliver|duplicate) (\S+)|(delay) (\S+) (\d+(?:\.\d+)?))")


def edit_of(text: str) -> MessageEdit:
    """Read what is to become of a message, such as "drop n2.1.47" or "delay n2.1.47 50", in milliseconds.

    Raises:
        ValueError: It cannot be read.
    """
    found = _WORDS.fullmatch(text.strip())
    if found is None:
        raise ValueError(f'what_if: "drop ID", "deliver ID", "duplicate ID" or "delay ID MS", not {text!r}')
    do, message, delay, delayed, milliseconds = found.groups()
    if delay is not None:
        return MessageEdit(message=delayed, do="delay", seconds=float(milliseconds) / 1000)
    return msgspec.convert({"message": message, "do": do}, MessageEdit)


def in_words(edit: MessageEdit) -> str:
    """The text that `edit_of` reads."""
    return f"{edit.do} {edit.message}" + (f" {edit.seconds * 1000:g}" if edit.do == "delay" else "")
