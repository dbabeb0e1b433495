"""The comparison of two runs in the terminal."""

from pathlib import Path

from rich.console import Console
from rich.text import Text

from oarlock.diagram.comparison import Comparison, Row

_ROWS = 12
"""Of each part."""


def names_of(one: Path, other: Path) -> tuple[str, str]:
    """What two files are called beside each other."""
    return (str(one), str(other)) if one.name == other.name else (one.name, other.name)


def show_comparison(found: Comparison, names: tuple[str, str], console: Console) -> None:
    """Print where two runs part, and what differs.

    Args:
        found: As `compare` gives it.
        names: What the two runs are.
        console: Where to.
    """
    first = found.first
    if found.note:
        console.print(Text(found.note))
    if first is None and not found.note:
        console.print("The servers do the same in both runs.", style="bold")
    if first is not None:
        console.print(Text(f"They part here: {first.sentence}", style="bold"))
        sides = ((names[0], first.one, first.told_one), (names[1], first.other, first.told_other))
        for name, event_id, told in sides:
            console.print(Text(f"  {name}: ", style="dim").append(f"{event_id} {told}".strip(), "not dim"))
    if found.parts:
        console.print(Text(f"first run: {names[0]}; second run: {names[1]}", style="dim"))
    for part in found.parts:
        console.print(Text(part.title, style="bold"))
        for row in part.rows[:_ROWS]:
            console.print(_line(row))
        left_out = part.left_out + max(0, len(part.rows) - _ROWS)
        if left_out:
            console.print(Text(f"  {left_out} more", style="dim"))


def _line(row: Row) -> Text:
    where = " and ".join(each for each in (row.one, row.other) if each)
    return Text(f"  {row.sentence}").append(f"  ({where})" if where else "", style="dim")
