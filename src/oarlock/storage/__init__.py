"""The log, snapshots and identity on disk."""
