"""Verdicts kept in a file, one a line, so that a long run can be ended at any time and taken up again."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from oarlock.zoo.mutation.judged import Judged
from oarlock.zoo.mutation.mutants import General, path_of


class Kept(msgspec.Struct, frozen=True):
    """A verdict, and of what it is one."""

    source: str
    """Of the text of the mutant's module: when that changes, the verdict is none any more."""
    judged: Judged
    suite: bool = False
    """Whether the tests were run on what survived."""


class RecordBroken(ValueError):
    """The file is not a record; the message names the line."""


def source_of(module: str) -> str:
    """What stands for a module's text."""
    return hashlib.sha256(path_of(module).read_bytes()).hexdigest()[:16]


def keep(path: Path, *, suite: bool) -> Callable[[Judged], None]:
    """What adds verdicts to a file as they come."""

    def add(judged: Judged) -> None:
        kept = Kept(source_of(judged.mutant.module), judged, suite)
        with path.open("ab") as file:
            file.write(msgspec.json.encode(kept) + b"\n")

    return add


def recorded(path: Path, mutants: Sequence[General], *, suite: bool) -> dict[str, Judged]:
    """What a file says of mutants, by id.

    Args:
        path: The file; one that is not there says nothing.
        mutants: Of the present text.
        suite: Whether a survivor counts only if the tests were run on it, too.

    Raises:
        RecordBroken: A line is no verdict.
    """
    by_place = {mutant.place: mutant for mutant in mutants}
    sources = {module: source_of(module) for module in {mutant.module for mutant in mutants}}
    found: dict[str, Judged] = {}
    for number, line in enumerate(path.read_bytes().splitlines() if path.exists() else (), 1):
        try:
            kept = msgspec.json.decode(line, type=Kept)
        except msgspec.DecodeError as error:
            raise RecordBroken(f"{path}, line {number}: {error}") from error
        mutant = by_place.get(kept.judged.mutant.place)
        if mutant is None or sources[mutant.module] != kept.source:
            continue
        if kept.judged.by == "nobody" and suite and not kept.suite:
            continue
        found[mutant.id] = msgspec.structs.replace(kept.judged, mutant=mutant)
    return found
