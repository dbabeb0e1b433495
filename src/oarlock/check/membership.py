"""Configurations: as the log has them, one change at a time, each overlapping the last."""

from itertools import pairwise

import msgspec

from oarlock.check.mirror import Mirror
from oarlock.check.observed import Observed
from oarlock.check.verdict import Violation
from oarlock.raft.types import NO_DISK, Configuration, Index


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
    known = max(committed, now.commit_index)
    pending = [
        index
        for (_, old), (index, new) in pairwise(mirror.configurations)
        if index > known and not is_admission(old, new)
    ]
    if len(pending) > 1:
        sentence = f"has changes of configuration under way at the indices {pending}"
        found.append(_violation(now, "one change at a time", sentence, pending[-1]))
    written = {entry.index for entry in now.entries if entry.configuration is not None}
    held = mirror.configurations
    for (_, old), (index, new) in pairwise(held):
        if index in written and not is_safe_change(old, new):
            sentence = f"changed at index {index} from {describe(old)} to {describe(new)}"
            found.append(_violation(now, "majorities overlap", sentence, index))


def is_admission(old: Configuration, new: Configuration) -> bool:
    """Whether nothing is changed but that disks are named where none was: the quorums are what they were."""
    return msgspec.structs.replace(new, disks=old.disks) == old and set(old.disks) <= set(new.disks)


def is_safe_change(old: Configuration, new: Configuration) -> bool:
    """Whether a change is one that Raft allows: of one voter, or one's disk, into a joint configuration, or out of it.

    Of a voter that has another disk the old one's word must end before the new one's begins. A server that joined has
    no configuration of its own before the first that its log gives it.
    """
    if not old.voters or is_admission(old, new):
        return True
    renamed = [
        (disk_id, new.disk_of(voter))
        for voter, disk_id in old.disks
        if voter in new.all_voters and new.disk_of(voter) != disk_id
    ]
    if renamed:
        is_one_step = len(renamed) == 1 and NO_DISK in renamed[0] and None not in renamed[0]
        return (
            is_one_step and not old.is_joint and (old.voters, old.voters_outgoing) == (new.voters, new.voters_outgoing)
        )
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
