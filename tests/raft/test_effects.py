"""The facade: what an event brings about is handed out once, and where nothing came of one there is nothing to do."""

import random
from collections.abc import Callable

import pytest
from tests.support.raft_server import (
    Server,
    accepted,
    append_entries,
    encode,
    leader,
    log_of,
    refused,
    server,
    slot,
)

from oarlock.raft.config import RaftConfig
from oarlock.raft.log import Log
from oarlock.raft.messages import (
    AppendEntries,
    AppendEntriesReply,
    InstallSnapshot,
    InstallSnapshotReply,
    RequestVote,
    TimeoutNow,
)
from oarlock.raft.progress import Mode
from oarlock.raft.raft import Raft
from oarlock.raft.ready import Ready
from oarlock.raft.state import InvariantViolation, MembershipRefused
from oarlock.raft.types import Configuration, HardState, SnapshotMetadata

METADATA = SnapshotMetadata(2, 2, Configuration(voters=frozenset({1, 2, 3})))


def settled(**settings: object) -> Server:
    """A leader of three that has committed its no-op at index 1, as both followers know."""
    sender = leader(**settings)
    for peer in (2, 3):
        sender.step(accepted(sender, peer, 1))
    sender.tell_news()
    sender.beat()
    for peer in (2, 3):
        sender.step(accepted(sender, peer, 1))
    sender.forget_rules()
    return sender


def sending(**settings: object) -> tuple[Server, InstallSnapshot]:
    """A leader whose log begins at 6, and the first of two chunks that it sent to server 2."""
    sender = leader(log=[1, 1], base=(5, 1), applied=6, **settings)
    sender.disk.snapshots = dict.fromkeys(sender.disk.snapshots, (b"x" * 20,) * 5)
    ((_, first),) = sender.step(refused(sender, 2, 7, 0, 3))
    return sender, first


# -- Ready -----------------------------------------------------------------------------------------------------------


def test_a_new_server_has_nothing_to_do() -> None:
    """P-1: what it read from its disk need not be written; batches are counted from 1."""
    one = server(term=2, log=[1, 2], applied=1).raft
    assert not one.has_ready()
    assert [one.ready().number, one.ready().number] == [1, 2]
    assert not one.ready().must_persist
    assert one._before is not None


def test_a_core_by_itself_names_no_disk_and_checks_nothing() -> None:
    """NS-1: disks are told apart, and states looked over, where that is asked for: checks cost time at each event."""
    log = Log(SnapshotMetadata(configuration=METADATA.configuration))
    config = RaftConfig(server_id=1)
    raft = Raft(config, rng=random.Random(1), now=0.0, hard_state=HardState(), log=log, applied_index=0)
    raft.step(RequestVote(3, 2, 7, 0, 0), 0.0)
    ready = raft.ready()
    assert [answer.disk_id for _, answer in ready.messages_after_persist] == [0]  # type: ignore[union-attr]
    assert raft._before is None
    raft.state.commit_index = 9
    raft.tick(0.1)


def _proposing() -> tuple[Server, str]:
    one = settled()
    one.raft.propose([b"x"])
    return one, "messages"


def _answering() -> tuple[Server, str]:
    one = server(term=1)
    one.raft.step(append_entries(1, terms=[1]), 0.0)
    return one, "messages_after_persist"


def _voting() -> tuple[Server, str]:
    one = server(term=1)
    one.raft.step(RequestVote(3, 2, 7, 0, 0), 0.0)
    return one, "hard_state"


def _writing() -> tuple[Server, str]:
    return _proposing()[0], "entries"


def _committing() -> tuple[Server, str]:
    one = settled()
    one.propose(b"x")
    one.raft.step(accepted(one, 2, 2), one.state.now)
    return one, "committed_entries"


def _reading() -> tuple[Server, str]:
    one = server(term=1)
    one.raft.read_index(1, 0.0)
    return one, "reads"


def _receiving() -> tuple[Server, str]:
    one = server(term=2)
    image = encode(map(slot, log_of(1, 2)))
    one.raft.step(InstallSnapshot(2, 2, 7, METADATA, 0, image, done=True), 0.0)
    return one, "chunks"


def _installing() -> tuple[Server, str]:
    one, _ = _receiving()
    (chunk,) = one.raft.ready().chunks
    one.raft.snapshot_chunk_written(chunk)
    return one, "snapshot"


def _discarding() -> tuple[Server, str]:
    return _installing()[0], "discard_log"


def _shipping() -> tuple[Server, str]:
    one, first = sending()
    one.raft.step(InstallSnapshotReply(2, 2, first.request_id, 5, 64, done=False), one.state.now)
    return one, "chunk_requests"


