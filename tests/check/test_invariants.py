"""Each property, broken by observations made by hand; and what only looks like a breach."""

from collections.abc import Callable

import pytest

from oarlock.check import PROPERTIES, Monitor, Observed, ObservedEntry, Promise, Violation
from oarlock.check import commitment as commitment_module
from oarlock.check import invariants as invariants_module
from oarlock.raft.types import Configuration, HardState, SnapshotMetadata

THREE = Configuration(voters=frozenset({1, 2, 3}))
BASE = SnapshotMetadata(0, 0, THREE)


def entries(*terms: int, after: int = 0, mark: str = "") -> tuple[ObservedEntry, ...]:
    """Entries after an index, of these terms."""
    return tuple(ObservedEntry(index, term, f"{index}@{term}{mark}") for index, term in enumerate(terms, after + 1))


def change(index: int, term: int, configuration: Configuration) -> ObservedEntry:
    """An entry that changes the configuration."""
    return ObservedEntry(index, term, repr(sorted(configuration.members)), configuration)


class Scene:
    """Servers, each changed step by step and observed after each."""

    def __init__(self, **settings: object) -> None:
        self.monitor = Monitor(**settings)
        self.fields: dict[int, dict[str, object]] = {}
        self.found: list[Violation] = []

    def see(self, server_id: int, **fields: object) -> list[Violation]:
        """Observe a server: what is not named is as it was."""
        last = self.fields.get(server_id, {"base": BASE, "last_index": 0, "current_term": 0})
        now = {**last, "entries": (), "applied": (), "promises": (), "state_hash": None, **fields}
        if now["entries"]:
            now.setdefault("last_index", 0)
            now["last_index"] = now["entries"][-1].index
        self.fields[server_id] = now
        found = self.monitor.observe(Observed(server_id=server_id, **now))
        self.found += found
        return found

    def lead(self, server_id: int, term: int, *terms: int, **fields: object) -> None:
        """A server that leads a term, with this log on its disk."""
        self.see(
            server_id,
            current_term=term,
            voted_for=server_id,
            role="leader",
            entries=entries(*terms),
            durable_index=len(terms),
            durable_hard_state=HardState(term, server_id),
            **fields,
        )

    def follow(self, server_id: int, term: int, *terms: int, **fields: object) -> None:
        """A follower with this log on its disk."""
        self.see(
            server_id,
            **{
                "current_term": term,
                "entries": entries(*terms),
                "durable_index": len(terms),
                "durable_hard_state": HardState(term, None),
                **fields,
            },
        )

    def committed(self, count: int = 2) -> None:
        """Server 1 leads term 1 and has committed entries 1 to `count`, which 2 has too; 3 has nothing."""
        self.lead(1, 1, *[1] * count)
        self.follow(2, 1, *[1] * count)
        self.see(1, commit_index=count, applied_index=count, match_index=((2, count), (3, 0)))
        assert not self.found


SCENES: dict[str, list[Callable[[Scene], object]]] = {}


def breaks(name: str) -> Callable[[Callable[[Scene], object]], Callable[[Scene], object]]:
    """Register a scene that breaks a property."""
    assert name in PROPERTIES

    def register(scene: Callable[[Scene], object]) -> Callable[[Scene], object]:
        SCENES.setdefault(name, []).append(scene)
        return scene

    return register


@breaks("election safety")
def two_leaders(scene: Scene) -> None:
    scene.lead(1, 1)
    scene.lead(2, 1)


@breaks("election safety")
def leader_again_after_restart(scene: Scene) -> None:
    scene.lead(1, 1)
    scene.lead(1, 1, incarnation=1)


@breaks("leader append-only")
def leader_overwrites(scene: Scene) -> None:
    scene.lead(1, 2, 1, 1)
    scene.see(1, entries=entries(2, after=1))


@breaks("leader append-only")
def leader_truncates(scene: Scene) -> None:
    scene.lead(1, 2, 1, 1)
    scene.see(1, last_index=1, durable_index=1)


@breaks("log matching")
def same_term_other_contents(scene: Scene) -> None:
    scene.follow(1, 1, 1)
    scene.follow(2, 1, entries=entries(1, mark="!"), durable_index=1)


