"""The replicated state machine: one reader of the apply channel, and clients that wait for their own entry in it.

A waiter is known by the id inside its command, never by its index alone (G26): another leader's entry at that index
ends the wait without success. So does the loss of leadership, which shows in the term; what was begun may still be
carried out then, and the error says that the outcome is not known (G28).
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from oarlock.lab.interface import ApplyMsg, ClientEnd, Make, Persister, Runtime
from oarlock.lab.services.interface import Error, Machine

LOOK_S: Final = 0.05
"""How often a waiter looks whether this server still leads in its term."""
IDLE_S: Final = 1.0
"""How long the reader waits before it looks whether it is told to stop."""
_ENCODER: Final = msgspec.msgpack.Encoder()


class Command(msgspec.Struct, frozen=True, array_like=True):
    """What is agreed on."""

    server: int
    life: int
    """Drawn anew when a server starts, so that ids of two lives differ."""
    sequence: int
    request: bytes


_DECODER: Final = msgspec.msgpack.Decoder(Command)


class _Waiter:
    """Somebody waits for a command."""

    __slots__ = ("answer", "done", "sequence")

    def __init__(self, sequence: int, done: Any) -> None:  # noqa: ANN401 - an event
        self.sequence = sequence
        self.done = done
        self.answer: tuple[Error, bytes] = (Error.UNKNOWN, b"")

    def settle(self, error: Error, reply: bytes = b"") -> None:
        self.answer = (error, reply)
        self.done.set()


class Rsm:
    """A machine behind a Raft, as `interface.ReplicatedMachine` has it.

    Args:
        runtime: Where threads and time come from.
        make: The Raft.
        peers: As for `make`.
        me: As for `make`.
        persister: As for `make`; its snapshot is the machine's.
        max_raft_state: Bytes of persisted Raft state above which the log is compacted; -1 for never.
        machine: Restored from the snapshot, if there is one.
    """

    def __init__(
        self,
        runtime: Runtime,
        make: Make,
        peers: Sequence[ClientEnd],
        me: int,
        persister: Persister,
        max_raft_state: int,
        machine: Machine,
    ) -> None:
        self._runtime = runtime
        self._me = me
        self._life: int = runtime.random.getrandbits(62)
        self._max_raft_state = max_raft_state
        self._machine = machine
        self._lock = runtime.threading.Lock()
        self._pending: dict[int, _Waiter] = {}
        """By index."""
        self._sequence = 0
        self._dead = False
        self._channel = runtime.queue.Queue(1)
        snapshot = persister.read_snapshot()
        if snapshot:
            machine.restore(snapshot)
        self.raft = make(peers, me, persister, self._channel)
        runtime.threading.Thread(target=self._read, name=f"reader-{me}", daemon=True).start()

    def submit(self, request: bytes) -> tuple[Error, bytes]:
        """See `interface.ReplicatedMachine.submit`."""
        with self._lock:  # the reader must not see the entry before its waiter is known
            if self._dead:
                return Error.WRONG_LEADER, b""
            self._sequence += 1
            waiter = _Waiter(self._sequence, self._runtime.threading.Event())
            command = _ENCODER.encode(Command(self._me, self._life, waiter.sequence, request))
            index, term, is_leader = self.raft.start(command)
            if not is_leader:
                return Error.WRONG_LEADER, b""
            overtaken = self._pending.pop(index, None)
            self._pending[index] = waiter
        if overtaken is not None:
            overtaken.settle(Error.UNKNOWN)
        while not waiter.done.wait(LOOK_S):
            if self.raft.get_state() != (term, True):
                self._give_up(index, waiter)
        return waiter.answer

    def kill(self) -> None:
        """Answer all who wait, and carry out nothing more; whoever started the Raft stops it."""
        with self._lock:
            self._dead = True
            waiters, self._pending = list(self._pending.values()), {}
        for waiter in waiters:
            waiter.settle(Error.UNKNOWN)

    def _give_up(self, index: int, waiter: _Waiter) -> None:
        with self._lock:
            if self._pending.get(index) is waiter:
                del self._pending[index]
                waiter.settle(Error.UNKNOWN)

    # -- the reader ----------------------------------------------------------------------------------------------

    def _read(self) -> None:
        """Take what comes out of the channel until nothing more will: a Raft must never wait for a dead service."""
        while True:
            try:
                message: ApplyMsg | None = self._channel.get(timeout=IDLE_S)
            except self._runtime.queue.Empty:
                if self._dead:
                    return
                continue
            if message is None:
                self.kill()
                return
            compacted = self._take(message)
            if compacted is not None:
                self.raft.snapshot(message.command_index, compacted)

    def _take(self, message: ApplyMsg) -> bytes | None:
        """Carry a message out; gives the machine's snapshot if the log is to be compacted there."""
        with self._lock:
            if self._dead:
                return None
            if message.snapshot_valid:
                self._machine.restore(message.snapshot)
                for index in [at for at in self._pending if at <= message.snapshot_index]:
                    self._pending.pop(index).settle(Error.UNKNOWN)
            elif message.command_valid:
                self._carry_out(message)
                if 0 <= self._max_raft_state <= self.raft.persist_bytes():
                    return self._machine.snapshot()
        return None

    def _carry_out(self, message: ApplyMsg) -> None:
        command = _DECODER.decode(message.command)
        reply = self._machine.do_op(command.request)
        waiter = self._pending.pop(message.command_index, None)
        if waiter is not None:
            is_its_own = (command.server, command.life, command.sequence) == (self._me, self._life, waiter.sequence)
            waiter.settle(*((Error.OK, reply) if is_its_own else (Error.UNKNOWN, b"")))
