"""Members come and go while the cluster works: what is asked of nodes, and what they make of it."""

import asyncio
from pathlib import Path

import msgspec
import pytest
from tests.support.node_cluster import NodeCluster, eventually

from oarlock.node.addresses import MAX_ADDRESS_BYTES, format_address, parse_address
from oarlock.node.config import NodeConfig
from oarlock.node.errors import (
    BadTransferee,
    ChangeRefused,
    ChangeTimeout,
    NoLeader,
    NotLeader,
    Refusal,
    ServerRemoved,
    Stopped,
    TransferTimeout,
)
from oarlock.node.members import MAX_REMOVED, Change, ChangeKind, removed_servers, target
from oarlock.node.node import Node
from oarlock.raft.types import Configuration, SnapshotMetadata
from oarlock.storage.errors import WrongIdentity
from oarlock.storage.snapshot_file import encode_header

ADD_VOTER, ADD_LEARNER, PROMOTE, REMOVE, UPDATE, DEMOTE = ChangeKind

CURRENT = Configuration(
    voters=frozenset({1, 2}),
    learners=frozenset({3}),
    addresses=((1, ("a:1",)), (2, ("a:2",)), (3, ("a:3",)), (9, ("a:9",))),
)
"""Two voters, a learner, and a server that was removed."""

CALM = {"election_timeout_ms": 1000, "heartbeat_interval_ms": 50}
"""So that a busy machine makes no elections that a test did not ask for."""


# -- what a change leads to --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        (Change(ADD_VOTER, 2, ("a:5",)), Refusal.MEMBER_EXISTS),
        (Change(ADD_LEARNER, 3, ("a:5",)), Refusal.MEMBER_EXISTS),
        (Change(ADD_VOTER, 9, ("a:5",)), Refusal.ID_REMOVED),
        (Change(ADD_VOTER, 5, ("a:2",)), Refusal.ADDRESS_IN_USE),
        (Change(ADD_VOTER, 5, ()), Refusal.BAD_ADDRESS),
        (Change(ADD_VOTER, 5, ("a",)), Refusal.BAD_ADDRESS),
        (Change(ADD_VOTER, 5, ("a:99999",)), Refusal.BAD_ADDRESS),
        (Change(ADD_VOTER, 5, ("http://a:1/path",)), Refusal.BAD_ADDRESS),
        (Change(ADD_VOTER, 5, ("a" * 300 + ":1",)), Refusal.BAD_ADDRESS),
        (Change(ADD_LEARNER, 5, ("a:5",)), Refusal.TOO_MANY_LEARNERS),
        (Change(PROMOTE, 2), Refusal.NOT_A_LEARNER),
        (Change(PROMOTE, 9), Refusal.NOT_A_MEMBER),
        (Change(DEMOTE, 3), Refusal.NOT_A_VOTER),
        (Change(DEMOTE, 9), Refusal.NOT_A_MEMBER),
        (Change(DEMOTE, 2), Refusal.TOO_MANY_LEARNERS),
        (Change(REMOVE, 9), Refusal.NOT_A_MEMBER),
        (Change(UPDATE, 9, ("a:5",)), Refusal.NOT_A_MEMBER),
        (Change(UPDATE, 1, ("a:2",)), Refusal.ADDRESS_IN_USE),
    ],
)
def test_impossible_changes(change: Change, refusal: Refusal) -> None:
    """Each impossible change is refused with its reason."""
    with pytest.raises(ChangeRefused) as refused:
        target(CURRENT, [change], max_learners=1, retried=False)
    assert refused.value.refusal is refusal


def test_one_change_puts_another_server_in_its_place() -> None:
    """A learner that never got anywhere is replaced, in one change, by what it is now, at the same address."""
    changes = [Change(REMOVE, 3), Change(ADD_LEARNER, 5, ("a:3",))]
    made = target(CURRENT, changes, max_learners=1, retried=False)
    assert (made.voters, made.learners) == (CURRENT.voters, frozenset({5}))
    assert dict(made.addresses)[5] == ("a:3",)
    assert target(made, changes, max_learners=1, retried=True) == made
    with pytest.raises(ChangeRefused):
        target(CURRENT, changes[::-1], max_learners=2, retried=False)