@breaks("log matching")
def same_entry_after_another(scene: Scene) -> None:
    scene.follow(1, 3, 1, 3)
    scene.follow(2, 3, 2, 3)


@breaks("leader completeness")
def leader_lacks_committed(scene: Scene) -> None:
    scene.committed()
    scene.lead(3, 2)


@breaks("leader completeness")
def leader_has_another_in_place_of_committed(scene: Scene) -> None:
    scene.lead(1, 3, 1, 3)
    scene.follow(2, 3, 1, 3)
    scene.see(1, commit_index=2, applied_index=2)
    scene.lead(3, 4, 1, 2)


@breaks("leader completeness")
def old_leader_commits_what_a_newer_one_lacked(scene: Scene) -> None:
    scene.lead(1, 1, 1, 1)
    scene.follow(2, 1, 1, 1)
    scene.lead(3, 2, 1)
    scene.see(3, role="follower")
    scene.see(1, commit_index=2, applied_index=2)


@breaks("state machine safety")
def applies_something_else(scene: Scene) -> None:
    scene.committed()
    scene.see(2, commit_index=2)
    scene.see(2, applied_index=1, applied=((1, "nonsense"),))


@breaks("state machine safety")
def applies_uncommitted(scene: Scene) -> None:
    scene.follow(1, 1, 1)
    scene.see(1, applied_index=1, applied=((1, "1@1"),))


@breaks("committed entries never change")
def another_commits_differently(scene: Scene) -> None:
    scene.committed()
    scene.follow(3, 2, 2, 2)
    scene.see(3, commit_index=1, applied_index=1)


@breaks("committed entries never change")
def committed_entry_is_overwritten(scene: Scene) -> None:
    scene.committed()
    scene.see(2, commit_index=2, applied_index=2)
    scene.see(2, current_term=2, entries=entries(2, 2), durable_index=0)


@breaks("committed entries never change")
def snapshot_of_another_history(scene: Scene) -> None:
    scene.committed()
    other = SnapshotMetadata(2, 2, THREE)
    scene.see(3, current_term=2, base=other, last_index=2, commit_index=2, applied_index=2)


@breaks("committed on a durable quorum")
def commits_alone(scene: Scene) -> None:
    scene.lead(1, 1, 1)
    scene.follow(2, 1)
    scene.see(1, commit_index=1, applied_index=1)


@breaks("committed on a durable quorum")
def commits_what_a_follower_has_not_synced(scene: Scene) -> None:
    scene.lead(1, 1, 1)
    scene.follow(2, 1, 1, durable_index=0)
    scene.see(1, commit_index=1, applied_index=1)


@breaks("committed on a durable quorum")
def commits_by_half_of_four(scene: Scene) -> None:
    four = SnapshotMetadata(0, 0, Configuration(voters=frozenset({1, 2, 3, 4})))
    scene.see(1, base=four)
    scene.see(2, base=four)
    scene.lead(1, 1, 1)
    scene.follow(2, 1, 1)
    scene.see(1, commit_index=1, applied_index=1)


@breaks("committed on a durable quorum")
def commits_by_one_half_of_a_joint_configuration(scene: Scene) -> None:
    joint = Configuration(voters=frozenset({1, 2, 3}), voters_outgoing=frozenset({3, 4, 5}))
    scene.see(1, base=SnapshotMetadata(0, 0, joint))
    scene.see(2, base=SnapshotMetadata(0, 0, joint))
    scene.lead(1, 1, 1)
    scene.follow(2, 1, 1)
    scene.see(1, commit_index=1, applied_index=1)


@breaks("only the current term is committed")
def commits_old_term_by_count(scene: Scene) -> None:
    scene.lead(1, 2, 1)
    scene.follow(2, 2, 1)
    scene.see(1, commit_index=1, applied_index=1)


@breaks("nothing promised before it is durable")
def votes_before_sync(scene: Scene) -> None:
    scene.follow(1, 1, durable_hard_state=HardState(1, None))
    scene.see(1, voted_for=2, promises=(Promise(1, voted_for=2),))


