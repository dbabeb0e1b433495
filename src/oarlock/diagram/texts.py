"""The words of the diagram: where each rule stands on the card, and how its acting is told."""

from typing import Any, Final

from oarlock.diagram.faults import RULE_OF
from oarlock.diagram.properties import PROPERTIES, property_of
from oarlock.diagram.sentences import CAUSES
from oarlock.diagram.telling import TELLINGS
from oarlock.raft.rules import RULES
from oarlock.trace.flows import FLOWS

BOXES: Final = {
    "P": "State", "V": "State", "VL": "State",
    "AE": "AppendEntries RPC",
    "RV": "RequestVote RPC",
    "ALL": "All servers", "F": "Followers", "C": "Candidates", "L": "Leaders",
    "SP": "Safety properties",
    "IS": "InstallSnapshot RPC",
}  # fmt: skip
"""By the first part of a rule's id; all others stand beside Figure 2."""


def box_of(rule: str) -> str:
    """The box of the card that a rule stands in."""
    return BOXES.get(rule.rstrip("abcd").rpartition("-")[0], "Beyond Figure 2")


def rule_texts() -> dict[str, dict[str, Any]]:
    """What the page knows of each rule."""
    return {
        rule.id: {
            "source": rule.source,
            "sentence": rule.sentence,
            "operands": FLOWS[rule.id].operands if rule.id in FLOWS else (),
            "reads": FLOWS[rule.id].reads if rule.id in FLOWS else (),
            "writes": FLOWS[rule.id].writes if rule.id in FLOWS else (),
            "box": box_of(rule.id),
            "says": TELLINGS[rule.id].says if rule.id in TELLINGS else "",
            "reason": TELLINGS[rule.id].reason if rule.id in TELLINGS else "",
        }
        for rule in RULES.values()
    }


def property_texts() -> dict[str, dict[str, Any]]:
    """What the page knows of each property; under the empty name, of those that have no text."""
    return {name: property_of(name)._asdict() for name in ("", *PROPERTIES)}


def words() -> dict[str, dict[str, str]]:
    """Words for causes of drops; and by kind of wrong step, the rule that it goes against."""
    return {"cause": CAUSES, "fault": RULE_OF}
