"""Text for people: colours where they are welcome, tables, and names of signals."""

import shutil
import signal
import sys
from collections.abc import Sequence
from typing import Final

from oarlock.cli.logs import wants_colour

_CODES: Final = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}


def paint(text: str, style: str) -> str:
    """`text` in a style (bold, dim, red, green, yellow, cyan), if standard output shows colours."""
    return f"\x1b[{_CODES[style]}m{text}\x1b[0m" if wants_colour(sys.stdout) else text


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows with their columns aligned; two spaces between."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def columns(cells: Sequence[str]) -> list[str]:
    """Short texts below and beside each other, column by column, as many columns as the terminal has room for."""
    width = max(map(len, cells), default=0) + 2
    beside = max(1, (shutil.get_terminal_size().columns - 2) // width)
    below = -(-len(cells) // beside)
    return ["  " + "".join(cell.ljust(width) for cell in cells[row::below]).rstrip() for row in range(below)]


def how_it_ended(status: int) -> str:
    """A process's exit status in words."""
    if status >= 0:
        return f"ended with status {status}"
    try:
        return f"was killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"was killed by signal {-status}"
