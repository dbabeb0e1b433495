"""Our core behind the labs' interface, on threads: `oarlock.lab.raft:make`."""

from oarlock.lab.raft.server import make, make_with_pre_vote

__all__ = ["make", "make_with_pre_vote"]
