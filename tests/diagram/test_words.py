"""Every rule is told, in words that its operands fit."""

import re

import pytest

from oarlock.diagram.sentences import fill, rule_sentence
from oarlock.diagram.telling import TELLINGS
from oarlock.raft.rules import RULES
from oarlock.trace.flows import FLOWS


def test_every_rule_that_acts_is_told() -> None:
    """Whatever a trace can cite has a sentence and a reason."""
    assert TELLINGS.keys() == FLOWS.keys()
    assert TELLINGS.keys() <= RULES.keys()


@pytest.mark.parametrize("rule", sorted(TELLINGS))
def test_sentences_use_operands_that_exist(rule: str) -> None:
    """A sentence names only what the rule is fired with, and leaves no brace."""
    names = set(re.findall(r"\{(\w+)", TELLINGS[rule].says))
    assert names <= set(FLOWS[rule].operands)
    for value in (0, 1, None, True):
        told = rule_sentence(rule, [value] * len(FLOWS[rule].operands))
        assert "{" not in told
        assert "}" not in told
        assert not told.endswith(".")


def test_operands_choose_between_words() -> None:
    """A question in a sentence takes its first answer for what is true, its second for what is not."""
    template = "{granted?gave {to} its vote|gave none}"
    assert fill(template, {"granted": True, "to": "n1"}) == "gave n1 its vote"
    assert fill(template, {"granted": False, "to": "n1"}) == "gave none"
    assert fill("{missing}", {}) == "?"