def test_possible_changes() -> None:
    """Each kind of change leads where it says; a removed server's address is kept, and free for another."""
    after = target(CURRENT, [Change(ADD_VOTER, 5, ("a:9",))], max_learners=1, retried=False)
    assert (after.voters, after.learners) == ({1, 2, 5}, {3})
    assert after.addresses == ((1, ("a:1",)), (2, ("a:2",)), (3, ("a:3",)), (5, ("a:9",)), (9, ("a:9",)))
    after = target(CURRENT, [Change(PROMOTE, 3)], max_learners=1, retried=False)
    assert (after.voters, after.learners) == ({1, 2, 3}, set())
    after = target(CURRENT, [Change(DEMOTE, 2)], max_learners=2, retried=False)
    assert (after.voters, after.learners, after.addresses) == ({1}, {2, 3}, CURRENT.addresses)
    after = target(CURRENT, [Change(PROMOTE, 3), Change(DEMOTE, 1)], max_learners=1, retried=False)
    assert (after.voters, after.learners) == ({2, 3}, {1})
    after = target(CURRENT, [Change(REMOVE, 1)], max_learners=1, retried=False)
    assert (after.voters, removed_servers(after)) == ({2}, {9: ("a:9",), 1: ("a:1",)})
    after = target(CURRENT, [Change(UPDATE, 1, ("b:1", "b:2"))], max_learners=1, retried=False)
    assert dict(after.addresses)[1] == ("b:1", "b:2")
    with pytest.raises(ChangeRefused) as refused:
        target(CURRENT, [Change(REMOVE, 1), Change(REMOVE, 2)], max_learners=1, retried=False)
    assert refused.value.refusal is Refusal.LAST_VOTER
    with pytest.raises(ChangeRefused) as refused:
        target(CURRENT, [Change(DEMOTE, 1), Change(DEMOTE, 2)], max_learners=3, retried=False)
    assert refused.value.refusal is Refusal.LAST_VOTER


@pytest.mark.parametrize(
    "change",
    [
        Change(ADD_VOTER, 2, ("a:2",)),
        Change(ADD_LEARNER, 3, ("a:3",)),
        Change(PROMOTE, 2),
        Change(DEMOTE, 3),
        Change(REMOVE, 9),
    ],
)
def test_retried_changes(change: Change) -> None:
    """What a retried change finds done already is no error, and changes nothing."""
    assert target(CURRENT, [change], max_learners=1, retried=True) == CURRENT


def test_removed_servers_are_forgotten_at_last() -> None:
    """However many servers come and go, the configuration stays small; the first removed is forgotten first."""
    configuration = CURRENT
    for server_id in range(100, 100 + MAX_REMOVED + 10):
        added = [Change(ADD_VOTER, server_id, (f"c:{server_id}",))]
        configuration = target(configuration, added, max_learners=1, retried=False)
        configuration = target(configuration, [Change(REMOVE, server_id)], max_learners=1, retried=False)
    removed = removed_servers(configuration)
    assert len(removed) == MAX_REMOVED
    assert 9 not in removed
    assert 109 not in removed
    assert 110 in removed
    assert len(msgspec.msgpack.encode(configuration)) < 8000


def test_snapshots_have_room_for_all_addresses() -> None:
    """Whatever addresses are accepted, a snapshot can tell of them all: one that cannot be made ends every server."""
    configuration = CURRENT
    for server_id in range(1000, 1000 + MAX_REMOVED + 32):
        texts = tuple(f"{server_id}-{number:02}".rjust(MAX_ADDRESS_BYTES - 2, "a") + ":1" for number in range(16))
        configuration = target(configuration, [Change(ADD_VOTER, server_id, texts)], max_learners=1, retried=False)
        if server_id < 1000 + MAX_REMOVED:
            configuration = target(configuration, [Change(REMOVE, server_id)], max_learners=1, retried=False)
    encode_header(SnapshotMetadata(1, 1, configuration))


