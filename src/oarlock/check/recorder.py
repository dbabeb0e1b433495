"""Record a history while it happens."""

from collections.abc import Callable

from oarlock.check.history import MAX_OPERATIONS, ClientId, History, Json, Operation, Time, make_history


class Call:
    """A request under way. Without `returns` or `fails` its outcome stays unknown."""

    __slots__ = ("_recorder", "failed", "operation")

    def __init__(self, recorder: "Recorder", operation: Operation) -> None:
        self._recorder = recorder
        self.operation = operation
        self.failed = False

    def returns(self, output: Json = None) -> None:
        """The answer is here. Answers that come late, after the client gave up, are welcome too."""
        now = self._recorder.now()
        asked = self.operation
        self.operation = Operation(
            client=asked.client,
            kind=asked.kind,
            key=asked.key,
            input=asked.input,
            output=output,
            call=asked.call,
            return_=now,
        )

    def fails(self) -> None:
        """It is certain that the request took no effect and never will: it leaves the history."""
        self.failed = True


class Recorder:
    """Collects operations of clients that run in one process.

    Args:
        clock: Tells the time; by default every event simply gets the next number, which keeps the order of events
            exactly even if many happen in one tick of a clock.
        max_operations: Further calls raise OverflowError.
    """

    def __init__(self, clock: Callable[[], Time] | None = None, max_operations: int = MAX_OPERATIONS) -> None:
        self._clock = clock
        self._max_operations = max_operations
        self._events = 0
        self._calls: list[Call] = []

    def now(self) -> Time:
        """The time of the present event."""
        self._events += 1
        return self._events if self._clock is None else self._clock()

    def call(self, client: ClientId, kind: str, argument: Json = None, *, key: str = "") -> Call:
        """A client is about to send a request.

        Raises:
            OverflowError: The limit on operations is reached.
        """
        if len(self._calls) >= self._max_operations:
            raise OverflowError(f"a history holds at most {self._max_operations} operations")
        call = Call(self, Operation(client=client, kind=kind, key=key, input=argument, call=self.now()))
        self._calls.append(call)
        return call

    def history(self, model: str | None = None) -> History:
        """All operations up to now, in order of call; those under way have an unknown outcome."""
        return make_history((call.operation for call in self._calls if not call.failed), model)
