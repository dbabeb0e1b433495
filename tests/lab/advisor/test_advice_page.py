"""The generated page of advice names what is there."""

import pytest
from tests.support.scripts import load_script

SCRIPT = load_script("generate_advice")


def test_the_page_is_current() -> None:
    """Every function, test and mutant that the page names exists, and the page is what the script writes."""
    assert SCRIPT.PAGE.read_text() == SCRIPT.page(), "run: python scripts/generate_advice.py"


@pytest.mark.parametrize(
    ("side", "message"),
    [
        (("node/owner.py:Owner.nothing", "@advisor", "- why"), "has no function Owner.nothing"),
        (("node/nobody.py", "@advisor", "- why"), "there is no file"),
        (("node/owner.py", "tests/node/test_ticker.py::test_nothing", "- why"), "has no test test_nothing"),
        (("node/owner.py", "@advisor", "zoo:no-such-bug"), "no zoo no-such-bug"),
    ],
)
def test_what_is_not_there_is_noticed(side: tuple[str, str, str], message: str) -> None:
    """A row that names what is gone is an error that says what."""
    with pytest.raises(SCRIPT.Missing, match=message):
        SCRIPT.side(SCRIPT.Side(*side))


def test_each_pitfall_of_the_advice_is_broken_somewhere() -> None:
    """Of the pitfalls K1 to K6 and T1 to T4 each is broken by a mutant, a copy or an example that the page names."""
    used = " ".join(
        side.broken for part in SCRIPT.PARTS.values() for advice in part for side in (advice.server, advice.lab)
    )
    checks = {check.check: check.pitfall for check in SCRIPT.CHECKS}
    broken = {checks[SCRIPT.EXAMPLES[name[8:]]] for name in used.split() if name.startswith("example:")}
    for kind, catalogue in (("zoo:", SCRIPT.MUTANTS), ("copy:", SCRIPT.LAB)):
        for name in used.split():
            if name.startswith(kind):
                broken.update(catalogue[name.removeprefix(kind)].breaks)
    assert {"K1", "K2", "K3", "K4", "K5", "K6", "T1", "T2", "T3", "T4"} <= broken
