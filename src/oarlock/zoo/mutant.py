"""A mutant: one named bug as an exact replacement of source text, and what it should break."""

from pathlib import Path
from typing import Literal

import msgspec

SOURCE = Path(__file__).parents[1]
"""Of the package whose modules are patched."""


class StalePatch(Exception):
    """The source has moved on: a patch no longer fits in exactly one place."""


class Edit(msgspec.Struct, frozen=True):
    """Replace `old`, which occurs once in the module, by `new`."""

    module: str
    """Dotted, without the package: "raft.log"."""
    old: str
    new: str

    @property
    def path(self) -> Path:
        """The module's file."""
        return SOURCE.joinpath(*self.module.split(".")).with_suffix(".py")


class Mutant(msgspec.Struct, frozen=True, kw_only=True):
    """A named bug.

    Args:
        id: Stable, in words.
        breaks: Rules and pitfalls, by id, that the bug goes against.
        bug: One sentence: what the code does wrong.
        harm: What comes of it: "safety", something wrong happens; "liveness", something good never does; "bound", a
            limit does not hold.
        edits: The patch.
        source: Where the bug was really made, if it was: a project and issue.
        stage: Which simulation knows the code: "core" for the algorithm alone, "node" for the whole server.
    """

    id: str
    breaks: tuple[str, ...]
    bug: str
    harm: Literal["safety", "liveness", "bound"]
    edits: tuple[Edit, ...]
    source: str = ""
    stage: Literal["core", "node"] = "core"


def patch(source: str, edits: tuple[Edit, ...]) -> str:
    """Apply a mutant's edits of one module to its text.

    Raises:
        StalePatch: An edit fits nowhere, or in several places.
    """
    for edit in edits:
        places = source.count(edit.old)
        if places != 1:
            raise StalePatch(f"{edit.module}: {places} places, not one, say {edit.old!r}")
        source = source.replace(edit.old, edit.new)
    return source


def edits_by_module(mutant: Mutant) -> dict[str, tuple[Edit, ...]]:
    """The edits, by the full name of the module that each is for."""
    names = dict.fromkeys(f"oarlock.{edit.module}" for edit in mutant.edits)
    return {name: tuple(edit for edit in mutant.edits if f"oarlock.{edit.module}" == name) for name in names}
