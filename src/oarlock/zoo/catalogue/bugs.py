"""Bugs that were made for real, in other Raft libraries, and which mutants make them again."""

from typing import Final

import msgspec


class RealBug(msgspec.Struct, frozen=True):
    """A bug with a report.

    Args:
        cause: What was wrong.
        reported: Project and issue.
        mutants: Their ids.
    """

    cause: str
    reported: str
    mutants: tuple[str, ...]


REAL_BUGS: Final = (
    RealBug(
        "single-server changes before the leader has committed in its term: disjoint majorities",
        "raft-dev, single-server changes (2015)",
        ("changes-members-at-once",),
    ),
    RealBug(
        "a configuration counts from when it is applied: laggards use the old quorum",
        "etcd issues 11284, 7625",
        ("members-change-when-committed",),
    ),
    RealBug(
        "pre-vote switched on server by server: one of a low term is ignored both ways",
        "etcd issues 8501, 8243",
        ("lower-term-is-not-answered", "stale-leader-is-not-told"),
    ),
    RealBug(
        "a follower refuses the pre-vote of its own leader",
        "hashicorp/raft issue 606",
        ("own-leader-is-refused",),
    ),
    RealBug(
        "a removed or flapping server raises the term",
        "etcd issue 9241",
        ("pre-vote-against-a-live-leader", "anybody-deposes", "non-voters-campaign"),
    ),
    RealBug(
        "a removed leader keeps sending heartbeats, and refuses proposals",
        "etcd issue 11038",
        ("removed-leader-stays",),
    ),
    RealBug(
        "a snapshot is refused by a receiver that its configuration does not name",
        "raft-rs issue 472",
        ("snapshot-of-strangers-is-refused",),
    ),
    RealBug(
        "reads before the first entry of the leader's term is committed",
        "etcd issue 7331",
        ("reads-before-its-no-op",),
    ),
    RealBug(
        "late answers to heartbeats confirm a newer read",
        "etcd issue 20418, etcd-io/raft issue 397",
        ("old-acknowledgement-confirms-read",),
    ),
    RealBug(
        "a lease is kept after TimeoutNow",
        "etcd issue 12704",
        ("lease-kept-after-timeout-now", "lease-renewed-after-timeout-now"),
    ),
    RealBug(
        "the log conflicts at the snapshot's index and its tail is kept: snapshots without end",
        "hashicorp/raft issue 697",
        ("keeps-another-history",),
    ),
    RealBug(
        "truncation without a conflict, or a purged previous entry taken for one",
        "openraft issue 511, willemt/raft issue 37",
        ("always-truncates", "below-the-base-is-refused"),
    ),
    RealBug(
        "commit_index passes what was verified",
        "scylladb issue 9965, copycat issue 265",
        ("commits-what-was-not-verified", "heartbeat-skips-check"),
    ),
    RealBug(
        "the uncommitted log grows without bound while there is no quorum",
        "etcd issue 10167, etcd-io/raft issue 11",
        ("uncommitted-without-bound", "bound-forgotten-with-the-term"),
    ),
    RealBug(
        "heartbeats go on while the disk stalls: nobody takes over",
        "hashicorp/raft issues 503, 683",
        ("leads-on-a-stalled-disk",),
    ),
    RealBug(
        "a single server answers before its sync",
        "etcd issue 14370",
        ("leader-counts-its-memory",),
    ),
    RealBug(
        "writes that were not synced are lost",
        "etcd issue 14143",
        ("acknowledges-before-the-disk", "log-is-not-synced"),
    ),
    RealBug(
        "joint consensus is never left",
        "etcd issue 12136",
        ("stuck-in-joint",),
    ),
    RealBug(
        "stepping down within a term clears the vote",
        "CCF issue 8094",
        ("stepping-down-clears-the-vote",),
    ),
    RealBug(
        "a gap between snapshot and log",
        "hashicorp/raft issue 85",
        ("old-log-stays-on-disk",),
    ),
    RealBug(
        "acknowledgements of a log that was since replaced",
        "openraft cecb5de8",
        ("believes-a-write-since-replaced", "old-acknowledgements-count"),
    ),
)
"""The fifteen that a careful survey named, in its order, and its six spares."""
