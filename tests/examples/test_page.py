"""The page of examples shows the programs as they are."""

import re

from tests.support.source_tree import ROOT

EXAMPLES = ROOT / "examples"


def test_page_shows_each_program_as_it_is() -> None:
    """Each file of `examples/` stands on `docs/examples.md` word for word, and nothing else does."""
    page = (ROOT / "docs" / "examples.md").read_text()
    shown = re.findall(r"```(?:python|nginx)\n(.*?)```\n", page, re.DOTALL)
    files = [path for pattern in ("**/*.py", "**/*.conf") for path in EXAMPLES.glob(pattern)]
    assert sorted(shown) == sorted(path.read_text() for path in files)