@pytest.mark.parametrize(
    ("text", "address"),
    [("a:1", ("a", 1)), ("http://a.b:65535", ("a.b", 65535)), ("https://[::1]:2380", ("::1", 2380))],
)
def test_addresses(text: str, address: tuple[str, int]) -> None:
    """Addresses are read as URLs or as host and port, and written as host and port."""
    assert parse_address(text) == address
    assert parse_address(format_address(address)) == address


@pytest.mark.parametrize("text", ["", "a", ":1", "a:", "a:0", "a:65536", "a:x", "ftp://a:1", "http://a:1/"])
def test_bad_addresses(text: str) -> None:
    """What is no address is refused, and named."""
    with pytest.raises(ValueError, match="address"):
        parse_address(text)


# -- a cluster that changes --------------------------------------------------------------------------------------


class Writer:
    """Proposes all the time, to whichever node runs; every word it was told of is checked at the end."""

    def __init__(self, cluster: NodeCluster) -> None:
        self.cluster = cluster
        self.acknowledged: list[bytes] = []
        self.avoided: set[int] = set()
        self._task = asyncio.ensure_future(self._run())

    async def _run(self) -> None:
        number = 0
        while True:
            number += 1
            nodes = [node for at, node in self.cluster.nodes.items() if not node.is_learner and at not in self.avoided]
            word = b"w%d" % number
            await nodes[number % len(nodes)].propose(word)
            self.acknowledged.append(word)

    async def progress(self, count: int = 10) -> None:
        """Wait until this many more words were acknowledged."""
        wanted = len(self.acknowledged) + count
        await eventually(lambda: self._task.done() or len(self.acknowledged) >= wanted, "writes go on")
        if self._task.done():
            self._task.result()

    async def verify(self) -> None:
        """End, and see that every word acknowledged is there once, on every server."""
        await self.progress()
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self.cluster.all_applied()
        for server_id in self.cluster.nodes:
            words = self.cluster.machine(server_id).words
            assert len(words) == len(set(words))
            assert set(self.acknowledged) <= set(words)


async def promoted(node: Node, server_id: int) -> None:
    """Promote a learner as soon as it has caught up."""
    refusals = set()
    while refusals <= {Refusal.LEARNER_NOT_READY}:
        try:
            await node.change_membership([Change(PROMOTE, server_id)])
        except ChangeRefused as error:
            refusals.add(error.refusal)
            await asyncio.sleep(0.01)
        else:
            return
    raise AssertionError(refusals)


@pytest.mark.parametrize("tcp", [False, True])
async def test_a_cluster_grows_and_shrinks(tmp_path: Path, tcp: bool) -> None:
    """3 -> 4 by a learner that is promoted -> 5 -> back to 3, by any server's help, while writes go on."""
    async with NodeCluster(tmp_path, tcp=tcp, **CALM) as cluster:
        leader = await cluster.leader()
        writer = Writer(cluster)
        learner = await cluster.add(4, ADD_LEARNER)
        await eventually(lambda: learner.is_learner, "it learns that it learns")
        await promoted(await cluster.follower(), 4)
        await eventually(lambda: 4 in learner.status().voters, "it has a vote")
        await writer.progress()
        await cluster.add(5)
        await writer.progress()
        for server_id in sorted(cluster.nodes.keys() - {leader.config.server_id})[:2]:
            writer.avoided.add(server_id)
            await writer.progress()
            await leader.change_membership([Change(REMOVE, server_id)], strict=True)
            await eventually(lambda server_id=server_id: server_id in cluster.removed, "the removed server knows")
            await cluster.stop(server_id)
            await writer.progress()
        await writer.verify()
        status = leader.status()
        assert set(status.voters) == set(cluster.nodes)
        others = set(cluster.nodes) - {leader.config.server_id}
        await eventually(lambda: set(leader.peer_traffic()) == others, "links follow the members")