@breaks("nothing promised before it is durable")
def speaks_of_a_term_before_sync(scene: Scene) -> None:
    scene.follow(1, 5, durable_hard_state=HardState(4, None))
    scene.see(1, promises=(Promise(5),))


@breaks("nothing promised before it is durable")
def acknowledges_before_sync(scene: Scene) -> None:
    scene.follow(1, 1, 1, 1, durable_index=1)
    scene.see(1, promises=(Promise(1, match_index=2),))


@breaks("durability")
def forgets_synced_entries(scene: Scene) -> None:
    scene.follow(1, 1, 1, 1)
    scene.see(1, incarnation=1, entries=entries(1), durable_index=1)


@breaks("durability")
def comes_back_with_other_entries(scene: Scene) -> None:
    scene.follow(1, 3, 1, 3)
    scene.see(1, incarnation=1, entries=entries(1, 2, mark="?"), durable_index=2)


@breaks("monotone term")
def term_falls(scene: Scene) -> None:
    scene.follow(1, 2)
    scene.see(1, current_term=1)


@breaks("monotone term")
def term_falls_by_restart(scene: Scene) -> None:
    scene.follow(1, 2)
    scene.see(1, incarnation=1, current_term=1)


@breaks("monotone term")
def term_on_disk_falls(scene: Scene) -> None:
    scene.follow(1, 2)
    scene.see(1, durable_hard_state=HardState(1, None))


@breaks("one vote a term")
def votes_twice(scene: Scene) -> None:
    scene.follow(1, 1, voted_for=2)
    scene.see(1, voted_for=3)


@breaks("one vote a term")
def forgets_its_vote_by_restart(scene: Scene) -> None:
    scene.follow(1, 1, voted_for=2, durable_hard_state=HardState(1, 2))
    scene.see(1, incarnation=1, voted_for=None)


@breaks("one vote a term")
def vote_on_disk_changes(scene: Scene) -> None:
    scene.follow(1, 1, voted_for=2, durable_hard_state=HardState(1, 2))
    scene.see(1, durable_hard_state=HardState(1, 3))


@breaks("monotone commit_index")
def commit_index_falls(scene: Scene) -> None:
    scene.committed()
    scene.see(1, commit_index=1, applied_index=1)


@breaks("monotone applied_index")
def applied_index_falls(scene: Scene) -> None:
    scene.committed()
    scene.see(1, applied_index=1)


@breaks("monotone match_index")
def match_index_falls(scene: Scene) -> None:
    scene.committed()
    scene.see(1, match_index=((2, 1), (3, 0)))


@breaks("match_index is durable")
def match_index_ahead_of_the_disk(scene: Scene) -> None:
    scene.lead(1, 1, 1, 1)
    scene.follow(2, 1, 1)
    scene.see(1, match_index=((2, 2),))


@breaks("terms rise along the log")
def term_falls_along_the_log(scene: Scene) -> None:
    scene.follow(1, 3, 3, 2)


@breaks("terms rise along the log")
def entry_of_a_term_to_come(scene: Scene) -> None:
    scene.follow(1, 1, 2)


@breaks("order of indices")
def commits_past_the_log(scene: Scene) -> None:
    scene.follow(1, 1, 1, commit_index=2)


@breaks("order of indices")
def applies_past_commitment(scene: Scene) -> None:
    scene.committed(3)
    scene.see(2, commit_index=1, applied_index=2)


@breaks("order of indices")
def purges_what_is_not_applied(scene: Scene) -> None:
    scene.committed(3)
    scene.see(2, commit_index=3, applied_index=1)
    scene.see(2, base=SnapshotMetadata(2, 1, THREE))


@breaks("order of indices")
def purges_what_only_the_log_has(scene: Scene) -> None:
    scene.committed(3)
    scene.see(1, snapshot_index=1)
    scene.see(1, base=SnapshotMetadata(2, 1, THREE))


@breaks("order of indices")
def base_moves_back(scene: Scene) -> None:
    scene.committed(3)
    scene.see(1, base=SnapshotMetadata(2, 1, THREE))
    scene.see(1, base=SnapshotMetadata(1, 1, THREE), entries=entries(1, 1, after=1))


