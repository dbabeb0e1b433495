"""Each check finds its faulty program, and says nothing of the repaired twin, nor of our own Raft."""

from importlib import import_module

import pytest

from oarlock.lab.advisor import CHECKS, advise
from oarlock.lab.advisor.examples import EXAMPLES
from oarlock.lab.advisor.examples.toy import Toy

ROOM = "oarlock.lab.advisor.examples"
TWINS = [name for name in EXAMPLES if import_module(f"{ROOM}.{name}").repaired is not Toy]
"""Examples whose repaired twin is more than the small Raft that all are made from."""


@pytest.mark.parametrize("name", EXAMPLES)
def test_faulty_program_is_reported(name: str) -> None:
    """The example's own check reports it, with the stacks of those concerned, each within the program."""
    advice = advise(f"{ROOM}.{name}:faulty", seeds=(1,))
    found = [finding for finding in advice.findings if finding.check == EXAMPLES[name]]
    assert found, advice.findings
    for finding in found:
        assert finding.places
        for place in finding.places:
            assert place.thread
            # Of the service's reader, which is ours, no stack is shown.
            assert place.thread.startswith("reader-") or place.stack[0].text


@pytest.mark.parametrize("name", ["toy", *TWINS])
def test_repaired_twin_is_not_reported(name: str) -> None:
    """Nothing is said of a program that follows the advice, and nothing goes wrong in it."""
    advice = advise(f"{ROOM}.{name}:{'make' if name == 'toy' else 'repaired'}", seeds=(1,))
    assert advice.findings == []
    assert advice.errors == []
    assert advice.accesses > 10_000


def test_our_own_raft_is_not_reported() -> None:
    """Our core on threads follows the advice that the advisor gives."""
    advice = advise("oarlock.lab.raft:make", seeds=(1,))
    assert advice.findings == []
    assert advice.errors == []
    assert advice.accesses > 10_000


def test_every_check_has_an_example() -> None:
    """No check is without a program that it finds."""
    assert {check.check for check in CHECKS} == set(EXAMPLES.values())