@pytest.mark.parametrize("tcp", [False, True])
async def test_a_voter_becomes_a_learner_and_a_voter_again(tmp_path: Path, tcp: bool) -> None:
    """A follower, then the leader, is demoted by any server's help, learns on, and gets its vote back; no write fails.

    The leader hands over, as when it is removed, and stays.
    """
    async with NodeCluster(tmp_path, tcp=tcp, **CALM) as cluster:
        writer = Writer(cluster)
        for demoted in (await cluster.follower(), await cluster.leader()):
            server_id = demoted.config.server_id
            await (await cluster.follower()).change_membership([Change(DEMOTE, server_id)])
            await eventually(lambda demoted=demoted: demoted.is_learner, "it has no vote")
            leader = await cluster.leader()
            assert leader is not demoted
            assert server_id not in leader.configuration.voters
            await writer.progress()
            await promoted(demoted, server_id)
            await eventually(lambda demoted=demoted: not demoted.is_learner, "it has its vote back")
            await writer.progress()
        await writer.verify()
        assert cluster.removed == []


async def test_a_follower_forgets_its_leader(tmp_path: Path) -> None:
    """It knows of none, as if it had heard none, until it hears it again; term and leader stay, and writes go on."""
    async with NodeCluster(tmp_path, election_timeout_ms=60_000, heartbeat_interval_ms=50) as cluster:
        leader, follower = await cluster.leader(), await cluster.follower()
        term = leader.term
        number = follower.config.server_id
        cluster.part({number}, set(cluster.nodes) - {number})  # or it might hear its leader again before anybody looks
        leader.forget_leader()

        def forgets() -> bool:
            follower.forget_leader()  # again, as what was on its way still arrives
            return follower.leader_id is None

        await eventually(forgets, "it knows of no leader")
        assert leader.is_leader
        cluster.heal()
        await follower.propose(b"after")
        assert follower.leader_id == leader.config.server_id
        assert leader.is_leader
        assert leader.term == term


async def test_who_ended_does_not_leave_or_hand_over(tmp_path: Path) -> None:
    """A node that has failed begins nothing more, whatever it is told or asked: nobody would wait for its end."""
    async with NodeCluster(tmp_path, **CALM) as cluster:
        node, successor = await cluster.leader(), await cluster.follower()
        waiting = asyncio.ensure_future(node.transfer_leadership(successor.config.server_id))
        await asyncio.sleep(0)
        node.fail(RuntimeError("by the test"))
        node._peers.note_removal("a member says so")
        assert "oarlock-removal" not in {task.get_name() for task in node._tasks}
        for transfer in (waiting, node.transfer_leadership(successor.config.server_id)):
            with pytest.raises(Stopped):
                await transfer
        await cluster.crash(node.config.server_id)


async def test_one_becomes_two(tmp_path: Path) -> None:
    """The second voter is certain before it runs, so that it can be started; with it, writes go on."""
    async with NodeCluster(tmp_path, 1, **CALM) as cluster:
        first = await cluster.leader()
        await first.propose(b"alone")
        configuration = await first.change_membership([cluster.change(ADD_VOTER, 2)], strict=True)
        assert configuration.voters == {1, 2} == first.configuration.voters
        waiting = first.propose(b"together")
        second = await cluster.start(2)
        assert await waiting == 2
        await cluster.all_applied()
        await second.change_membership([Change(REMOVE, 2)])
        assert await first.propose(b"alone again") == 3
        del cluster.nodes[2]
        await eventually(lambda: cluster.removed == [2], "it knows")
        await second.stop()


