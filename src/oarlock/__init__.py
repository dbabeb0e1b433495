"""Oarlock: Raft laid out as Figure 2 is, and a replicated key-value server that speaks etcd v3."""

__version__ = "0.1.0"
