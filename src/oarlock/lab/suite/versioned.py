"""What clients of a versioned store saw, and whether a sequential store could have answered so."""

from collections.abc import Mapping
from typing import Any, ClassVar, Final

import msgspec

from oarlock.check.history import History, Operation
from oarlock.check.linearizability import check_history
from oarlock.check.model import UNKNOWN, Input, Kind, Model, Output
from oarlock.check.verdict import Verdict
from oarlock.lab.interface import Runtime
from oarlock.lab.services.interface import Error, KvClerk

MAX_STEPS: Final = 2_000_000
"""Of the search; upstream gives up after a second, and passes then."""

Held = tuple[str, int] | None
"""A key's value and version; None if it is not there."""


class Wanted(msgspec.Struct, frozen=True):
    """The argument of a put."""

    value: str
    version: int


class VersionedKeys(Model[Held]):
    """Keys with versions: see `services.kv`."""

    name = "versioned"
    kinds: ClassVar[Mapping[str, Kind]] = {"get": Kind(None, tuple[str, int]), "put": Kind(Wanted, str)}
    read_only_kinds = frozenset({"get"})

    def init(self) -> Held:
        """Not there."""
        return None

    def step(self, state: Held, asked: Input, answer: Output) -> tuple[bool, Held]:
        """A put takes effect exactly if it finds the version that it names.

        One answered ErrMaybe found another version at some moment of its wait, so that it may stand there without
        effect, or where its version was, with it.
        """
        value, version = state or ("", 0)
        if asked.kind == "get":
            return answer is UNKNOWN or answer == (value, version), state
        fits = version == asked.argument.version
        after: Held = (asked.argument.value, version + 1) if fits else state
        if answer is UNKNOWN or answer == Error.MAYBE:
            return True, after
        if answer == Error.OK:
            return fits, after
        refusal = Error.NO_KEY if state is None else Error.VERSION
        return not fits and answer == refusal, state


class RecordingClerk:
    """A clerk whose calls go into a history.

    Args:
        runtime: Of the clock.
        clerk: Does the work.
        operations: Where they go.
        client: Names it.
    """

    def __init__(self, runtime: Runtime, clerk: KvClerk, operations: list[Operation], client: int) -> None:
        self._runtime = runtime
        self._clerk = clerk
        self._operations = operations
        self._client = client

    def get(self, key: str) -> tuple[str, int, str]:
        """See `KvClerk.get`."""
        called = self._runtime.time.monotonic()
        value, version, error = self._clerk.get(key)
        self._note("get", key, None, (value, version) if error == Error.OK else ("", 0), called)
        return value, version, error

    def put(self, key: str, value: str, version: int) -> str:
        """See `KvClerk.put`. A put that never returns has an unknown outcome."""
        called = self._runtime.time.monotonic()
        wanted = {"value": value, "version": version}
        try:
            error = self._clerk.put(key, value, version)
        except BaseException:
            unknown = Operation(client=self._client, kind="put", key=key, input=wanted, call=called)
            self._operations.append(unknown)
            raise
        self._note("put", key, wanted, str(error), called)
        return error

    def _note(self, kind: str, key: str, asked: Any, answer: Any, called: float) -> None:  # noqa: ANN401 - plain data
        returned = self._runtime.time.monotonic()
        self._operations.append(
            Operation(
                client=self._client, kind=kind, key=key, input=asked, output=answer, call=called, return_=returned
            )
        )


def what_is_wrong_with(operations: list[Operation]) -> str:
    """Why no sequential store could have answered so; empty if one could."""
    report = check_history(History(tuple(operations), source="clients"), VersionedKeys(), max_steps=MAX_STEPS)
    if report.verdict is Verdict.OK:
        return ""
    if report.verdict is Verdict.UNKNOWN:
        return f"the search for an order of {len(operations)} operations did not end"
    return f"what the clients saw is not linearizable:\n{report.counterexample}"
