"""The Locking and Structure Advice, checked by machine: an implementation's threads under watch."""

from oarlock.lab.advisor.advise import CHECKS, Advice, advise
from oarlock.lab.advisor.record import Finding, Line, Place

__all__ = ["CHECKS", "Advice", "Finding", "Line", "Place", "advise"]