async def test_all_members_replaced_at_once(tmp_path: Path) -> None:
    """Three servers give way to three others by joint consensus, in one change, and nothing is lost."""
    async with NodeCluster(tmp_path, **CALM) as cluster:
        leader = await cluster.leader()
        writer = Writer(cluster)
        await writer.progress()
        changes = [cluster.change(ADD_VOTER, server_id) for server_id in (4, 5, 6)]
        changes += [Change(REMOVE, server_id) for server_id in (1, 2, 3)]
        changing = leader.change_membership(changes)
        for server_id in (4, 5, 6):
            await cluster.start(server_id)
        configuration = await changing
        assert configuration.voters == {4, 5, 6}
        assert not configuration.is_joint
        await eventually(lambda: set(cluster.removed) >= {1, 2, 3}, "the old ones know")
        writer._task.cancel()
        for server_id in (1, 2, 3):
            await cluster.stop(server_id)
        last = cluster.nodes[4].propose(b"the last")
        await last
        await cluster.all_applied()
        assert set(writer.acknowledged) <= set(cluster.machine(5).words)


async def test_a_leader_removes_itself(tmp_path: Path) -> None:
    """The leader that is removed hands over: another leads at once, without an election timeout (etcd issue 11038)."""
    async with NodeCluster(tmp_path, election_timeout_ms=10_000, heartbeat_interval_ms=50) as cluster:
        leader = await cluster.leader()
        server_id = leader.config.server_id
        await leader.propose(b"before")
        term = leader.term
        await leader.change_membership([Change(REMOVE, server_id)])
        del cluster.nodes[server_id]
        new = await cluster.leader()
        assert new.term == term + 1
        assert await new.propose(b"after") == 2
        await eventually(lambda: cluster.removed == [server_id], "it knows")
        await leader.stop()


async def test_a_removed_server_refuses_to_start(tmp_path: Path) -> None:
    """A server that knows of its removal does not start again from its old data."""
    async with NodeCluster(tmp_path, **CALM) as cluster:
        leader = await cluster.leader()
        victim = await cluster.follower()
        server_id = victim.config.server_id
        await leader.change_membership([Change(REMOVE, server_id)])
        await eventually(lambda: cluster.removed == [server_id], "it knows")
        await cluster.stop(server_id)
        with pytest.raises(ServerRemoved, match="was removed from cluster c1: remove"):
            await cluster.start(server_id)
        with pytest.raises(ChangeRefused) as refused:
            await leader.change_membership([cluster.change(ADD_VOTER, server_id)])
        assert refused.value.refusal is Refusal.ID_REMOVED


async def test_anothers_mark_of_removal_is_not_ones_own(tmp_path: Path) -> None:
    """A server that is given a removed one's data says whose they are, not that it was removed itself."""
    async with NodeCluster(tmp_path, **CALM) as cluster:
        leader = await cluster.leader()
        removed, other = (each for each in sorted(cluster.nodes) if each != leader.config.server_id)
        await leader.change_membership([Change(REMOVE, removed)])
        await eventually(lambda: cluster.removed == [removed], "it knows")
        await cluster.stop(removed)
        await cluster.stop(other)
        node = cluster.node(other)
        node.config = msgspec.structs.replace(node.config, data_dir=str(cluster.data_dir(removed)))
        with pytest.raises(WrongIdentity, match=f"belongs to server {removed:x}"):
            await node.start()


@pytest.mark.parametrize("tcp", [False, True])
async def test_a_server_removed_while_away_is_told(tmp_path: Path, tcp: bool) -> None:
    """A server that was away when it was removed learns of it from whomever it asks for votes, and disturbs nobody."""
    async with NodeCluster(tmp_path, tcp=tcp, **CALM) as cluster:
        leader = await cluster.leader()
        server_id = (await cluster.follower()).config.server_id
        await cluster.crash(server_id)
        await leader.change_membership([Change(REMOVE, server_id)], strict=True)
        await eventually(lambda: server_id not in leader.peer_traffic(), "it is served no longer")
        term = leader.term
        await cluster.start(server_id)
        await eventually(lambda: cluster.removed == [server_id], "it is told")
        assert leader.is_leader
        assert leader.term == term
        await cluster.stop(server_id)


