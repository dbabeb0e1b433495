"""The pictures of the algorithm are what the code says."""

from tests.support.scripts import load_script


def test_the_state_machine_is_current() -> None:
    """The picture of roles has an arrow for each row of the table that the core obeys."""
    script = load_script("generate_figures")
    assert script.ROLES.read_text() == script.roles(), "run: python scripts/generate_figures.py"


def test_the_card_is_current() -> None:
    """The card names each rule's place, its tests and its mutants as they are now."""
    script = load_script("generate_figures")
    assert script.CARD.read_text() == script.card(), "run: python scripts/generate_figures.py"


def test_the_map_of_tasks_is_current() -> None:
    """The map has the tasks that a node spawns, and who hands what to whom, as the source has them."""
    script = load_script("generate_figures")
    assert script.TASKS.read_text() == script.tasks(), "run: python scripts/generate_figures.py"
