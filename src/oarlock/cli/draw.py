"""`oarlock draw`: a run as a page that opens from disk, as a picture, or for other tools."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from oarlock.cli.compared import names_of
from oarlock.cli.recorded import incomplete, load_recorded
from oarlock.diagram.exports import mermaid, perfetto, shiviz
from oarlock.diagram.page import page
from oarlock.diagram.pair import pair_page
from oarlock.diagram.png import PictureError, png
from oarlock.diagram.svg import size_of, svg
from oarlock.trace.loaded import Trace
from oarlock.trace.reader import TraceError
from oarlock.trace.schema import Header
from oarlock.trace.state import StateMismatch


class _Task(NamedTuple):
    """What is to be drawn."""

    trace: Trace
    title: str
    first: int
    last: int | None
    other: Trace | None
    """What it is compared with."""
    names: tuple[str, str]
    """What the two are called."""


def _html(task: _Task) -> str:
    if task.other is not None:
        return pair_page(task.trace, task.other, title=task.title, names=task.names)
    return page(task.trace.header, task.trace.events, title=task.title)


def _svg(task: _Task) -> str:
    return svg(task.trace, task.first, task.last, title=task.title)


def _png(task: _Task) -> bytes:
    picture = _svg(task)
    return png(picture, *size_of(picture))


_FORMATS: Final[dict[str, Callable[[_Task], str | bytes]]] = {
    ".html": _html,
    ".svg": _svg,
    ".png": _png,
    ".mmd": lambda task: mermaid(task.trace, task.first, task.last),
    ".perfetto.json": lambda task: perfetto(task.trace),
    ".shiviz": lambda task: shiviz(task.trace),
}
"""By the ending of the file's name."""


def draw(arguments: Sequence[str]) -> int:
    """Draw a run.

    Args:
        arguments: Those after `draw`.

    Returns:
        0 when it was drawn, 2 for a file that cannot be read, made or written.
    """
    parser = argparse.ArgumentParser(
        prog="oarlock draw", description="Draw a run: servers, messages, terms, logs, and why each thing happened."
    )
    parser.add_argument(
        "run",
        nargs="*",
        type=Path,
        metavar="RUN",
        help="a trace, as `--trace` writes it; several of one live cluster, or their directory, are merged",
    )
    parser.add_argument("--seed", type=int, metavar="N", help="simulate this seed instead, and draw that")
    parser.add_argument(
        "--against",
        type=Path,
        metavar="OTHER",
        help="a second trace, or directory of one cluster's: the page shows both, and where they part",
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        metavar="FILE",
        help=f"where to; the ending says what: {', '.join(_FORMATS)}",
    )
    parser.add_argument("--from", dest="first", metavar="EVENT", help="begin a picture at this event")
    parser.add_argument("--to", dest="last", metavar="EVENT", help="end a picture with this event")
    parser.add_argument("--title", metavar="TEXT", help="heads the page")
    options = parser.parse_args(arguments)
    if bool(options.run) == (options.seed is not None):
        parser.error("give either a trace or --seed")
    draw_as = next((make for ending, make in _FORMATS.items() if options.output.name.endswith(ending)), None)
    if draw_as is None:
        parser.error(f"{options.output}: the name must end in one of {', '.join(_FORMATS)}")
    if options.against is not None and draw_as is not _html:
        parser.error(f"{options.output}: only a page (.html) shows two runs, as --against asks for")
    try:
        trace = load_recorded(options.run) if options.seed is None else _simulated(options.seed)
        other = None if options.against is None else load_recorded([options.against])
        names = _names(options)
        title = options.title or (_title(trace.header) if other is None else " and ".join(names))
        first = trace.position(options.first) if options.first else 0
        last = trace.position(options.last) if options.last else None
        drawn = draw_as(_Task(trace, title, first, last, other, names))
        options.output.write_bytes(drawn if isinstance(drawn, bytes) else drawn.encode())
    except (TraceError, PictureError, OSError) as error:
        print(f"oarlock draw: {error}", file=sys.stderr)
        return 2
    except StateMismatch as error:
        print(f"oarlock draw: {incomplete(error)}", file=sys.stderr)
        return 2
    except KeyError as error:
        print(f"oarlock draw: the trace holds no event {error}", file=sys.stderr)
        return 2
    beside = "" if other is None else f" and {len(other):,}"
    print(f"{options.output}: {len(trace):,}{beside} events")
    return 0


def _title(header: Header) -> str:
    return f"Seed {header.seed}" if header.seed is not None else header.run


def _names(options: argparse.Namespace) -> tuple[str, str]:
    """What the two runs of a page are called; the second is empty if there is none."""
    if options.against is None:
        return "", ""
    return names_of(options.run[0], options.against) if options.run else (f"seed {options.seed}", options.against.name)


def _simulated(seed: int) -> Trace:
    from oarlock.sim.generate import generate  # noqa: PLC0415 - a trace is drawn without the simulator
    from oarlock.sim.run import record_schedule  # noqa: PLC0415

    _, trace = record_schedule(generate(seed))
    return trace
