"""Batches of commands that a follower forwards."""

from pathlib import Path

from tests.support.node_cluster import NodeCluster, eventually

from oarlock.machine.exactly_once import seal
from oarlock.node.codec import BadMessage, Forward, ForwardReply, decode, encode


async def test_a_copy_is_neither_proposed_nor_answered(tmp_path: Path) -> None:
    """A batch that comes twice is proposed and answered once, and one that was overtaken not at all.

    Else the first could be accepted and the copy refused for want of room, and its callers would be told that nothing
    was proposed.
    """
    async with NodeCluster(tmp_path) as cluster:
        leader = await cluster.leader()
        follower = await cluster.follower()
        source, boot = follower.config.server_id, 7 << 31
        answered = []
        send = leader.transport.send

        def listening(to: int, payload: bytes) -> bool:
            try:
                message = decode(payload, leader.config.server_id)
            except BadMessage:
                message = None
            if isinstance(message, ForwardReply):
                answered.append(message.request_id)
            return send(to, payload)

        leader.transport.send = listening

        def forward(request_id: int, sequence: int) -> None:
            command = seal(source, 1, sequence, 1, b"command")
            leader._owner.receive(source, encode(Forward(source, request_id, [command])))

        forward(boot + 2, 1)
        forward(boot + 2, 1)
        forward(boot + 1, 2)
        forward(boot + 3, 3)
        forward(6 << 31, 4)  # of a boot that counts lower: not a copy
        await eventually(lambda: len(answered) >= 3, "three answers")
        await leader.read_barrier()
        assert answered == [boot + 2, boot + 3, 6 << 31]
        log = leader._owner.raft.state.log
        entries = log.slice(log.base_index + 1, log.last_index)
        assert sum(entry.data.endswith(b"command") for entry in entries) == 3
