"""The why of an event as a tree in the terminal."""

from collections.abc import Sequence

from rich.text import Text
from rich.tree import Tree

from oarlock.diagram.sentences import sentence
from oarlock.diagram.telling import TELLINGS
from oarlock.raft.rules import RULES
from oarlock.trace.loaded import Trace
from oarlock.trace.provenance import Explanation
from oarlock.trace.schema import Event


def tree_of(run: Trace, found: Explanation, title: str) -> Tree:
    """Each step below the first one that it explains."""
    tree = Tree(Text(title, style="bold"))
    branches: dict[str, Tree] = {}
    steps = {step.event.id: step for step in found.steps}
    for step in found.steps:
        if step.event.id not in branches:
            branches[step.event.id] = tree.add(_step_text(run, step.event, step.rules))
        branch = branches[step.event.id]
        for reason in step.because:
            reached = run.find(reason.event_id)
            if reached is None or reached.id in branches or reached.id not in steps:
                continue
            text = Text(f"{reason.variable}: ", style="dim").append(_step_text(run, reached, steps[reached.id].rules))
            branches[reached.id] = branch.add(text)
    return tree


def _step_text(run: Trace, event: Event, rules: Sequence[str]) -> Text:
    text = Text(f"{event.id} ", style="bold")
    text.append(sentence(event, run.header.nodes), style="not bold")
    for rule in dict.fromkeys(rules):
        text.append(f"\n  {rule} {RULES[rule].sentence if rule in RULES else ''}", style="not bold dim")
        if rule in TELLINGS:
            text.append(f" {TELLINGS[rule].reason}", style="not bold dim italic")
    return text
