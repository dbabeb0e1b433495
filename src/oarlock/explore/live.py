"""Cores that live on from step to step, and are recorded: for a way that was found, gone once more."""

from typing import IO

from oarlock.explore.bounds import Bounds
from oarlock.explore.disk import Disk
from oarlock.explore.events import Crash, Deliver, Event, Fatal
from oarlock.explore.frozen import NoChance, set_clock_back
from oarlock.explore.server import Died, Send, ServerState, Stepper, Turn
from oarlock.explore.violation import Broken
from oarlock.raft.messages import RaftMessage
from oarlock.raft.raft import Raft
from oarlock.raft.types import ServerId
from oarlock.trace.attach import attach
from oarlock.trace.lane import World
from oarlock.trace.recorder import Recorder
from oarlock.trace.schema import VERSION, Header, server_name
from oarlock.trace.stamps import MessageTable
from oarlock.trace.writer import stream_sink

_STEP_SECONDS = 0.01
"""Between two steps of a way, in its trace; how long they really take is left open."""
_IDS_OF_A_LIFE = 1 << 20
"""Requests of different lives have different ids."""


class _Life(NoChance):
    """Chance that only tells lives apart."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self._number = number

    def getrandbits(self, k: int, /) -> int:
        """Where a life's ids begin."""
        del k
        return self._number * _IDS_OF_A_LIFE


class LiveServer:
    """A server while its way is gone.

    Args:
        server_id: Which.
        disk: Its disk.
    """

    def __init__(self, server_id: ServerId, disk: Disk) -> None:
        self.beside = ServerState(server_id, (), disk)
        """What there is of it beside its core."""
        self.lives = 0
        self.raft: Raft | None = None
        self.recorder: Recorder | None = None


class LiveCluster:
    """Servers that take the steps of a way, recorded as `raft-trace/1`.

    Args:
        bounds: Of the exploration.
        stepper: That it was made with.
        out: Takes the trace.
    """

    def __init__(self, bounds: Bounds, stepper: Stepper, out: IO[bytes]) -> None:
        features = [name for name in ("check_quorum", "pre_vote") if getattr(bounds, name)]
        nodes = {server_name(each): f"server {each}" for each in bounds.ids}
        header = Header(v=VERSION, run="explore", kind="sim", nodes=nodes, features=tuple(features))
        self._bounds = bounds
        self._stepper = stepper
        self._sink = stream_sink(out, header)
        self._table = MessageTable()
        self._arrived: set[str] = set()
        """The ids of messages that came."""
        self._now = 0.0
        self._world = World(self._sink, self._clock)
        self._servers = {each: LiveServer(each, stepper.first(each).disk) for each in bounds.ids}
        for server in self._servers.values():
            self._begin(server)

    def take(self, server_id: ServerId, event: Event | Fatal) -> list[Send]:
        """Have a server take an event.

        Returns:
            What it sends, also what must wait for its disk.

        Raises:
            Broken: The step breaks a property.
        """
        self._now += _STEP_SECONDS
        server = self._servers[server_id]
        assert server.raft is not None  # noqa: S101 - it began when the cluster did
        if isinstance(event, Crash):
            self._end(server, server.beside.disk)
            return []
        inner, dies_at = event if isinstance(event, Fatal) else (event, None)
        if isinstance(inner, Deliver):
            self._arrives(server_id, inner.message)
        turn = self._stepper.turn(server.beside, server.raft, dies_at)
        try:
            turn.take(inner)
        except Died:
            self._leave(server_id, turn)
            self._end(server, turn.disk)
            return turn.sends
        except Exception as error:
            self._leave(server_id, turn)
            if isinstance(error, Broken):
                raise
            raise Broken("no call raises", f"server {server_id}: {type(error).__name__}: {error}") from error
        self._leave(server_id, turn)
        server.beside = ServerState(server_id, (), turn.disk, tuple(turn.writing))
        set_clock_back(server.raft, self._bounds)
        return turn.sends

    def leaves(self, source: ServerId, to: ServerId, message: RaftMessage) -> None:
        """A message leaves that has waited for its sender's disk."""
        recorder = self._servers[source].recorder
        assert recorder is not None  # noqa: S101
        recorder.sent(to, message)

    def violated(self, broken: Broken) -> None:
        """The last step broke a property."""
        servers = [self._servers[broken.server_id]] if broken.server_id is not None else self._servers.values()
        witnesses = [server.recorder.last_id for server in servers if server.recorder is not None]
        self._world.violated(broken.name, broken.sentence, witnesses)

    def _arrives(self, to: ServerId, message: RaftMessage) -> None:
        stamp = self._table.find(to, message)
        if stamp is None:
            return
        message_id = stamp.message_id(message.source)
        if message_id in self._arrived:
            self._world.doubled(message_id, source=message.source, to=to, seen=stamp.lc)
        self._arrived.add(message_id)

    def _leave(self, source: ServerId, turn: Turn) -> None:
        for to, message, held in turn.sends:
            if not held:
                self.leaves(source, to, message)

    def _end(self, server: LiveServer, disk: Disk) -> None:
        """A process dies, and starts again."""
        assert server.recorder is not None  # noqa: S101
        server.recorder.crashed(why="crash")
        server.beside = ServerState(server.beside.id, (), disk)
        self._begin(server)

    def _begin(self, server: LiveServer) -> None:
        server.lives += 1
        recorder = Recorder(
            server.beside.id,
            server.lives,
            self._sink,
            self._clock,
            core_offset_us=0,
            table=self._table,
            repeat_fields=False,
            predecessor=server.recorder,
        )
        life = _Life(server.lives)
        server.raft = self._stepper.begin(server.beside.id, server.beside.disk, recorder.rule_acted, life)
        server.recorder = recorder
        attach(recorder, server.raft)
        self._stepper.turn(server.beside, server.raft).run()
        set_clock_back(server.raft, self._bounds)

    def _clock(self) -> float:
        return self._now
