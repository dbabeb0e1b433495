"""For tests of what is built on Oarlock: clusters in one process, and recorded runs that a failing test explains.

pytest finds the plugin when the package is installed; see `docs/howto/test-with-recorded-runs.md` and
`docs/howto/test-with-a-cluster.md`. The names are loaded when they are asked for.
"""

import importlib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from oarlock.testing.clusters import Cluster, cluster, eventually
    from oarlock.testing.runs import RecordedRuns
    from oarlock.testing.shrinking import shrink
    from oarlock.testing.simulated import simulate

__all__ = ["Cluster", "RecordedRuns", "cluster", "eventually", "shrink", "simulate"]

_MODULES: Final = {
    "RecordedRuns": "oarlock.testing.runs",
    "shrink": "oarlock.testing.shrinking",
    "simulate": "oarlock.testing.simulated",
}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULES.get(name, "oarlock.testing.clusters")), name)
