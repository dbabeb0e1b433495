"""Rule 4: the four-way deadlock (G31): service, start, applier, reader."""

from oarlock.lab.advisor.examples.put_with_lock import faulty, repaired

__all__ = ["faulty", "repaired"]
