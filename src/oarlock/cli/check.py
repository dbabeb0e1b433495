"""`oarlock check`: judges a history of clients."""

import argparse
import sys
from collections.abc import Sequence

import msgspec

from oarlock.check import MODELS, HistoryError, Verdict, render, run_check

_MAX_STEPS = 5_000_000


def check(arguments: Sequence[str]) -> int:
    """Judge a history and print the verdict.

    Args:
        arguments: Those after `check`.

    Returns:
        0 when the history is linearizable, 1 when it is not, 2 for a file that is no history, 3 when the search was
        given up before it could tell.
    """
    parser = argparse.ArgumentParser(
        prog="oarlock check", description="Find whether a history of clients is linearizable."
    )
    parser.add_argument("history", metavar="FILE", help="a history, as lines of JSON (oarlock-history/1)")
    parser.add_argument("--model", choices=sorted(MODELS), help="what was used; default: as the file says")
    parser.add_argument(
        "--max-steps",
        type=int,
        default=_MAX_STEPS,
        metavar="N",
        help="when to give the search up (default: %(default)s)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args(arguments)
    try:
        report = run_check(options.history, options.model, max_steps=options.max_steps)
    except (HistoryError, OSError) as error:
        print(f"oarlock check: {error}", file=sys.stderr)
        return 2
    print(msgspec.json.format(msgspec.json.encode(report)).decode() if options.json else render(report))
    if report.ok:
        return 0
    return 3 if report.verdict is Verdict.UNKNOWN else 1
