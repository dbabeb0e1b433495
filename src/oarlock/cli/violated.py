"""A violation in the terminal: what fell, who shows it, where it began, why, and what that teaches."""

from rich.console import Console
from rich.text import Text
from rich.tree import Tree

from oarlock.cli.why_tree import tree_of
from oarlock.diagram.violation import Violated
from oarlock.raft.rules import RULES
from oarlock.trace.loaded import Trace


def show_violation(run: Trace, found: Violated, console: Console, *, with_tree: bool = True) -> None:
    """Print one."""
    name = f'{found.figure3} (Figure 3), by "{found.property}"' if found.figure3 else found.property
    console.print(Text(f"{name} does not hold", style="bold red"))
    if found.means:
        console.print(Text(f"  {found.means}", style="dim"))
    console.print(Text(f"  {found.sentence}"))
    if found.first_divergence is not None:
        first = found.first_divergence
        console.print(Text(f"  first divergence: {first.event_id} ", style="bold").append(first.sentence, "not bold"))
    if found.rule:
        console.print(Text(f"  {found.rule}: ", style="bold").append(RULES[found.rule].sentence, "not bold"))
    for witness in found.witnesses:
        console.print(Text(f"  witness: {witness.event_id} ", style="bold").append(witness.sentence, "not bold dim"))
    for missing in found.missing.missing if found.missing is not None else ():
        since = f"  (since {missing.event_id})" if missing.event_id else ""
        console.print(Text(f"  missing: {missing.sentence}").append(since, style="dim"))
    console.print(Text(f"  {found.lesson}", style="italic"))
    if with_tree and found.tree is not None:
        event_id, _, variable = found.asked.partition(":")
        tree: Tree = tree_of(run, found.tree, f"Why {f'{variable} at ' if variable else ''}{event_id}?")
        console.print(tree)
