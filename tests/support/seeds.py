"""Seeds that are new in every session of tests, and can be had again."""

import os
from typing import Final

VARIABLE: Final = "OARLOCK_SEED_BASE"


def seed_base() -> int:
    """Where this session's random seeds begin, the same in all its processes: `tests/conftest.py` draws it."""
    return int(os.environ[VARIABLE])