@breaks("state not ahead of the log")
def keeps_a_state_that_the_log_does_not_lead_to(scene: Scene) -> None:
    scene.committed(3)
    scene.see(1, durable_index=2, durable_applied_index=3)


@breaks("applied in order, once")
def applies_twice(scene: Scene) -> None:
    scene.committed()
    scene.see(2, commit_index=2, applied_index=2, applied=((1, "1@1"), (2, "2@1")))
    scene.see(2, applied=((2, "2@1"),))


@breaks("applied in order, once")
def skips_one(scene: Scene) -> None:
    scene.committed()
    scene.see(2, commit_index=2, applied_index=2, applied=((2, "2@1"),))


@breaks("identical states")
def states_differ(scene: Scene) -> None:
    scene.committed()
    scene.see(1, state_hash=(2, "x"))
    scene.see(2, commit_index=2, applied_index=2, state_hash=(2, "y"))


@breaks("configuration is the log's")
def acts_upon_an_older_configuration(scene: Scene) -> None:
    scene.see(1, configuration=THREE)
    scene.see(1, current_term=1, entries=(change(1, 1, Configuration(voters=frozenset({1, 2, 3, 4}))),))


@breaks("configuration is the log's")
def keeps_a_configuration_that_was_truncated(scene: Scene) -> None:
    four = Configuration(voters=frozenset({1, 2, 3, 4}))
    scene.see(1, configuration=THREE)
    scene.see(1, current_term=1, entries=(change(1, 1, four),), configuration=four)
    assert not scene.found
    scene.see(1, current_term=2, entries=entries(2))


@breaks("one change at a time")
def two_changes_under_way(scene: Scene) -> None:
    four, five = (Configuration(voters=frozenset(range(1, n + 1))) for n in (4, 5))
    scene.see(1, current_term=1, entries=(change(1, 1, four), change(2, 1, five)))


@breaks("majorities overlap")
def two_voters_at_once(scene: Scene) -> None:
    scene.see(1, current_term=1, entries=(change(1, 1, Configuration(voters=frozenset(range(1, 6)))),))


@breaks("majorities overlap")
def joint_with_others_than_the_present(scene: Scene) -> None:
    joint = Configuration(voters=frozenset({4, 5, 6}), voters_outgoing=frozenset({1, 2}))
    scene.see(1, current_term=1, entries=(change(1, 1, joint),))


@breaks("majorities overlap")
def leaves_to_others_than_the_joint(scene: Scene) -> None:
    joint = Configuration(voters=frozenset({3, 4, 5}), voters_outgoing=frozenset({1, 2, 3}))
    scene.see(1, current_term=1, base=SnapshotMetadata(0, 0, joint))
    scene.see(1, entries=(change(1, 1, Configuration(voters=frozenset({4, 5, 6}))),))


@breaks("one lease holder")
def two_leases(scene: Scene) -> None:
    scene.lead(1, 1, at=1.0, lease_until=5.0)
    scene.lead(2, 2, at=4.0, lease_until=9.0)


@pytest.mark.parametrize("name", PROPERTIES)
def test_each_property_is_found_broken(name: str) -> None:
    """At least one scene breaks it, and the monitor says so by its name, with the server concerned."""
    for play in SCENES[name]:
        scene = Scene()
        play(scene)
        found = [violation for violation in scene.found if violation.name == name]
        assert found, (play.__name__, scene.found)
        assert f"server {found[0].server_id}" in found[0].sentence
        ignoring = Scene(ignored=(name,))
        play(ignoring)
        assert name not in {violation.name for violation in ignoring.found}


def test_only_what_is_broken_is_named() -> None:
    """Where a scene breaks one thing alone, nothing else is said of it."""
    for name in ("election safety", "one vote a term", "identical states", "one lease holder", "monotone match_index"):
        for play in SCENES[name]:
            scene = Scene()
            play(scene)
            assert {violation.name for violation in scene.found} == {name}, play.__name__


