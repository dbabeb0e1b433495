"""A first Raft as a learner writes it: dataclasses, one lock, a heartbeat that carries what is missing."""

from .server import make

__all__ = ["make"]
