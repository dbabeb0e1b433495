"""What became of a change of members, where it was asked for."""

import asyncio
import random

import pytest

from oarlock.node.changes import Changes
from oarlock.node.codec import ChangeMembers, ChangeMembersReply, ChangeOutcome
from oarlock.node.config import NodeConfig
from oarlock.node.members import Change, ChangeKind
from oarlock.raft.config import RaftConfig
from oarlock.raft.log import Log
from oarlock.raft.raft import Raft
from oarlock.raft.roles import become_follower
from oarlock.raft.types import Configuration, HardState, SnapshotMetadata


def behind_a_snapshot(configuration: Configuration) -> Raft:
    """Server 2, which follows server 1 in term 6, and knows all up to index 9 by a snapshot alone."""
    raft = Raft(
        RaftConfig(server_id=2),
        rng=random.Random(1),
        now=0.0,
        hard_state=HardState(6),
        log=Log(SnapshotMetadata(9, 6, configuration)),
        applied_index=9,
    )
    become_follower(raft.state, 6, 1)
    return raft


@pytest.mark.parametrize("is_made", [True, False])
async def test_what_a_snapshot_covers_counts_by_what_it_made(is_made: bool) -> None:
    """A change that an earlier leader accepted, at an index that a snapshot covers, is made if the members are as asked.

    If they are not, it was lost with that leader, and another entry stood there: the next leader is asked for it.
    """
    voters = frozenset({1, 2, 3})
    changes = Changes(
        asyncio.get_running_loop(),
        NodeConfig(cluster_id=1, server_id=2, data_dir="unused", members={2: (("127.0.0.1", 1),)}),
        1,
        lambda: None,
    )
    before = behind_a_snapshot(Configuration(voters, addresses=()))
    future = changes.change([Change(ChangeKind.ADD_LEARNER, 4, ("a:4",))], 60.0, strict=False)
    asked: list[ChangeMembers] = []

    def send(_to: int, message: ChangeMembers | ChangeMembersReply) -> bool:
        assert isinstance(message, ChangeMembers)
        asked.append(message)
        return True

    changes.turn(before, send)
    changes.on_reply(ChangeMembersReply(1, asked[0].request_id, ChangeOutcome.ACCEPTED, index=5, term=5))
    made = Configuration(voters, learners=frozenset({4}), addresses=((4, ("a:4",)),))
    after = behind_a_snapshot(made if is_made else before.state.configuration)
    async with asyncio.timeout(30):
        while len(asked) == 1 and not future.done():  # it asks again after a while
            changes.turn(after, send)
            await asyncio.sleep(0.005)
    if is_made:
        assert future.result() == made
        assert len(asked) == 1
    else:
        assert not future.done()
        assert [request.retried for request in asked] == [False, True]
    future.cancel()
    changes.turn(after, send)