async def test_a_removed_server_that_cannot_know_asks(tmp_path: Path) -> None:
    """A server whose log removes it, but that cannot tell whether this is committed, asks and is told."""
    async with NodeCluster(tmp_path, **CALM) as cluster:
        leader = await cluster.leader()
        victim = await cluster.follower()
        server_id = victim.config.server_id
        await leader.change_membership([Change(REMOVE, server_id)])
        await eventually(lambda: server_id not in victim.status().voters, "its log removes it")
        await cluster.crash(server_id)
        (cluster.data_dir(server_id) / "words").unlink(missing_ok=True)  # so it does not know how far it had applied
        await eventually(lambda: server_id not in leader.peer_traffic(), "it is served no longer")
        removed_before = list(cluster.removed)
        await cluster.start(server_id)
        await eventually(lambda: len(cluster.removed) > len(removed_before), "it is told")
        await cluster.stop(server_id)


async def test_a_joining_server_catches_up_by_snapshot(tmp_path: Path) -> None:
    """What a new member needs is long compacted: it gets a snapshot, with the members and where they are."""
    settings = {"snapshot_count": 20, "snapshot_tail": 5, "flush_interval_ms": 10}
    async with NodeCluster(tmp_path, tcp=True, **CALM, **settings) as cluster:
        leader = await cluster.leader()
        for number in range(100):
            await leader.propose(b"%d" % number)
        await eventually(lambda: leader.status().first_index > 20, "the log is compacted")
        joined = await cluster.add(4, ADD_LEARNER)
        await cluster.all_applied()
        assert joined.counters.snapshots_received == 1
        assert dict(joined.status().configuration.addresses) == dict(leader.status().configuration.addresses)
        await promoted(leader, 4)
        await cluster.stop(4)
        # From now on it knows the others by its log alone.
        joined = await cluster.start(4, members={4: cluster.members[4]})
        await leader.propose(b"more")
        await cluster.all_applied()
        assert set(joined.peer_traffic()) == {1, 2, 3}


@pytest.mark.parametrize("tcp", [False, True])
async def test_a_leader_that_a_member_does_not_know_yet(tmp_path: Path, tcp: bool) -> None:
    """A member whose log ends before the leader was added answers it all the same, as the leader says where it is."""
    async with NodeCluster(tmp_path, tcp=tcp, **CALM) as cluster:
        leader = await cluster.leader()
        away = (await cluster.follower()).config.server_id
        await cluster.stop(away)
        await cluster.add(4, ADD_LEARNER)
        await promoted(leader, 4)
        await leader.transfer_leadership(4)
        await cluster.start(away)
        await cluster.nodes[4].propose(b"found")
        await cluster.all_applied()
        assert cluster.nodes[4].is_leader
        assert 4 in cluster.nodes[away].status().voters


async def test_a_change_that_may_be_undone_keeps_its_links(tmp_path: Path) -> None:
    """A member restarts with a removal in its log that was never committed: it still answers whom that removes."""
    async with NodeCluster(tmp_path, **CALM) as cluster:
        leader = await cluster.leader()
        one, other = sorted(cluster.nodes.keys() - {leader.config.server_id})
        server_id = leader.config.server_id
        # One change at a time: the admission of a disk must be over, or the removal never gets into the log.
        await eventually(lambda: len(leader.configuration.disks) == len(cluster.nodes), "every disk is admitted")
        await leader.propose(b"first")
        cluster.part({server_id}, {one}, {other})
        with pytest.raises(ChangeTimeout):
            await leader.change_membership([Change(REMOVE, one)], timeout=0.5)
        await cluster.crash(server_id)
        await cluster.start(server_id)
        assert one not in cluster.nodes[server_id].status().voters
        cluster.part({one, other})
        elected = await cluster.leader({one, other})
        await elected.transfer_leadership(one)
        cluster.heal()
        await cluster.nodes[one].propose(b"undone")
        await cluster.all_applied()
        assert one in cluster.nodes[server_id].status().voters


