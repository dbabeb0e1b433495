"""`oarlock lab advise`: the Locking and Structure Advice, held against an implementation while it runs."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from oarlock.lab.advisor import advise as watch
from oarlock.lab.advisor.advise import SEEDS
from oarlock.lab.advisor.page import page
from oarlock.lab.advisor.report import lines, to_json


def advise(arguments: Sequence[str]) -> int:
    """Advise.

    Args:
        arguments: Those after `lab advise`.

    Returns:
        0 when there is nothing to say, 1 when there is.

    Raises:
        BadTarget: There is no such implementation.
        OSError: The page cannot be written.
    """
    options = _parser().parse_args(arguments)
    advice = watch(options.target, seeds=options.seed or SEEDS, also=options.also)
    if options.output is not None:
        options.output.write_text(page(advice), encoding="utf-8")
        print(f"wrote {options.output}", file=sys.stderr)
    if options.json:
        print(to_json(advice).decode())
    else:
        print("\n".join(lines(advice)))
    return 1 if advice.findings or advice.errors else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="oarlock lab advise",
        description="Run an implementation for a while on virtual time, and tell where its threads break the advice.",
    )
    parser.add_argument("target", metavar="PACKAGE:MAKE", help="where its `make` is; or path/to/module.py:make")
    parser.add_argument("--seed", type=int, nargs="+", metavar="N", help="one run each (default: 1 2)")
    parser.add_argument("--also", nargs="+", default=[], metavar="MODULE", help="installed modules to watch as well")
    parser.add_argument("--json", action="store_true", help="print JSON, with the timeline of locks")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="write a page with the timeline of locks")
    return parser
