"""A run of the storage from a seed: a log, two stores of snapshots, an identity and its note, each in its troubles."""

import logging
import random
from collections.abc import Iterator
from contextlib import contextmanager

from oarlock.zoo.storage.identity import run_identity, run_origin
from oarlock.zoo.storage.log import LogRun
from oarlock.zoo.storage.snapshots import SnapshotRun


def run_seed(seed: int) -> None:
    """One run.

    Raises:
        Broken: Something does not hold.
    """
    with _quiet():
        run_identity(random.Random(f"zoo/identity/{seed}"))  # noqa: S311
        run_origin(random.Random(f"zoo/origin/{seed}"))  # noqa: S311
        LogRun(random.Random(f"zoo/log/{seed}")).run()  # noqa: S311
        SnapshotRun(random.Random(f"zoo/snapshots/{seed}")).run()  # noqa: S311


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the log, which would tell of every cut and every damaged file."""
    logger = logging.getLogger("oarlock.storage")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(level)
