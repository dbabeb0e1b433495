"""Runtimes for programs of threads: the real one, and a virtual one that replays from a seed."""

from oarlock.lab.threads.runtime import RealRuntime, Runtime, ThreadFailure
from oarlock.lab.threads.target import BadTarget

__all__ = ["BadTarget", "RealRuntime", "Runtime", "ThreadFailure"]
