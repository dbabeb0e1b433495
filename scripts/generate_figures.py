#!/usr/bin/env python3
"""Writes the pictures of the algorithm itself, from the code: roles, Figure 2 as a card, and a server's tasks.

Run it after a change of roles, rules, tests that name rules, mutants, or the node's tasks:
`python scripts/generate_figures.py`. How often each rule acted is counted over the first seeds of the simulator, and
only with `--count`.
"""

import argparse
import html
import json
import sys
from collections import Counter, defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "scripts")]

import generate_rules  # noqa: E402 - found by the path above
import task_map  # noqa: E402

from oarlock.diagram.telling import TELLINGS  # noqa: E402
from oarlock.diagram.texts import box_of  # noqa: E402
from oarlock.raft.roles import TRANSITIONS  # noqa: E402
from oarlock.raft.rules import RULES  # noqa: E402
from oarlock.zoo.catalogue import MUTANTS  # noqa: E402

TASKS = ROOT / "docs" / "images" / "tasks.svg"
ROLES = ROOT / "docs" / "images" / "roles.svg"
CARD = ROOT / "docs" / "reference" / "figure-2.md"
COUNTS = ROOT / "docs" / "reference" / "figure-2.json"
SEEDS = 40

PLACES = {"follower": (120, 175), "pre_candidate": (360, 85), "candidate": (600, 175), "leader": (360, 300)}
"""The middle of each role's box."""
WIDTH, HEIGHT = 130, 40

STYLE = """
text { font: 12px system-ui, sans-serif; fill: #1c1e21; } .role { font-weight: 600; font-size: 14px; }
.box { fill: #fbfbf9; stroke: #2f6fb0; stroke-width: 1.5; } .arrow { fill: none; stroke: #6a7076; }
.head { fill: #6a7076; }
@media (prefers-color-scheme: dark) { text { fill: #e6e8ea; } .box { fill: #1d2024; } }
"""
MARKER = 'markerWidth="8" markerHeight="8"><path class="head" d="M0 0L8 4L0 8z"/>'

CARD_HEAD = """# Figure 2, as it stands in the code

Written by `scripts/generate_figures.py`: do not edit.

Each rule with its reason, the function in which it acts, how many tests name it, the mutants of the
[zoo](zoo.md) that break it, and how often it acted in the simulator's seeds 1 to {seeds}. All tests by name are in
[the rules](rules.md).

![Who may become what](../images/roles.svg)
"""


def roles() -> str:
    """The state machine of roles, as SVG: an arrow for each row of `TRANSITIONS`."""
    lines = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 740 340" width="740" height="340">',
        "<title>Who may become what</title>",
        f"<style>{STYLE}</style>",
        f'<marker id="head" viewBox="0 0 8 8" refX="7" refY="4" orient="auto" {MARKER}</marker>',
    ]
    numbers = {}
    for number, ((source, to), words) in enumerate(TRANSITIONS.items(), 1):
        numbers[number] = f"{source.value.replace('_', '-')} to {to.value.replace('_', '-')}: {words}"
        lines += _arrow(number, source.value, to.value, numbers[number])
    for role, (x, y) in PLACES.items():
        lines.append(
            f'<rect class="box" x="{x - WIDTH // 2}" y="{y - HEIGHT // 2}" width="{WIDTH}" height="{HEIGHT}" rx="8"/>'
            f'<text class="role" text-anchor="middle" x="{x}" y="{y + 5}">{role.replace("_", "-")}</text>'
        )
    return "\n".join([*lines, "</svg>", ""])