def _wanting() -> tuple[Server, str]:
    one = settled()
    one.propose(b"x")
    one.step(accepted(one, 3, 2))
    one.raft.compact(2)
    one.raft.step(refused(one, 2, 1, 0, 1), one.state.now)
    one.raft.peer_unreachable(2)
    return one, "snapshot_wanted"


def _compacting() -> tuple[Server, str]:
    one = settled()
    one.raft.compact(1)
    return one, "compact_to"


def _losing_data() -> tuple[Server, str]:
    one = settled()
    one.raft.step(refused(one, 2, 1, 0, 1), one.state.now)
    return one, "lost_data"


def _meeting_a_disk() -> tuple[Server, str]:
    one = settled()
    for disk_id in (200, 201):
        one.raft.step(accepted(one, 2, 1, disk_id=disk_id), one.state.now)
    return one, "other_disks"


def _yielding() -> tuple[Server, str]:
    one = settled()
    one.raft.step(append_entries(2), one.state.now)
    return one, "lost_leadership"


@pytest.mark.parametrize(
    "scenario",
    [
        _proposing,
        _answering,
        _voting,
        _writing,
        _committing,
        _reading,
        _receiving,
        _installing,
        _discarding,
        _shipping,
        _wanting,
        _compacting,
        _losing_data,
        _meeting_a_disk,
        _yielding,
    ],
)
def test_an_effect_is_handed_out_once(scenario: Callable[[], tuple[Server, str]]) -> None:
    """P-1, ALL-1, IS-8: a runtime that carried it out is not asked to do it again; nor is it kept from it."""
    one, name = scenario()
    assert one.raft.has_ready()
    first = one.raft.ready()
    assert not one.raft.has_ready()
    assert getattr(first, name)
    if name == "snapshot_wanted":
        one.raft.snapshot_taken(one.raft.metadata_at(2))  # else it is wanted as long as there is none
    assert not getattr(one.raft.ready(), name)


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("entries", log_of(1)),
        ("hard_state", HardState(1, 2)),
        ("snapshot", METADATA),
        ("compact_to", METADATA),
    ],
)
def test_what_is_written_is_waited_for(part: str, value: object) -> None:
    """P-1: whatever changes the disk, and nothing else, holds back what depends on it."""
    nothing: dict[str, object] = {
        "messages": [(2, append_entries(1))],
        "snapshot": None,
        "discard_log": False,
        "hard_state": None,
        "entries": [],
        "messages_after_persist": [(2, append_entries(1))],
        "committed_entries": log_of(1),
        "reads": [],
        "chunk_requests": [],
        "chunks": [],
        "snapshot_wanted": True,
        "compact_to": None,
        "lost_data": [2],
        "other_disks": [2],
        "lost_leadership": True,
    }
    assert not Ready(number=1, **nothing).must_persist  # type: ignore[arg-type]
    assert Ready(number=1, **{**nothing, part: value}).must_persist  # type: ignore[arg-type]


def test_only_what_is_written_up_to_a_batch_is_durable_then() -> None:
    """P-1, L-4: of several writes under way those up to the given number are done, and the disk is alive."""
    one = settled(asynchronous=True)
    for _ in range(3):
        one.raft.propose([b"x"])
        one.run()
    first, second, third = (ready.number for ready in one.writing)
    one.state.now += 0.25
    one.raft.advance(first - 1)
    assert (one.state.log.durable_index, len(one.state.disk_writes)) == (1, 3)
    one.raft.advance(second)
    assert (one.state.log.durable_index, len(one.state.disk_writes)) == (3, 1)
    assert one.state.last_persisted == one.state.now
    one.raft.advance(third)
    assert one.state.log.durable_index == 4


def test_what_depends_on_a_vote_waits_until_it_is_durable() -> None:
    """P-1, RV-2: not only the vote itself; what is said later in that term says it, too."""
    one = server(term=1, asynchronous=True)
    one.raft.step(RequestVote(3, 2, 7, 0, 0), 0.0)
    one.run()
    one.raft.step(append_entries(2, source=3), 0.0)
    one.run()
    assert one.outbox == []
    while one.writing:
        one.complete_write()
    assert len(one.outbox) == 2
    one.raft.step(append_entries(2, source=3), 0.0)
    assert [type(message) for _, message in one.raft.ready().messages] == [type(one.outbox[1][1])]