async def test_a_member_moves(tmp_path: Path) -> None:
    """A member that is reached elsewhere is found there as soon as the cluster is told."""
    async with NodeCluster(tmp_path, tcp=True, **CALM) as cluster:
        leader = await cluster.leader()
        server_id = (await cluster.follower()).config.server_id
        await cluster.stop(server_id)
        del cluster.members[server_id]
        await leader.change_membership([cluster.change(UPDATE, server_id)])
        cluster.joined.clear()
        await cluster.start(server_id)
        await leader.propose(b"found")
        await cluster.all_applied()
        assert leader.transport.is_connected(server_id)


async def test_a_lost_change_is_asked_again(tmp_path: Path) -> None:
    """The leader dies with a change that was asked of a follower: the next one makes it, once."""
    async with NodeCluster(tmp_path, **CALM) as cluster:
        leader = await cluster.leader()
        asked = await cluster.follower()
        leader_id = leader.config.server_id
        cluster.part(set(cluster.nodes) - {leader_id}, {leader_id})
        changing = asked.change_membership([cluster.change(ADD_LEARNER, 4)], timeout=15)
        await cluster.crash(leader_id)
        configuration = await changing
        assert configuration.learners == {4}
        await cluster.start(4)
        cluster.heal()
        await cluster.start(leader_id)
        await cluster.all_applied()


async def test_changes_that_cannot_be_made_end(tmp_path: Path) -> None:
    """Without a leader a change is given up in time, and says whether it can still happen."""
    async with NodeCluster(tmp_path, **CALM) as cluster:
        leader = await cluster.leader()
        follower = await cluster.follower()
        cluster.part()
        with pytest.raises(ChangeTimeout):
            await leader.change_membership([Change(REMOVE, follower.config.server_id)], timeout=0.3)
        await eventually(lambda: follower.leader_id is None, "it notices")
        with pytest.raises(NoLeader):
            await follower.change_membership([Change(REMOVE, 1)], timeout=0.1)


async def test_strict_changes(tmp_path: Path) -> None:
    """With a member away no other is added or removed, as the cluster could lose its majority; the absent one may go."""
    async with NodeCluster(tmp_path, **CALM) as cluster:
        leader = await cluster.leader()
        away = await cluster.follower()
        await cluster.stop(away.config.server_id)
        other = next(server_id for server_id in cluster.nodes if server_id != leader.config.server_id)

        async def refused(change: Change) -> bool:
            try:
                await leader.change_membership([change], strict=True)
            except ChangeRefused as error:
                return error.refusal is Refusal.UNHEALTHY
            raise AssertionError("not refused")

        def silent() -> bool:
            state = leader._owner.raft.state
            heard = state.leader.peers[away.config.server_id].last_heard if state.leader is not None else 0.0
            return asyncio.get_running_loop().time() - heard > 1.0

        await eventually(silent, "the leader misses it")
        assert await refused(cluster.change(ADD_VOTER, 4))
        assert await refused(Change(REMOVE, other))
        assert await refused(Change(DEMOTE, other))
        await leader.change_membership([Change(REMOVE, away.config.server_id)], strict=True)


async def test_strict_changes_are_judged_together(tmp_path: Path) -> None:
    """Of seven with two away, three others may not go at once, though each might alone; with the two away, one may."""
    async with NodeCluster(tmp_path, 7, **CALM) as cluster:
        leader = await cluster.leader()
        others = [server_id for server_id in cluster.nodes if server_id != leader.config.server_id]
        for server_id in others[:2]:
            await cluster.stop(server_id)

        def active() -> int:
            state = leader._owner.raft.state
            now = asyncio.get_running_loop().time()
            return 1 + sum(
                progress.acknowledged_request_id > 0 and now - progress.last_heard < 1.0
                for progress in state.leader.peers.values()
            )

        await eventually(lambda: active() == 5, "the leader misses them, and hears the others")
        with pytest.raises(ChangeRefused, match="only 5 of 7 voters answer"):
            await leader.change_membership([Change(REMOVE, each) for each in others[2:5]], strict=True)
        await leader.change_membership([Change(REMOVE, each) for each in others[:3]], strict=True)


