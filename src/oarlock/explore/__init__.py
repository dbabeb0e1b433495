"""Every state of a small cluster: the production core, model-checked."""

from oarlock.explore.bounds import Bounds
from oarlock.explore.configurations import CONFIGURATIONS
from oarlock.explore.search import Found, Limits, Progress, Result, explore
from oarlock.explore.trace import Step

__all__ = ["CONFIGURATIONS", "Bounds", "Found", "Limits", "Progress", "Result", "Step", "explore"]