def test_every_event_that_brings_something_says_so() -> None:
    """Whatever called the core: a runtime that looks only where there is something would else never carry it out."""
    one = settled()
    assert one.raft.change_membership(Configuration(voters=frozenset({1, 2, 3, 4}))) == (2, 1)
    assert one.raft.has_ready()
    one = settled()
    one.raft.transfer_leadership(2, one.state.now)
    assert one.raft.has_ready()
    assert [type(message) for to, message in one.raft.ready().messages if to == 2] == [TimeoutNow]
    one = settled()
    one.raft.read_index(1, one.state.now)
    assert one.raft.has_ready()
    one = leader(log=[1, 1], base=(5, 1), applied=6)
    one.raft.state.snapshot = None
    one.raft.step(refused(one, 2, 7, 0, 3), one.state.now)
    assert one.raft.ready().snapshot_wanted
    one.raft.snapshot_taken(one.raft.metadata_at(6))
    assert one.raft.has_ready()
    assert [request.offset for request in one.raft.ready().chunk_requests] == [0]
    one.raft.snapshot_unavailable(2)
    assert one.raft.has_ready()


def test_a_chunk_that_could_not_be_kept_is_answered() -> None:
    """IS-4: with where to go on; where nothing is said of that, from the start."""
    for arguments, next_offset in (((), 0), ((17,), 17)):
        one, _ = _receiving()
        (chunk,) = one.raft.ready().chunks
        one.raft.advance(1)
        one.raft.snapshot_chunk_failed(chunk, *arguments)
        assert one.raft.has_ready()
        ((_, answer),) = one.raft.ready().messages
        assert isinstance(answer, InstallSnapshotReply)
        assert (answer.next_offset, answer.done) == (next_offset, False)


def test_an_awaited_read_is_released_by_what_is_applied() -> None:
    """CL-Q5: at once, not with the next event; a removal that is committed meanwhile changes nothing of it."""
    one = settled(asynchronous=True)
    one.raft.propose([b"x"])
    one.run()
    one.complete_write()
    one.raft.step(accepted(one, 2, 2), one.state.now)
    one.run()
    one.raft.read_index(1, one.state.now)
    one.run()
    one.raft.step(accepted(one, 2, 2), one.state.now)
    one.run()
    assert one.reads == []
    one.apply_next()
    assert one.raft.has_ready()
    one.run()
    assert [read.read_index for read in one.reads] == [2]


# -- events that bring nothing -----------------------------------------------------------------------------------------


def test_an_answer_without_news_brings_no_work() -> None:
    """L-3a, RS-1: most answers are of this kind; a turn for each would cost as much as the ones that matter."""
    one = settled()
    for answer in (accepted(one, 2, 1), append_entries(0, source=3), accepted(one, 9, 1)):
        one.raft.step(answer, one.state.now)
    one.raft.ready()
    late = AppendEntriesReply(2, 1, 1, success=True, match_index=1)
    for answer in (accepted(one, 2, 1), late):
        one.raft.step(answer, one.state.now)
        assert not one.raft.has_ready()
    one.raft.propose([b"x"])
    one.settle()
    one.raft.step(accepted(one, 2, 2), one.state.now)
    assert one.raft.has_ready()


def test_what_was_applied_brings_work_only_to_who_reads() -> None:
    """ALL-1, CL-Q5: and last_applied does not fall, whatever a machine says again."""
    one = settled()
    one.raft.applied(1)
    assert not one.raft.has_ready()
    one.raft.applied(0)
    assert one.state.last_applied == 1


def test_a_write_that_commits_nothing_brings_no_work() -> None:
    """P-1, ALL-1: what waited for it leaves with it; the core is asked again only where something can be applied."""
    one = server(term=1, asynchronous=True)
    one.raft.step(append_entries(1, terms=[1, 1]), 0.0)
    one.run()
    one.complete_write()
    assert not one.raft.has_ready()
    one.raft.step(append_entries(1, terms=[1, 1, 1], commit=3), 0.0)
    one.run()
    one.complete_write()
    assert one.raft.has_ready()
    assert [entry.index for entry in one.raft.ready().committed_entries] == [3]


def test_each_event_is_looked_over() -> None:
    """V-1: with checks on, a state that cannot be stops the server at that event; so does a step that cannot be."""
    one = settled()
    one.state.handed_to_apply = 9
    with pytest.raises(InvariantViolation, match="handed"):
        one.raft.tick(one.state.now)
    one = settled()
    one.state.commit_index = one.state.handed_to_apply = one.state.last_applied = 0
    with pytest.raises(InvariantViolation, match="commit_index never falls"):
        one.raft.tick(one.state.now)


