"""Processes that have imported nothing of ours yet: a mutant must be in place before what it changes is."""

import os
import subprocess
import sys
from pathlib import Path


def fresh_environment() -> dict[str, str]:
    """This process's environment, in which the code that runs here is found."""
    source = str(Path(__file__).parents[2])
    path = os.pathsep.join(part for part in (source, os.environ.get("PYTHONPATH")) if part)
    return {**os.environ, "PYTHONPATH": path}


def ask_fresh(module: str, request: bytes, limit_s: float) -> subprocess.CompletedProcess[bytes]:
    """Run a module that reads a request and writes an answer.

    Raises:
        subprocess.TimeoutExpired: It took longer, and was ended.
    """
    return subprocess.run(  # noqa: S603 - modules of this package alone
        [sys.executable, "-m", module],
        input=request,
        env=fresh_environment(),
        capture_output=True,
        timeout=limit_s,
        check=False,
    )
