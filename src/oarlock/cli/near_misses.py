"""`oarlock trace near-misses`: the guards that refused something from which harm would have come."""

import argparse
from collections import defaultdict

from rich.console import Console
from rich.text import Text

from oarlock.cli.recorded import load_recorded
from oarlock.diagram.near_miss import NearMiss, near_misses
from oarlock.diagram.properties import property_of
from oarlock.raft.rules import RULES


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of `trace near-misses`, beside the run."""
    parser.add_argument("--rule", help="only where this rule refused, such as RV-2")
    parser.add_argument("--all", action="store_true", help="also where harm was not close")
    parser.add_argument("--limit", type=int, default=5, metavar="N", help="at most so many of each rule (default: 5)")


def show_near_misses(options: argparse.Namespace, console: Console) -> int:
    """Print them, by rule.

    Returns:
        0.

    Raises:
        TraceError: The run cannot be read.
        OSError: Nor can its file.
    """
    run = load_recorded(options.run)
    by_rule: dict[str, list[NearMiss]] = defaultdict(list)
    for found in near_misses(run):
        if not options.rule or found.rule == options.rule.upper():
            by_rule[found.rule].append(found)
    if not by_rule:
        console.print("No guard had to refuse anything.")
    for rule in sorted(by_rule, key=lambda each: (-sum(found.is_close for found in by_rule[each]), each)):
        _show_rule(rule, by_rule[rule], options, console)
    return 0


def _show_rule(rule: str, found: list[NearMiss], options: argparse.Namespace, console: Console) -> None:
    close = [each for each in found if each.is_close]
    head = Text(f"{rule} ", style="bold").append(RULES[rule].sentence if rule in RULES else "", "not bold")
    console.print(head.append(f"  refused {len(found)} times, {len(close)} of them close", "dim"))
    shown = found if options.all else close
    for each in shown[: options.limit]:
        known = property_of(each.property).figure3 or each.property
        console.print(Text(f"  {each.event_id} ", style="bold").append(each.sentence, "not bold"))
        console.print(Text(f"    else {each.harm}: {known}", style="dim"))
    if len(shown) > options.limit:
        console.print(Text(f"  {len(shown) - options.limit} more; --limit shows them", style="dim"))
