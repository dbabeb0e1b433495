"""Configurations: as the log has them, one change at a time, each overlapping the last."""

from itertools import pairwise

from oarlock.check.mirror import Mirror
from oarlock.check.observed import Observed
from oarlock.check.verdict import Violation
from oarlock.raft.types import Configuration, Index


def check_configuration(mirror: Mirror, now: Observed, found: list[Violation]) -> None:
    """A server acts upon the newest configuration in its log, committed or not."""
    if now.configuration is not None and now.configuration != mirror.configuration:
        sentence = (
            f"acts upon {describe(now.configuration)}, but the newest in its log, at index "
            f"{mirror.configurations[-1][0]}, is {describe(mirror.configuration)}"
        )
        found.append(_violation(now, "configuration is the log's", sentence, mirror.configurations[-1][0]))


def check_change(mirror: Mirror, committed: Index, now: Observed, found: list[Violation]) -> None:
    """At most one change is under way, and majorities before and after it have a server in common."""
    pending = [index for index, _ in mirror.configurations[1:] if index > max(committed, now.commit_index)]
    if len(pending) > 1:
        sentence = f"has changes of configuration under way at the indices {pending}"
        found.append(_violation(now, "one change at a time", sentence, pending[-1]))
    written = {entry.index for entry in now.entries if entry.configuration is not None}
    held = mirror.configurations
    for (_, old), (index, new) in pairwise(held):
        if index in written and not is_safe_change(old, new):
            sentence = f"changed at index {index} from {describe(old)} to {describe(new)}"
            found.append(_violation(now, "majorities overlap", sentence, index))


def is_safe_change(old: Configuration, new: Configuration) -> bool:
    """Whether a change is one that Raft allows: of one voter, into a joint configuration, or out of it.

    A server that joined has no configuration of its own before the first that its log gives it.
    """
    if not old.voters:
        return True
    if old.is_joint:
        # Learners-to-be may be added on the way; the voters of both halves stay until it is left.
        return new.voters == old.voters and new.voters_outgoing in (frozenset(), old.voters_outgoing)
    if new.is_joint:
        return new.voters_outgoing == old.voters
    return len(old.voters ^ new.voters) <= 1


def describe(configuration: Configuration) -> str:
    """A configuration for people."""
    text = f"voters {sorted(configuration.voters)}"
    if configuration.is_joint:
        text += f" jointly with {sorted(configuration.voters_outgoing)}"
    if configuration.learners:
        text += f", learners {sorted(configuration.learners)}"
    return text


def _violation(now: Observed, name: str, sentence: str, index: Index | None = None) -> Violation:
    return Violation(name, f"server {now.server_id} {sentence}", now.server_id, index)
