"""Servers come and go: by one address and a token, with leadership handed over, for good."""

from pathlib import Path

import pytest
from tests.support.replicated import Register

import oarlock
from oarlock.testing.clusters import cluster, eventually


async def test_a_server_joins_by_one_address_and_a_token(tmp_path: Path) -> None:
    """It is asked into the cluster as a learner, catches up, gets its vote, and comes back after a restart."""
    async with cluster(1, objects=lambda: [Register()], directory=tmp_path) as servers:
        await servers.objects(0)[0].add(5)
        node = await servers.add()
        [joined] = servers.objects(1)
        assert await joined.read("get") == 5
        await eventually(lambda: node.server_id in node.status().voters, "it has a vote")
        assert sorted(servers.nodes[0].members.values()) == sorted([servers.address(0), servers.address(1)])
        assert await joined.add(1) == 6
        await servers.add()
        await eventually(lambda: len(node.status().voters) == 3, "the third has a vote")
        node = await servers.restart(1)
        await node.ready()
        assert await servers.objects(1)[0].add(1) == 7


async def test_a_wrong_token_is_refused(tmp_path: Path) -> None:
    """Whoever does not know the token, or means another cluster, is not let in; nor is anybody where there is none."""
    async with cluster(1, objects=lambda: [Register()], directory=tmp_path) as servers:
        await servers.nodes[0].ready()
        with pytest.raises(oarlock.JoinRefused, match="wrong token"):
            await servers.add(token="guess")
        with pytest.raises(oarlock.JoinRefused, match="wrong token, or another cluster"):
            await servers.add(name="other")
        await servers.restart(0, token=None)
        await servers.nodes[0].ready()
        with pytest.raises(oarlock.JoinRefused, match="takes nobody in"):
            await servers.add()
        assert len(servers.nodes[0].members) == 1


async def test_one_who_does_not_know_the_token_cannot_pose_as_the_cluster(tmp_path: Path) -> None:
    """The server that joins checks the answer as well: a cluster with another token is not joined."""
    async with cluster(1, objects=lambda: [Register()], directory=tmp_path) as servers:
        await servers.nodes[0].ready()
        doorkeeper = "oarlock.replica.joining.hmac.compare_digest"
        with pytest.MonkeyPatch.context() as patch:
            answers = iter([True, False])  # the member lets it in whatever it knows; the one that joins looks
            patch.setattr(doorkeeper, lambda _mine, _theirs: next(answers))
            with pytest.raises(oarlock.JoinRefused, match="does not know its token"):
                await servers.add(token="another")


async def test_a_leader_that_leaves_hands_over_first(tmp_path: Path) -> None:
    """After it has left the others go on with a leader, without it, and it never starts from its directory again."""
    async with cluster(3, objects=lambda: [Register()], directory=tmp_path) as servers:
        leader = await servers.leader()
        await servers.objects(leader)[0].add(1)
        node = servers.nodes.pop(leader)
        await node.leave()
        with pytest.raises(oarlock.Stopped):
            await node.objects[0].add(1)
        other = await servers.leader()
        assert await servers.objects(other)[0].add(1) == 2
        assert servers.address(leader) not in servers.nodes[other].members.values()


async def test_a_removed_server_ends_and_says_why(tmp_path: Path) -> None:
    """`on_end` is told, and what is asked of it afterwards is refused."""
    ends: list[BaseException] = []
    async with cluster(3, objects=lambda: [Register()], directory=tmp_path) as servers:
        follower = await servers.follower()
        await servers.restart(follower, on_end=ends.append)
        leader = await servers.leader()
        await servers.nodes[leader].remove(servers.address(follower))
        await eventually(lambda: ends, "it has learnt of it")
        assert "removed from the cluster" in str(ends[0])
        with pytest.raises(oarlock.Stopped):
            await servers.objects(follower)[0].add(1)
        with pytest.raises(oarlock.OarlockError, match=r"there is no server at 127\.0\.0\.1:1; the members are"):
            await servers.nodes[leader].remove("127.0.0.1:1")


async def test_leadership_moves_on_request() -> None:
    """The leader hands over to the server named; others say who leads."""
    async with cluster(3, objects=lambda: [Register()]) as servers:
        leader = await servers.leader()
        follower = await servers.follower()
        for _ in range(20):  # on a busy machine an election timeout may be too short to take over
            try:
                await servers.nodes[leader].transfer_leadership(servers.address(follower))
            except oarlock.Timeout:
                continue
            break
        assert await servers.leader() == follower
        with pytest.raises(oarlock.NotLeader, match="does not lead") as caught:
            await servers.nodes[leader].transfer_leadership()
        assert caught.value.leader == servers.address(follower)


def test_a_node_says_what_is_wrong_with_its_arguments() -> None:
    """Each is refused by name."""
    register = Register()
    for arguments, text in (
        ({}, "either peers"),
        ({"join": "h:1"}, "token"),
        ({"peers": ["h:1", "h:1"]}, "twice"),
        ({"peers": ["nonsense"]}, "host:port"),
    ):
        with pytest.raises(ValueError, match=text):
            oarlock.Node("127.0.0.1:7000", data_dir="x", objects=[register], **arguments)
    with pytest.raises(ValueError, match="objects or a machine"):
        oarlock.Node("127.0.0.1:7000", data_dir="x", peers=[])