async def test_a_learner_that_lags_is_not_promoted(tmp_path: Path) -> None:
    """A learner that was never started has no log: it is refused a vote."""
    async with NodeCluster(tmp_path, **CALM) as cluster:
        leader = await cluster.leader()
        await leader.change_membership([cluster.change(ADD_LEARNER, 4)])
        with pytest.raises(ChangeRefused) as refused:
            await leader.change_membership([Change(PROMOTE, 4)])
        assert refused.value.refusal is Refusal.LEARNER_NOT_READY
        await leader.change_membership([Change(REMOVE, 4)], strict=True)


async def test_a_learner_that_is_gone_is_not_promoted(tmp_path: Path) -> None:
    """A learner that holds the whole log and no longer answers is refused a vote: of two voters it would be missed."""
    async with NodeCluster(tmp_path, size=1) as cluster:
        leader = await cluster.leader()
        await leader.propose(b"word")
        learner = await cluster.add(2, ADD_LEARNER)
        await eventually(lambda: len(cluster.machine(2).words) == 1, "the learner has caught up")
        await cluster.crash(learner.config.server_id)
        raft = leader._owner.raft
        silent_s = 2 * leader.config.election_timeout_ms / 1000
        loop = asyncio.get_running_loop()
        await eventually(lambda: loop.time() - raft.state.leader.peers[2].last_heard > silent_s, "it is missed")
        with pytest.raises(ChangeRefused, match="2 does not answer") as refused:
            await leader.change_membership([Change(PROMOTE, 2)])
        assert refused.value.refusal is Refusal.LEARNER_NOT_READY
        await leader.propose(b"another")


# -- leadership --------------------------------------------------------------------------------------------------


async def test_leadership_is_handed_over(tmp_path: Path) -> None:
    """The leader hands over to the voter named, and to nobody else; followers cannot."""
    async with NodeCluster(tmp_path, **CALM) as cluster:
        leader = await cluster.leader()
        follower = await cluster.follower()
        await leader.transfer_leadership(leader.config.server_id)
        with pytest.raises(NotLeader):
            await follower.transfer_leadership(follower.config.server_id)
        with pytest.raises(BadTransferee):
            await leader.transfer_leadership(77)
        await leader.change_membership([cluster.change(ADD_LEARNER, 4)])
        with pytest.raises(BadTransferee):
            await leader.transfer_leadership(4)
        await leader.transfer_leadership(follower.config.server_id)
        await eventually(lambda: follower.is_leader, "it leads")


async def test_a_hand_over_to_an_absent_server_ends(tmp_path: Path) -> None:
    """The successor is gone: the leader says so after an election timeout, and leads on."""
    async with NodeCluster(tmp_path, **CALM) as cluster:
        leader = await cluster.leader()
        follower = await cluster.follower()
        await cluster.crash(follower.config.server_id)
        with pytest.raises(TransferTimeout):
            await leader.transfer_leadership(follower.config.server_id)
        assert await leader.propose(b"on we go") == 1


async def test_lease_reads_are_off_unless_asked_for(tmp_path: Path) -> None:
    """Reads under a lease are the operator's choice; with them a leader answers, and its term's first read waits."""
    assert not NodeConfig(cluster_id=1, server_id=1, data_dir="x", members={1: (("a", 1),)}).raft().lease_reads
    async with NodeCluster(tmp_path, lease_reads=True, max_clock_drift=0.2) as cluster:
        leader = await cluster.leader()
        assert leader.config.raft().max_clock_drift == 0.2
        await leader.propose(b"one")
        state = leader._owner.raft.state
        loop = asyncio.get_running_loop()
        await eventually(lambda: state.leader and state.leader.lease_until > loop.time(), "it has a lease")
        await asyncio.gather(*(node.read_barrier() for node in cluster.nodes.values()))
