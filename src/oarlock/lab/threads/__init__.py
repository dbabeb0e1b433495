"""Runtimes for programs of threads: the real one, and a virtual one that replays from a seed."""

from oarlock.lab.threads.errors import Deadlock, LimitExceeded, RunError, Stuck
from oarlock.lab.threads.events import Event, Kind, Observer
from oarlock.lab.threads.limits import Limits
from oarlock.lab.threads.runtime import RealRuntime, Runtime, ThreadFailure
from oarlock.lab.threads.target import BadTarget
from oarlock.lab.threads.task import Task
from oarlock.lab.threads.virtual import VirtualRuntime

__all__ = [
    "BadTarget",
    "Deadlock",
    "Event",
    "Kind",
    "LimitExceeded",
    "Limits",
    "Observer",
    "RealRuntime",
    "RunError",
    "Runtime",
    "Stuck",
    "Task",
    "ThreadFailure",
    "VirtualRuntime",
]
