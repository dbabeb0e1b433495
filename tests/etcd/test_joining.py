"""A server that joins asks who it is, and whom it believes."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import msgspec
import pytest

from oarlock.etcd.joining import Asked, DescribedMember, Description, JoinError, find_member
from oarlock.transport.tcp import TcpTransport

OWN_URL = "http://127.0.0.1:2380"


def _knows(commit_index: int, *ids: str, has_started: bool = False) -> Description:
    """What a member tells: the first of the ids has the joiner's URL."""
    members = (DescribedMember(ids[0], (OWN_URL,), is_learner=False, has_started=has_started),) if ids else ()
    return Description("c", members, commit_index)


@asynccontextmanager
async def _members(*descriptions: Description) -> AsyncIterator[list[Asked]]:
    """Servers that answer so, in the order in which they are asked."""
    loop = asyncio.get_running_loop()
    transports, asked = [], []
    for number, description in enumerate(descriptions, 1):
        transport = TcpTransport(loop, 0xC, number, random.Random(1), None, lambda _s, _p: None, lambda _s: None)
        transport.describe_by(partial(msgspec.json.encode, description))
        await transport.start([("127.0.0.1", 0)])
        transports.append(transport)
        asked.append(Asked(f"member {number}", transport.listening[0]))
    yield asked
    for transport in transports:
        await transport.close()


@pytest.mark.parametrize("is_first", [True, False])
async def test_who_knows_best_is_believed(*, is_first: bool) -> None:
    """A removed member that was never told may still name the joiner's predecessor; those who have more committed count."""
    answers = [_knows(0, "3"), _knows(17, "a")]
    async with _members(*(answers if is_first else reversed(answers))) as asked:
        _, own = await find_member({OWN_URL}, asked)
    assert own.id == "a"


async def test_data_lost_by_a_predecessor_are_no_matter() -> None:
    """That an outdated member says the joiner has run before refuses nobody."""
    async with _members(_knows(3, "3", has_started=True), _knows(17, "a")) as asked:
        _, own = await find_member({OWN_URL}, asked)
    assert own.id == "a"


async def test_members_of_an_earlier_version_do_not_tell() -> None:
    """Where nobody says how far it knows, the first that knows the joiner is believed."""
    async with _members(_knows(0), _knows(0, "3")) as asked:
        _, own = await find_member({OWN_URL}, asked)
    assert own.id == "3"


async def test_unknown_to_those_who_know_best(monkeypatch: pytest.MonkeyPatch) -> None:
    """Known to an outdated member alone is not known: the error says to add it first."""
    monkeypatch.setattr("oarlock.etcd.joining._JOIN_FOR_S", 0.0)
    async with _members(_knows(3, "3"), _knows(17)) as asked:
        with pytest.raises(JoinError, match="add it first"):
            await find_member({OWN_URL}, asked)