def test_what_only_looks_like_a_breach_passes() -> None:
    """Truncation of what is not committed, elections, snapshots, restarts that lose what was not synced."""
    scene = Scene()
    scene.committed(3)
    scene.see(1, entries=entries(1, after=3))
    scene.see(2, current_term=2, voted_for=2, role="candidate", durable_hard_state=HardState(2, 2))
    scene.see(3, current_term=2, voted_for=2, durable_hard_state=HardState(2, 2), promises=(Promise(2, voted_for=2),))
    scene.see(2, role="leader", entries=entries(2, after=3))
    scene.see(2, durable_index=4)
    snapshot = SnapshotMetadata(3, 1, THREE)
    scene.see(3, base=snapshot, last_index=3, commit_index=3, applied_index=0, durable_index=0)
    scene.see(3, durable_index=3)
    scene.see(3, applied_index=3)
    scene.see(3, entries=entries(2, after=3), durable_index=3)
    scene.see(3, durable_index=4, promises=(Promise(2, match_index=4),))
    scene.see(2, match_index=((1, 0), (3, 4)), commit_index=4, applied_index=4)
    scene.see(1, role="follower", current_term=2, voted_for=None, durable_hard_state=HardState(2, None), match_index=())
    scene.see(1, entries=entries(2, after=3))
    scene.see(1, incarnation=1, entries=entries(1, 1, 1), last_index=3, commit_index=0, applied_index=0)
    scene.see(1, commit_index=3, applied_index=3, applied=((1, "1@1"), (2, "2@1"), (3, "3@1")))
    assert not scene.found


def test_lease_that_ended_is_no_lease() -> None:
    """A lease may follow one that has run out, or was given up by a restart."""
    scene = Scene()
    scene.lead(1, 1, at=1.0, lease_until=5.0)
    scene.lead(2, 2, at=5.0, lease_until=9.0)
    scene.see(2, incarnation=1, role="follower", at=6.0, lease_until=None)
    scene.lead(1, 3, at=6.5, lease_until=9.0)
    assert not scene.found


def test_damaged_disk_may_forget_but_what_it_held_still_counts() -> None:
    """A disk damaged on purpose breaks no promise; an entry it had acknowledged was on a quorum all the same."""
    scene = Scene()
    scene.lead(1, 1, 1, 1)
    scene.follow(2, 1, 1, 1)
    scene.see(2, incarnation=1, disk_is_intact=False, current_term=0, last_index=0, durable_index=0,
              durable_hard_state=HardState())  # fmt: skip
    scene.see(1, match_index=((2, 2),), commit_index=2, applied_index=2)
    assert not scene.found


def test_observer_that_misses_something_is_told() -> None:
    """Observations that do not continue those before are the observer's fault, and are refused."""
    scene = Scene()
    scene.follow(1, 1, 1, 1)
    with pytest.raises(ValueError, match="server 1: observed up to 5, which does not follow 2"):
        scene.see(1, last_index=5)
    with pytest.raises(ValueError, match="does not follow 2"):
        scene.see(1, entries=entries(1, after=3))
    with pytest.raises(ValueError, match="server 1: entry 5 follows 3"):
        scene.see(1, entries=(*entries(1, after=2), *entries(1, after=4)))
    with pytest.raises(ValueError, match="no property"):
        Monitor(ignored=("everything",))


def test_memory_is_bounded_by_what_is_purged(monkeypatch: pytest.MonkeyPatch) -> None:
    """What all servers purged is forgotten, and hashes are kept for the newest indices alone."""
    monkeypatch.setattr(invariants_module, "FORGET_EVERY", 10)
    monkeypatch.setattr(commitment_module, "MAX_HASHES", 5)
    scene = Scene()
    scene.lead(1, 1)
    scene.follow(2, 1)
    scene.see(1, configuration=THREE)
    for index in range(1, 101):
        for server_id in (2, 1):
            scene.see(server_id, entries=entries(1, after=index - 1), durable_index=index)
        for server_id in (1, 2):
            scene.see(server_id, commit_index=index, applied_index=index, state_hash=(index, index))
            scene.see(server_id, base=SnapshotMetadata(index - 1, 1 if index > 1 else 0, THREE))
    assert not scene.found
    assert len(scene.monitor._chain) < 25
    assert len(scene.monitor._commitment._committed) < 25
    assert len(scene.monitor._commitment._hashes) == 5
    assert scene.monitor.committed_index == 100
    assert scene.monitor.events > 600
