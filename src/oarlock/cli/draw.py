"""`oarlock draw`: a run as a page that opens from disk."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from oarlock.diagram.page import page
from oarlock.trace.reader import TraceError, open_trace
from oarlock.trace.schema import Event, Header


def draw(arguments: Sequence[str]) -> int:
    """Draw a run.

    Args:
        arguments: Those after `draw`.

    Returns:
        0 when it was drawn, 2 for a file that cannot be read or written.
    """
    parser = argparse.ArgumentParser(
        prog="oarlock draw", description="Draw a run: servers, messages, terms, logs, and why each thing happened."
    )
    parser.add_argument("run", nargs="?", type=Path, metavar="RUN", help="a trace, as `--trace` writes it")
    parser.add_argument("--seed", type=int, metavar="N", help="simulate this seed instead, and draw that")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help="where to: run.html")
    parser.add_argument("--title", metavar="TEXT", help="heads the page")
    options = parser.parse_args(arguments)
    if (options.run is None) == (options.seed is None):
        parser.error("give either a trace or --seed")
    if options.output.suffix != ".html":
        parser.error(f"{options.output}: the name must end in .html")
    try:
        header, events = _read(options.run) if options.seed is None else _simulated(options.seed)
        title = options.title or (f"Seed {header.seed}" if header.seed is not None else header.run)
        options.output.write_text(page(header, events, title=title), encoding="utf-8")
    except (TraceError, OSError) as error:
        print(f"oarlock draw: {error}", file=sys.stderr)
        return 2
    print(f"{options.output}: {len(events):,} events")
    return 0


def _read(path: Path) -> tuple[Header, list[Event]]:
    with open_trace(path) as reader:
        return reader.header, list(reader)


def _simulated(seed: int) -> tuple[Header, list[Event]]:
    from oarlock.sim.generate import generate  # noqa: PLC0415 - a trace is drawn without the simulator
    from oarlock.sim.run import record_schedule  # noqa: PLC0415

    _, trace = record_schedule(generate(seed))
    return trace.header, trace.events
