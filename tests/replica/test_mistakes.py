"""What is easily got wrong is refused at once, and the error says what and where."""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
from tests.support.ports import free_ports
from tests.support.replicated import Journal, Register

import oarlock
from oarlock.replica import joining
from oarlock.replica.object import BoundCommand
from oarlock.replica.objects.counter import ReplicatedCounter
from oarlock.testing.clusters import SETTINGS

_PATIENT: Final = msgspec.structs.replace(SETTINGS, command_timeout_ms=30_000, read_timeout_ms=30_000)


def _address() -> str:
    return f"127.0.0.1:{free_ports(1)[0]}"


def _make(directory: Path, **arguments: Any) -> oarlock.Node:
    address = _address()
    given: dict[str, Any] = {"peers": [address], "objects": [Register()], "settings": _PATIENT, **arguments}
    return oarlock.Node(address, data_dir=directory, **given)


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"objects": Register()}, TypeError, r"objects must be a list: \[<Register 'register'>\]"),
        ({"objects": [Register]}, TypeError, r"not <class .*Register'>; make one: Register\(...\)"),
        ({"objects": [{"a": 1}]}, TypeError, "objects must hold ReplicatedObjects, not {'a': 1}"),
        ({"objects": [], "machine": Journal}, TypeError, r"machine must be a StateMachine.*make one: Journal\(...\)"),
        ({"objects": [Register("b"), Register("a"), Register("b")]}, ValueError, "two objects have one name: b$"),
        ({"peers": "127.0.0.1:7000"}, TypeError, "peers must be a list of addresses, not '127.0.0.1:7000'"),
    ],
)
def test_what_a_node_cannot_use_is_named(
    tmp_path: Path, arguments: dict[str, Any], error: type[Exception], text: str
) -> None:
    """A list that is none, a class in place of an object, a name given twice: each is named where the node is made."""
    with pytest.raises(error, match=text):
        _make(tmp_path, **arguments)


def test_a_name_must_be_text() -> None:
    """An object's name of another type is shown."""
    with pytest.raises(TypeError, match="an object's name must be text, not 3"):
        ReplicatedCounter(3)  # type: ignore[arg-type]


def test_a_command_cannot_take_the_name_of_what_all_objects_have() -> None:
    """A command called `read` would hide how objects are read: the class is refused, naming the method."""
    with pytest.raises(TypeError, match=r"Book\.read cannot be @replicated"):

        class Book(oarlock.ReplicatedObject):
            @oarlock.replicated
            def read(self) -> None:
                """Hides."""


def test_only_methods_of_replicated_objects_are_commands() -> None:
    """@replicated on a property is refused where it stands, and in any other class at the call, naming the class."""
    with pytest.raises(TypeError, match=r"@replicated is for plain methods.*property"):
        oarlock.replicated(property(lambda _: 1))  # type: ignore[call-overload]

    class Plain:
        @oarlock.replicated  # type: ignore[type-var]
        def act(self) -> None:
            """Nowhere."""

    with pytest.raises(TypeError, match="Plain must derive from ReplicatedObject"):
        BoundCommand(Plain(), vars(Plain)["act"])()  # type: ignore[arg-type]


async def test_nothing_is_done_before_the_start(tmp_path: Path) -> None:
    """A command or question before the start names the node and what to do, and is known not to have happened."""
    node = _make(tmp_path, objects=[register := Register()])
    for ask in (lambda: register.add(1), node.status, node.metrics):
        with pytest.raises(oarlock.NotStarted, match=rf"node {node.address} has not been started") as refused:
            ask()
        assert not refused.value.outcome_unknown
    assert repr(node) == f"<Node {node.address}: not started>"


async def test_calls_from_other_threads_and_loops_are_refused(tmp_path: Path) -> None:
    """Nothing that is called beside the node's own loop hangs or harms: it is told of the blocking twin, and all goes on."""
    register = Register()
    async with _make(tmp_path, objects=[register]) as node:
        await register.add(1)

        async def on_another_loop() -> None:
            await register.add(1)

        calls: list[Callable[[], Any]] = [
            lambda: register.add(1),
            lambda: asyncio.run(on_another_loop()),
            lambda: asyncio.run(register.read("get")),
            lambda: asyncio.run(node.ready()),
            lambda: asyncio.run(node.open_session()),
        ]
        for call in calls:
            with pytest.raises(RuntimeError, match=rf"not the event loop of node {node.address}.*oarlock\.blocking"):
                await asyncio.to_thread(call)
        assert await register.add(1) == 2


async def test_a_read_cannot_be_a_command_in_disguise(tmp_path: Path) -> None:
    """A function that gives something to await, or a name that is no method, is refused by name."""
    register = Register()
    async with _make(tmp_path, objects=[register]) as node:
        await node.ready()
        with pytest.raises(TypeError, match="a read must not wait nor change anything"):
            await register.read(lambda: register.add(1))
        with pytest.raises(TypeError, match="a read must not wait nor change anything"):
            await register.read(lambda: asyncio.sleep(0))
        with pytest.raises(TypeError, match="'value' of register is no method"):
            await register.read("value")


async def test_who_is_not_there_is_named(tmp_path: Path) -> None:
    """A member that there is not is named, beside those that there are."""
    async with _make(tmp_path) as node:
        await node.ready()
        for ask in (node.remove, node.demote, node.promote):
            with pytest.raises(
                oarlock.ChangeRefused, match=rf"no server at 127.0.0.1:9; the members are {node.address}"
            ):
                await ask("127.0.0.1:9")
        with pytest.raises(oarlock.BadTransferee, match=rf"no server at 127.0.0.1:9; the members are {node.address}"):
            await node.transfer_leadership("127.0.0.1:9")


async def test_a_node_that_is_not_ready_says_whom_it_lacks(tmp_path: Path) -> None:
    """Alone of three servers, a node says within the time given that there is no leader, and who is not reached."""
    peers = sorted(f"127.0.0.1:{port}" for port in free_ports(3))
    objects = [Register()]
    async with oarlock.Node(peers[0], data_dir=tmp_path, peers=peers, objects=objects, settings=SETTINGS) as node:
        text = rf"node {peers[0]} is not ready: no leader is known; not reached: {peers[1]}, {peers[2]}"
        with pytest.raises(oarlock.Timeout, match=text):
            await node.ready(0.5)


async def test_joining_nobody_is_reported_and_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A server that asks where nobody is says so in the log while it goes on asking, and then gives up by name."""
    monkeypatch.setattr(joining, "_JOIN_FOR_S", 0.7)
    contact = _address()
    node = _make(tmp_path, peers=None, join=contact, token="of some length")
    with caplog.at_level(logging.WARNING), pytest.raises(oarlock.JoinRefused, match=f"{contact} does not take"):
        await node.start()
    said = [record.getMessage() for record in caplog.records if record.name == joining.logger.name]
    assert len(said) == 1
    assert said[0].startswith(f"server {node.address} asks {contact} to take it in")


async def test_the_directory_of_another_server_is_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A node that is started in another one's directory, whose address is not its own, says so."""
    async with _make(tmp_path) as first:
        await first.ready()
    second = _make(tmp_path)
    with caplog.at_level(logging.WARNING):
        async with second:
            pass
    assert f"of the server at {first.address}: as {second.address} its cluster does not reach it" in caplog.text


async def test_a_host_that_nobody_knows_is_named(tmp_path: Path) -> None:
    """Where a node cannot listen is part of the error."""
    node = _make(tmp_path, listen="no-such-host.invalid:7000")
    with pytest.raises(OSError, match=r"cannot listen at 'no-such-host\.invalid'"):
        await node.start()
