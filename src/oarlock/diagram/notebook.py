"""A run in a notebook: the page, in a frame of its own."""

from html import escape
from pathlib import Path
from typing import Final, Self

from oarlock.diagram.page import page
from oarlock.trace.loaded import Trace, load

HEIGHT_PX: Final = 680


class Diagram:
    """Shows a run where it is the last value of a notebook's cell.

    The page is part of the notebook then, and shows itself again when the notebook is opened: no file, no network.
    """

    def __init__(self, trace: Trace, title: str = "", *, height_px: int = HEIGHT_PX) -> None:
        """Take a run.

        Args:
            trace: The run.
            title: Heads the page; by default the seed, or the run's name.
            height_px: Of the frame.
        """
        self.trace = trace
        seed = trace.header.seed
        self.title = title or (trace.header.run if seed is None else f"Seed {seed}")
        self.height_px = height_px

    @classmethod
    def load(cls, path: str | Path, title: str = "") -> Self:
        """Read a recorded run.

        Raises:
            TraceError: It is no trace.
            OSError: It cannot be read.
        """
        return cls(load(path), title)

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        text = page(self.trace.header, self.trace.events, title=self.title)
        # Scripts may run, and see nothing of the notebook around them.
        return (
            f'<iframe title="{escape(self.title)}" sandbox="allow-scripts" srcdoc="{escape(text)}"'
            f' style="width:100%;height:{self.height_px}px;border:1px solid #8b909660;border-radius:6px"></iframe>'
        )
