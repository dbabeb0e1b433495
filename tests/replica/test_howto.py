"""The code of the how-to pages runs as it stands there."""

import asyncio
import inspect
import re
from pathlib import Path
from typing import Any

import pytest
from tests.support.ports import free_ports
from tests.support.source_tree import ROOT

PAGES = (
    "replicate-an-object",
    "write-a-state-machine",
    "run-in-a-service",
    "read-replicated-state",
    "keep-client-sessions",
    "upgrade-commands",
    "test-with-a-cluster",
    "join-and-leave",
    "encrypt-traffic",
    "use-from-threads",
    "keep-state-on-disk",
    "watch-a-library-node",
)
_BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
_ADDRESS = re.compile(r"10\.0\.0\.(\d):7000")


@pytest.mark.parametrize("page", PAGES)
def test_the_code_of_a_page_runs(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything in a page's Python blocks runs, its assertions hold, and so does its `main`."""
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "docs" / "howto" / f"{page}.md").read_text()
    ports = free_ports(3)
    code = _ADDRESS.sub(lambda found: f"127.0.0.1:{ports[int(found[1])]}", "\n".join(_BLOCK.findall(text)))
    names: dict[str, Any] = {"__name__": page}
    exec(compile(code, f"{page}.md", "exec"), names)  # noqa: S102 - our own pages
    main = names.get("main")
    if main is not None:
        assert inspect.iscoroutinefunction(main)
        asyncio.run(main())
