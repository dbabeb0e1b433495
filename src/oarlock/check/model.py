"""What a model is: the sequential object that a history is compared with."""

from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping, Sequence
from enum import Enum
from typing import Any, ClassVar, Final, Generic, NamedTuple, TypeAlias, TypeVar

import msgspec

from oarlock.check.history import HistoryError, Json, Operation, Time, explain

State = TypeVar("State", bound=Hashable)

Value = str | int | None
"""What simple models hold. Floats and booleans are left out: in Python 1 == 1.0 == True."""


class Outcome(Enum):
    """An output that nobody saw."""

    UNKNOWN = "unknown"


UNKNOWN: Final = Outcome.UNKNOWN


TypeForm: TypeAlias = Any
"""A type, as in an annotation."""

Output: TypeAlias = Any
"""What was answered: a value of the type that the kind of operation names, or `UNKNOWN`."""


class Input(NamedTuple):
    """What was asked, in a form that models work with."""

    kind: str
    argument: Any


class Action(NamedTuple):
    """An operation as a model sees it: what was asked and answered, without time and client."""

    key: str
    input: Input
    output: Output
    """`UNKNOWN` if there was no answer."""
    read_only: bool
    """Whether it changes no state, whatever the state: it is then tried first and never tried elsewhere."""


class Interval(NamedTuple):
    """An operation with its time."""

    action: Action
    call: Time
    return_: Time | None


class Kind(NamedTuple):
    """The types of a kind of operation, as msgspec checks them; what they make must be hashable."""

    argument: TypeForm
    output: TypeForm


class Part(NamedTuple, Generic[State]):
    """Actions that are independent of all others."""

    name: str
    members: list[int]
    """Positions in the sequence that was partitioned."""
    initial: State


class BadOperation(HistoryError):
    """An operation that the model cannot judge; says the field and the reason."""


class Model(ABC, Generic[State]):
    """A sequential object. Purely functional: `step` changes nothing and answers the same for the same arguments.

    States, arguments and outputs are hashable and compare by value.
    """

    name: ClassVar[str]
    kinds: ClassVar[Mapping[str, Kind]]
    """What can be asked."""
    read_only_kinds: ClassVar[frozenset[str]] = frozenset()

    @abstractmethod
    def init(self) -> State:
        """The state before the first operation."""

    @abstractmethod
    def step(self, state: State, asked: Input, answer: Output) -> tuple[bool, State]:
        """Whether the object may answer so, and its state afterwards.

        An answer of `UNKNOWN` stands for whatever the object would answer.
        """

    def is_read_only(self, asked: Input, answer: Output) -> bool:  # noqa: ARG002 - answer is for overriding
        """Whether an operation so answered changes no state, whatever the state."""
        return asked.kind in self.read_only_kinds

    def partition(self, actions: Sequence[Action]) -> list[Part[State]]:
        """The actions in independent parts: here, by key."""
        groups: dict[str, list[int]] = {}
        for position, action in enumerate(actions):
            groups.setdefault(action.key, []).append(position)
        return [Part(key, members, self.init()) for key, members in groups.items()]

    def for_history(self, intervals: Sequence[Interval]) -> "Model[State]":  # noqa: ARG002 - for overriding
        """The model for a part's operations: it may refuse steps that cannot lead to the answers of the whole."""
        return self

    def predecessors(self, intervals: Sequence[Interval]) -> Sequence[int]:  # noqa: ARG002 - for overriding
        """For each operation of a part those that must come before it, as a bitset of positions; or nothing.

        Only what follows from the answers of the whole history: real time, and what `step` refuses, is known already.
        It makes no difference to a verdict, but to the time that a search takes.
        """
        return ()

    def parse(self, operation: Operation) -> Action:
        """Check an operation's kind, input and output.

        Raises:
            BadOperation: They are not what the model knows.
        """
        kind = self.kinds.get(operation.kind)
        if kind is None:
            known = ", ".join(sorted(self.kinds))
            raise BadOperation(f'kind: model "{self.name}" knows {known}; got "{operation.kind}"')
        asked = Input(operation.kind, convert(operation.input, kind.argument, "input"))
        output: Output = UNKNOWN
        if operation.return_ is not None:
            output = convert(operation.output, kind.output, "output")
        elif operation.output is not None:
            raise BadOperation("output: an operation without a return has none")
        return Action(operation.key, asked, output, self.is_read_only(asked, output))

    def describe(self, action: Action) -> str:
        """An action for people."""
        name = f"{action.key}." if action.key else ""
        argument = "" if action.input.argument is None else show(action.input.argument)
        if action.output is UNKNOWN:
            return f"{name}{action.input.kind}({argument}) -> ?"
        is_silent = action.output is None and not action.read_only
        return f"{name}{action.input.kind}({argument})" + ("" if is_silent else f" -> {show(action.output)}")

    def describe_state(self, state: State) -> str:
        """A state for people."""
        return show(state)


def convert(value: Json, into: TypeForm, field: str) -> Output:
    """Check a decoded JSON value against a type.

    Raises:
        BadOperation: Names the field.
    """
    try:
        return msgspec.convert(value, into)
    except msgspec.ValidationError as error:
        raise BadOperation(explain(error, field)) from None


def show(value: Json) -> str:
    """A value for people: JSON, as in the file."""
    if isinstance(value, frozenset):
        value = sorted(value, key=repr)
    return msgspec.json.encode(value).decode()
