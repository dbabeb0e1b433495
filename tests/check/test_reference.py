"""The reference names what there is."""

from tests.support.source_tree import ROOT

from oarlock.check import MODELS, PROPERTIES
from oarlock.check.liveness import Limits

REFERENCE = (ROOT / "docs" / "reference" / "check.md").read_text()


def test_properties_and_models_are_in_the_reference() -> None:
    """Every property stands there with its sentence, every model with each kind of its operations."""
    for name, sentence in PROPERTIES.items():
        assert f"| {name} | {sentence} |" in REFERENCE
    for name, model in MODELS.items():
        assert f"`{name}`" in REFERENCE
        for kind in model.kinds:
            assert f"`{kind}`" in REFERENCE


def test_limits_are_those_of_the_reference() -> None:
    """The figures for liveness are the defaults."""
    limits = Limits()
    said = f"within {limits.leader}, each answer within {limits.answer}, laggards within {limits.catch_up}"
    assert said in REFERENCE
    assert f"at most {limits.leaders}\nleaders" in REFERENCE
