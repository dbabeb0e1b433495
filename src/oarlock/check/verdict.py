"""What a check found: verdicts as data, with sentences for people; all of it encodes to JSON."""

from enum import StrEnum

import msgspec


class Verdict(StrEnum):
    """The outcome of a check. Only `OK` is a pass: what could not be decided has not been shown."""

    OK = "ok"
    VIOLATED = "violated"
    UNKNOWN = "unknown"


class Violation(msgspec.Struct, frozen=True):
    """One property that does not hold, and where."""

    name: str
    """The property, in the words of the reference, such as "election safety"."""
    sentence: str
    """What happened, complete with the servers, terms, indices or operations concerned."""
    server_id: int | None = None
    """The server whose event showed it; None for what concerns no single one."""
    index: int | None = None
    """The log index concerned, if any."""

    def __str__(self) -> str:
        return f"{self.name}: {self.sentence}"


class OperationView(msgspec.Struct, frozen=True):
    """An operation as a picture shows it: a bar from call to return, with a caption."""

    number: int
    """Its place in the history, from 1; in a history file its line is one more."""
    client: int | str
    caption: str
    """What was asked and answered, in the model's words."""
    call: int | float
    return_: int | float | None = msgspec.field(name="return")
    """None if the outcome is unknown: the bar is open to the right."""


class Stuck(msgspec.Struct, frozen=True):
    """An operation that might come next in real time, but not in the state reached."""

    number: int
    must_be_next: bool
    """Whether it is the first to return of those left: nothing called later may come before it."""


class LinearizablePrefix(msgspec.Struct, frozen=True):
    """One longest order of operations that the model accepts."""

    order: list[int]
    """Numbers of operations, first to last."""
    state: str
    """The state that they lead to, in the model's words."""
    stuck: list[Stuck]
    """Why it ends here: none of these is accepted in `state`, or leads on to a longer order."""


class Counterexample(msgspec.Struct, frozen=True):
    """Why a partition is not linearizable, as data that a picture can be drawn from."""

    partition: str
    operations: list[OperationView]
    """Every operation of the partition, by call."""
    prefixes: list[LinearizablePrefix]
    """The longest orders, several if they are of one length; at most `MAX_PREFIXES` of the search."""


class PartitionReport(msgspec.Struct, frozen=True):
    """The verdict on operations that can be judged apart from all others."""

    partition: str
    operations: int
    verdict: Verdict
    steps: int
    """Questions put to the model: the measure of work, equal in every run."""


class Report(msgspec.Struct, frozen=True):
    """The verdict on a history of clients."""

    verdict: Verdict
    sentence: str
    model: str
    operations: int
    unknown_outcomes: int
    """How many operations have no return."""
    clients: int
    steps: int
    max_steps: int
    partitions: list[PartitionReport]
    """Those judged, in the order of judging: smallest first, and none after a violation."""
    partitions_not_judged: int
    counterexample: Counterexample | None

    @property
    def ok(self) -> bool:
        """Whether the history passed."""
        return self.verdict is Verdict.OK