def _arrow(number: int, source: str, to: str, words: str) -> list[str]:
    """A bent arrow with its number; the words are its title, and stand in the page's table."""
    (x1, y1), (x2, y2) = PLACES[source], PLACES[to]
    if source == to:
        path = f"M{x1 - 20} {y1 - 20}C{x1 - 40} {y1 - 62} {x1 + 40} {y1 - 62} {x1 + 20} {y1 - 20}"
        at = (x1, y1 - 56)
    else:
        length = ((x2 - x1) ** 2 + (y2 - y1) ** 2) ** 0.5
        across = ((y2 - y1) / length, -(x2 - x1) / length)
        middle = ((x1 + x2) / 2 + 34 * across[0], (y1 + y2) / 2 + 34 * across[1])
        begin, end = _edge((x1, y1), middle), _edge((x2, y2), middle)
        path = f"M{begin[0]:.0f} {begin[1]:.0f}Q{middle[0]:.0f} {middle[1]:.0f} {end[0]:.0f} {end[1]:.0f}"
        at = (round((begin[0] + 2 * middle[0] + end[0]) / 4), round((begin[1] + 2 * middle[1] + end[1]) / 4))
    return [
        f'<path class="arrow" marker-end="url(#head)" d="{path}"><title>{html.escape(words)}</title></path>',
        f'<text text-anchor="middle" x="{at[0]}" y="{at[1] - 4}">{number}</text>',
    ]


def _edge(centre: tuple[float, float], towards: tuple[float, float]) -> tuple[float, float]:
    """Where a line from the middle of a box leaves it."""
    dx, dy = towards[0] - centre[0], towards[1] - centre[1]
    share = min(WIDTH / 2 / abs(dx) if dx else 9e9, HEIGHT / 2 / abs(dy) if dy else 9e9)
    return centre[0] + dx * share, centre[1] + dy * share


def tasks() -> str:
    """The map of a server's tasks, as SVG."""
    return task_map.picture()


def card() -> str:
    """The card, box by box."""
    places, tests = generate_rules.fired(), generate_rules.proved()
    mutants: dict[str, list[str]] = defaultdict(list)
    for mutant in MUTANTS.values():
        for rule in mutant.breaks:
            mutants[rule].append(mutant.id)
    counts = json.loads(COUNTS.read_text()) if COUNTS.exists() else {}
    lines = [CARD_HEAD.format(seeds=SEEDS)]
    lines += ["| | from | to | when |", "|-|-|-|-|"]
    for number, ((source, to), words) in enumerate(TRANSITIONS.items(), 1):
        lines.append(f"| {number} | {source.value.replace('_', '-')} | {to.value.replace('_', '-')} | {words} |")
    box = ""
    for rule in sorted(RULES.values(), key=lambda each: _BOXES.index(box_of(each.id))):
        if box_of(rule.id) != box:
            box = box_of(rule.id)
            lines += ["", f"## {box}", "", "| rule | | acts in | tests | mutants | acted |", "|-|-|-|-|-|-|"]
        told = TELLINGS.get(rule.id)
        words = f"{rule.sentence} *{told.reason}*" if told is not None else rule.sentence
        named = sum(len(names) for names in tests[rule.id].values())
        broken = ", ".join(f"`{mutant}`" for mutant in mutants[rule.id])
        where = "; ".join(places[rule.id])
        lines.append(f"| {rule.id} | {words} | {where} | {named or ''} | {broken} | {counts.get(rule.id, 0):,} |")
    return "\n".join([*lines, ""])


_BOXES = [
    *("State", "AppendEntries RPC", "RequestVote RPC", "All servers", "Followers", "Candidates", "Leaders"),
    *("Safety properties", "InstallSnapshot RPC", "Beyond Figure 2"),
]


def count() -> str:
    """How often each rule acts in the first seeds, as JSON."""
    from oarlock.sim.generate import generate  # noqa: PLC0415 - only a count needs the simulator
    from oarlock.sim.run import record_schedule  # noqa: PLC0415

    acted: Counter[str] = Counter()
    for seed in range(1, SEEDS + 1):
        _, trace = record_schedule(generate(seed))
        for event in trace.events:
            acted.update(event.r)
    return json.dumps({rule: acted[rule] for rule in RULES}, indent=1) + "\n"


def main() -> None:
    """Write them."""
    parser = argparse.ArgumentParser(description="Write the pictures of the algorithm.")
    parser.add_argument("--count", action="store_true", help="count again how often rules act; takes half a minute")
    if parser.parse_args().count:
        COUNTS.write_text(count())
    ROLES.write_text(roles())
    TASKS.write_text(tasks())
    CARD.write_text(card())


if __name__ == "__main__":
    main()
