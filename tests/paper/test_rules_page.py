"""The generated page of rules is what the code and the tests say."""

from tests.support.scripts import load_script


def test_the_page_is_current() -> None:
    """The page names every rule's places and tests as they are now."""
    script = load_script("generate_rules")
    assert script.PAGE.read_text() == script.page(), "run: python scripts/generate_rules.py"
