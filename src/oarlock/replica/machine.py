"""The replicated machine of a library node: objects' commands, and what goes with them, applied in the log's order."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, BinaryIO, Final, Protocol

import msgspec

from oarlock.machine.exactly_once import ExactlyOnce
from oarlock.machine.interface import Job, SnapshotView
from oarlock.raft.types import Index, ServerId
from oarlock.replica import codec
from oarlock.replica.agreement import Agreement, Vote
from oarlock.replica.codec import Value
from oarlock.replica.commands import Kind
from oarlock.replica.context import Context
from oarlock.replica.errors import NotEncodable
from oarlock.replica.failures import Failure, Outcomes, failure_of, from_data, to_data
from oarlock.replica.image import MemoryView, Restoring
from oarlock.replica.sessions import Sessions
from oarlock.replica.versions import Versions

logger = logging.getLogger(__name__)


_IN_BATCHES: Final = {int(Kind.CALL), int(Kind.IN_SESSION)}


class Hosted(Protocol):
    """Something that has commands and a state: an object, or a whole state machine."""

    @property
    def name(self) -> str:
        """By which it is known on all servers."""

    @property
    def known_version(self) -> int:
        """The highest version of its commands that this program knows."""

    def runner(self, method: str, version: int) -> Callable[..., Any] | None:
        """What carries out a method in a version; None if there is no such method."""

    def snapshot(self) -> object:
        """The state as plain data."""

    def restore(self, image: Value) -> None:
        """Replace the state."""


class Events(Protocol):
    """Whoever runs the machine is told what it cannot do itself."""

    def vote_due(self, index: Index, vote: Vote) -> None:
        """This server's vote is to be put into the log."""

    def voted(self, index: Index) -> None:
        """There is one vote more on an index."""

    def versions_changed(self) -> None:
        """Something was announced, or put in force."""

    def applied_slowly(self, what: str, seconds: float) -> None:
        """A command took long."""


class CannotFollow(Exception):
    """The log holds what this program does not know: a later version has been in force."""