def test_a_message_of_its_own_changes_nothing() -> None:
    """RS-1: an address given wrongly may lead a server to itself."""
    one = server(term=1)
    before = one.facts()
    assert one.step(append_entries(5, source=1)) == []
    assert one.step(RequestVote(1, 5, 7, 9, 9)) == []
    assert one.changes(before) == {}
    assert one.rules() == {"V-1", "RS-1"} or one.rules() == {"RS-1"}


def test_a_follower_has_no_links_to_lose() -> None:
    """L-3, IS-0: that a link broke, or a snapshot cannot be read, says nothing to who sends none."""
    one = server(term=1)
    one.raft.peer_unreachable(2)
    one.raft.snapshot_unavailable(2)
    assert not one.raft.has_ready()


# -- links and snapshots -----------------------------------------------------------------------------------------------


def test_a_probe_on_a_broken_link_is_not_waited_for() -> None:
    """L-3: nor is its answer; the next is sent at once."""
    one = leader(log=[1], term=1)
    progress = one.state.leader.peers[2]
    assert (progress.mode, progress.probe_outstanding) == (Mode.PROBE, True)
    one.raft.peer_unreachable(2)
    assert [to for to, message in one.settle() if isinstance(message, AppendEntries)] == [2]
    assert progress.next_index == 2


def test_a_chunk_on_a_broken_link_is_asked_for_soon() -> None:
    """IS-0: an election timeout later, not after the long wait for a slow disk; the snapshot is not begun anew."""
    one, first = sending(snapshot_retry_ms=60_000, check_quorum=False)
    broke_at = one.state.now
    one.raft.peer_unreachable(2)
    one.settle()
    progress = one.state.leader.peers[2]
    assert (progress.mode, progress.snapshot) == (Mode.SNAPSHOT, first.metadata)
    assert not [message for _, message in one.tick(broke_at + 0.945) if isinstance(message, InstallSnapshot)]
    (again,) = [message for _, message in one.tick(broke_at + 1.05) if isinstance(message, InstallSnapshot)]
    assert (again.offset, again.data) == (0, first.data)


def test_a_broken_link_delays_no_chunk() -> None:
    """IS-0: one that is due sooner anyway stays so, however often a link breaks."""
    one, _ = sending(snapshot_retry_ms=200, check_quorum=False)
    for _ in range(3):
        one.raft.peer_unreachable(2)
    one.settle()
    assert [message for _, message in one.tick(one.state.now + 0.25) if isinstance(message, InstallSnapshot)]


def test_an_older_snapshot_that_cannot_be_read_costs_no_newer() -> None:
    """IS-0: where a newer one is at hand already, that is sent, and none is made."""
    one, first = sending()
    newer = SnapshotMetadata(6, 1, first.metadata.configuration)
    one.raft.snapshot_taken(newer)
    one.raft.snapshot_unavailable(2)
    ready = one.raft.ready()
    assert [request.metadata for request in ready.chunk_requests] == [newer]
    assert not ready.snapshot_wanted
    one.raft.snapshot_unavailable(2)
    assert one.raft.ready().snapshot_wanted


def test_a_snapshot_that_nobody_is_sent_is_kept() -> None:
    """IS-0: a report about a follower that is served entries, or is none, is late."""
    one, first = sending()
    for peer in (3, 9):
        one.raft.snapshot_unavailable(peer)
    assert one.state.snapshot == first.metadata
    assert not one.raft.has_ready()


def test_a_snapshot_is_dated_by_the_log() -> None:
    """IS-0, MC-1: with the term and configuration there; where the log does not reach, by nobody."""
    one = server(term=2, log=[1, 2], base=(4, 1), applied=6)
    assert one.raft.metadata_at(6) == SnapshotMetadata(6, 2, one.state.configuration)
    assert one.raft.metadata_at(4).last_included_term == 1
    for index in (3, 7):
        with pytest.raises(ValueError, match=f"the log knows no entry {index}"):
            one.raft.metadata_at(index)


def test_a_refused_change_leaves_no_trace() -> None:
    """MC-3: neither in the log nor as work to do."""
    one = leader()
    with pytest.raises(MembershipRefused):
        one.raft.change_membership(Configuration(voters=frozenset({1, 2})))
    assert not one.raft.has_ready()


def test_a_server_alone_waits_for_nobody() -> None:
    """F-2, B2: it leads at its first tick; one with learners, or without a vote of its own, waits as others do."""
    alone = server([1])
    assert alone.raft.election_deadline() == 0.0
    alone.tick(0.0)
    assert alone.state.leader is not None
    with_learner = Configuration(voters=frozenset({1}), learners=frozenset({2}))
    for waiting in (server(configuration=with_learner), server([2])):
        assert waiting.raft.election_deadline() >= 1.0
