"""For tests of what is built on Oarlock: recorded runs, which a failing test shows and explains by itself.

pytest finds the plugin when the package is installed; see `docs/howto/test-with-recorded-runs.md`.
"""

from oarlock.testing.runs import RecordedRuns

__all__ = ["RecordedRuns"]