class ReplicaMachine:
    """See `oarlock.machine.interface.StateMachine`; the state is in memory.

    Args:
        server_id: This server: results are handed out for its own proposals.
        hosted: All objects.
        clock: Tells how long commands take, in seconds.
        slow_s: Which is long.
        vote_every: After how many commands servers compare their states; 0 for never.
        events: Whom to tell.
    """

    def __init__(
        self,
        server_id: ServerId,
        hosted: Sequence[Hosted],
        clock: Callable[[], float],
        slow_s: float,
        vote_every: int,
        events: Events,
    ) -> None:
        self.hosted: Final = {one.name: one for one in hosted}
        self.context: Context | None = None
        self.sessions = Sessions()
        self.versions = Versions()
        self.agreement = Agreement(vote_every)
        self.now_ms = 0
        """Machine time."""
        self._advanced_at = clock()
        """When it last went on, by this server's clock."""
        self._server_id = server_id
        self._clock = clock
        self._slow_s = slow_s
        self._events = events
        self._once = ExactlyOnce(server_id)
        self._index: Index = 0
        self._position = 0
        """In its entry, of the command that is being applied."""
        self._began = 0.0
        """The command that is being applied."""
        self._vote_is_due = False
        self._runners: dict[tuple[str, str, int], Callable[..., Any]] = {}
        self._execute: Final[dict[int, Callable[..., Any]]] = {
            Kind.CALL: self._call,
            Kind.IN_SESSION: self._in_session,
            Kind.OPEN_SESSION: self._open_session,
            Kind.CLOSE_SESSION: self._close_session,
            Kind.ANNOUNCE: self._announce,
            Kind.PUT_IN_FORCE: self._put_in_force,
            Kind.VOTE: self._vote,
            Kind.BATCH: self._batch,
        }

    @property
    def known_versions(self) -> dict[str, int]:
        """What this program knows."""
        return {name: one.known_version for name, one in self.hosted.items()}

    # -- applying ------------------------------------------------------------------------------------------------

    def apply(self, index: Index, command: bytes) -> object:
        """See `StateMachine.apply`.

        Returns:
            What the command returned, or a `Failure`; `Outcomes` of several that are one entry.
        """
        self._index = index
        return self._once.apply(index, command, self._dispatch)

    def _dispatch(self, command: bytes, wanted: bool) -> object:
        kind, stamp_ms, *rest = codec.decode(command)
        handler = self._execute.get(kind)
        if handler is None:
            raise CannotFollow(f"entry {self._index} is of kind {kind}, which this version of oarlock does not know")
        if stamp_ms > self.now_ms:
            self._set_time(stamp_ms)
        self._began = self._clock()
        result = handler(wanted, *rest)
        if self._vote_is_due:
            self._vote_now()
        return result

    def _set_time(self, now_ms: int) -> None:
        self.now_ms = now_ms
        self._advanced_at = self._clock()

    def estimated_ms(self) -> int:
        """Machine time, had it gone on since as this server's clock has.

        What is proposed is stamped no earlier: after a command from a server whose date was ahead, machine time would
        else stand still until all dates have caught up, and no lease would end.
        """
        return self.now_ms + int((self._clock() - self._advanced_at) * 1000)

    def _batch(self, wanted: bool, calls: list[list[Any]]) -> Outcomes:
        # First, as it is carried out as a whole or not at all:
        for kind in {call[0] for call in calls} - _IN_BATCHES:
            raise CannotFollow(f"entry {self._index} holds a call of kind {kind}, which this version does not know")
        for which in {(call[1], call[2], call[3]) for call in calls} - self._runners.keys():
            self._find_runner(*which)
        outcomes = []
        for self._position, (kind, *rest) in enumerate(calls):
            outcomes.append(self._execute[kind](wanted, *rest))
        self._position = 0
        return Outcomes(outcomes)

    def _call(
        self, wanted: bool, target: str, method: str, version: int, args: list[Value], kwargs: dict[str, Value]
    ) -> object:
        result = self._run(target, method, version, args, kwargs)
        if type(result) is Failure:
            self._took_effect(None, result.error)
            return result
        self._took_effect(result, None)
        return codec.copied(result) if wanted and result is not None else None

    def _run(self, target: str, method: str, version: int, args: list[Value], kwargs: dict[str, Value]) -> object:
        runner = self._runners.get((target, method, version)) or self._find_runner(target, method, version)
        self.context = Context(self._index, self.now_ms, version, target, self._position)
        try:
            return runner(*args, **kwargs) if kwargs else runner(*args)
        except MemoryError:
            raise  # of this server alone: it must not go on with a state of its own
        except Exception as error:  # noqa: BLE001 - the caller's
            return failure_of(error)
        finally:
            self.context = None
            began, self._began = self._began, self._clock()
            if self._began - began >= self._slow_s:
                self._events.applied_slowly(f"{target}.{method}", self._began - began)

    def _find_runner(self, target: str, method: str, version: int) -> Callable[..., Any]:
        one = self.hosted.get(target)
        if one is None:
            raise CannotFollow(f"entry {self._index} is for {target}, which this program does not have")
        if version > one.known_version:
            raise CannotFollow(
                f"entry {self._index} is for version {version} of {target}; this program knows {one.known_version}"
            )
        runner = one.runner(method, version)
        if runner is None:
            raise CannotFollow(f"entry {self._index} calls {target}.{method}, which this program does not have")
        self._runners[target, method, version] = runner
        return runner

    def _took_effect(self, result: object, error: BaseException | None) -> None:
        if self.agreement.add(result, error):
            self._vote_is_due = True  # when all of the entry is done, as states are compared by index

    def _vote_now(self) -> None:
        self._vote_is_due = False
        state = self.comparable_state() if self.agreement.wants_state else None
        self._events.vote_due(self._index, self.agreement.vote(self._index, state))

    def comparable_state(self) -> bytes | None:
        """The whole state; None where it cannot be encoded, which is no reason to stop before a snapshot is needed."""
        try:
            return self.encoded_state()
        except Exception:
            logger.exception("the state cannot be compared with that of other servers, and no snapshot can be taken")
            return None

    def encoded_state(self) -> bytes:
        """The whole state, alike on all servers.

        Raises:
            NotEncodable: Some object's snapshot is not plain data; names it.
        """
        return b"".join(
            codec.canonical(one.snapshot(), f"the snapshot of {name}") for name, one in sorted(self.hosted.items())
        )

    # -- sessions ------------------------------------------------------------------------------------------------

    def _in_session(
        self,
        wanted: bool,
        target: str,
        method: str,
        version: int,
        args: list[Value],
        kwargs: dict[str, Value],
        session: str,
        serial: int,
        acknowledged: int,
    ) -> object:
        def run() -> bytes:
            result = self._run(target, method, version, args, kwargs)
            reply, error = _reply(result, f"what {target}.{method} returned")
            self._took_effect(None if error is not None else result, error)
            return reply

        try:
            reply = self.sessions.call(self.now_ms, session, serial, acknowledged, run)
        except CannotFollow:
            raise
        except Exception as error:  # noqa: BLE001 - of the session
            return Failure(error)
        return _read_reply(reply) if wanted else None

    def _open_session(self, _wanted: bool, nonce: str, ttl_ms: int, most: int) -> object:
        try:
            return self.sessions.open(self._index, self.now_ms, nonce, ttl_ms, most)
        except Exception as error:  # noqa: BLE001
            return Failure(error)

    def _close_session(self, _wanted: bool, session: str) -> object:
        self.sessions.close(session)
        return None

    # -- versions and votes --------------------------------------------------------------------------------------

    def _announce(self, _wanted: bool, server_id: ServerId, known: dict[str, int]) -> None:
        self.versions.announce(server_id, known)
        self._events.versions_changed()

    def _put_in_force(self, _wanted: bool, versions: dict[str, int], members: list[ServerId]) -> None:
        self.versions.put_in_force(versions)
        self.versions.forget(members)
        self._check_versions()
        self._events.versions_changed()

    def _check_versions(self) -> None:
        too_new = self.versions.too_new(self.known_versions)
        if too_new is not None:
            raise CannotFollow(f"{too_new}: start this server with the newer program")

    def _vote(self, _wanted: bool, server_id: ServerId, index: Index, results: int, state: int | None) -> None:
        self.agreement.cast(server_id, index, Vote(results, state))
        self._events.voted(index)

    # -- its own storage, which there is none of here -------------------------------------------------------------

    def open(self) -> None:
        """Open what the state is kept in, once the data directory is locked."""

    def close(self) -> None:
        """Close it."""

    # -- snapshots -----------------------------------------------------------------------------------------------

    def applied_index(self) -> Index:
        """See `StateMachine.applied_index`."""
        return self._index

    def durable_index(self) -> Index:
        """See `StateMachine.durable_index`: nothing, as all is in memory."""
        return 0

    def begin_flush(self) -> Job | None:
        """See `StateMachine.begin_flush`: there is nowhere to flush to."""
        return None

    def begin_snapshot(self) -> SnapshotView:
        """See `StateMachine.begin_snapshot`.

        Raises:
            NotEncodable: An object's snapshot is not plain data; the server cannot go on.
        """
        images = {name: codec.encode(one.snapshot(), f"the snapshot of {name}") for name, one in self.hosted.items()}
        return MemoryView(self._index, self.beside(), images)

    def begin_restore(self, source: BinaryIO, index: Index) -> Job:
        """See `StateMachine.begin_restore`."""
        return Restoring(source, index, self._take_over)

    def beside(self) -> bytes:
        """What is kept beside the objects' states."""
        return codec.encode_checked(
            [
                self.now_ms,
                self._once.dump(),
                self.sessions.dump(),
                self.versions.dump(),
                self.agreement.dump(),
            ],
            "the tables beside the state",
        )

    def _take_over(self, index: Index, beside: bytes, images: Mapping[str, Value]) -> None:
        unknown = sorted(images.keys() - self.hosted.keys())
        if unknown:
            raise CannotFollow(f"the snapshot holds {', '.join(unknown)}, which this program does not have")
        self.load_beside(beside)
        for name, image in images.items():
            self.hosted[name].restore(image)
        self._index = index

    def load_beside(self, beside: bytes) -> None:
        """Replace what is kept beside the objects' states.

        Raises:
            CannotFollow: A version is in force that this program does not know.
        """
        now_ms, once, sessions, versions, agreement = codec.decode(beside)
        self._set_time(now_ms)
        self._once.load(msgspec.convert(once, list[tuple[int, int, int, int, list[int]]]))
        self.sessions.load(sessions)
        self.versions.load(versions)
        self.agreement.load(agreement)
        self._check_versions()
        self._events.versions_changed()


def _reply(result: object, what: str) -> tuple[bytes, BaseException | None]:
    """A result as a session keeps it, and the exception if it is one."""
    if type(result) is not Failure:
        try:
            codec.check(result, what)
            return codec.encode_checked([result], what), None
        except NotEncodable as error:
            result = Failure(error)
    return codec.encode_checked([None, to_data(result.error)], what), result.error


def _read_reply(reply: bytes) -> object:
    parts: Iterator[Any] = iter(codec.decode(reply))
    result = next(parts)
    failure = next(parts, None)
    return result if failure is None else Failure(from_data(failure))
