"""What is noted of a watched program: activities, accesses to attributes, RPCs, and places in its code."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import CodeType
from typing import NamedTuple

from oarlock.lab.advisor.names import has_role_or_vote, is_known, is_term, plain
from oarlock.lab.advisor.sources import Use
from oarlock.lab.threads import Task
from oarlock.lab.threads.locks import Lock

_NUMBERED = re.compile(r"Thread-\d+ \((.*)\)")
Frames = tuple[tuple[CodeType, int], ...]
"""A stack as code and line, the innermost frame first."""


class Activity:
    """What might run at the same time as any other: a thread, one run of a handler, one call from outside.

    Handlers of RPCs run in threads that are used again, and a test's calls come one after the other; but another
    network, and another service, would call at the same time. So each entry is an activity of its own, which knows
    nothing but what was done before `make` returned.

    Args:
        number: Counts activities.
        name: For people.
        task: The virtual thread that it runs in.
        server: Of which server; None outside of them.
        clock: What it knows, by activity: how many steps of each were before it.
        parent: Who started it.
    """

    __slots__ = ("clock", "entry", "name", "number", "parent", "reply", "seen", "server", "started_at", "task", "waits")

    def __init__(
        self,
        number: int,
        name: str,
        task: Task,
        server: int | None,
        clock: Mapping[int, int],
        parent: Activity | None = None,
        *,
        entry: str = "",
    ) -> None:
        self.number = number
        self.name = name
        self.task = task
        self.server = server
        self.clock = {**clock, number: 1}
        self.parent = parent
        self.entry = entry
        """`make`, `handler` or `call` for what came from outside; empty for a thread."""
        self.waits = 0
        """How often it waited on its own: a thread that does is there to stay."""
        self.reply: Rpc | None = None
        """The RPC whose reply it has received and is to deal with."""
        self.seen: dict[Variable, Access] = {}
        """Its last read of each variable."""
        self.started_at: Frames = ()

    @property
    def epoch(self) -> int:
        """The number of its present step."""
        return self.clock[self.number]

    def step(self) -> None:
        """What it does from now on is not known to those who know it so far."""
        self.clock[self.number] += 1

    def learn(self, clock: Mapping[int, int]) -> None:
        """It waited for others, and knows what they knew."""
        mine = self.clock
        for number, step in clock.items():
            if mine.get(number, 0) < step:
                mine[number] = step

    @property
    def kind(self) -> str:
        """Its name without numbers: the same on all servers."""
        made = _NUMBERED.fullmatch(self.name)
        return made[1] if made is not None else self.name.rstrip("0123456789-")

    def root(self) -> Activity:
        """The thread that this came from which stays: itself, or who started it for a single job."""
        found = self
        while found.waits < LONG_LIVED_WAITS and found.parent is not None and not found.parent.entry:
            found = found.parent
        return found


LONG_LIVED_WAITS = 3
"""A thread that has waited so often on its own is no job, but a loop."""


class Variable:
    """One attribute of one object."""

    __slots__ = ("_is_plain_term", "_is_term", "_owner", "attribute", "is_named", "server")

    def __init__(self, owner: object, attribute: str, server: int | None) -> None:
        self._owner = owner
        self.attribute = attribute
        self.is_named = is_known(attribute)
        """Whether it may be a term, a role, a vote, or an index committed or applied, by its name."""
        self.server = server
        """Whose activity touched it first."""
        self._is_term = is_term(attribute)
        self._is_plain_term = plain(attribute) == "term"

    @property
    def name(self) -> str:
        """For people; the same on all servers."""
        return f"{type(self._owner).__name__}.{self.attribute}"

    @property
    def is_current_term(self) -> bool:
        """Whether it is a server's current term, not that of an entry or a message."""
        return self._is_term and (not self._is_plain_term or has_role_or_vote(self._owner))


class Access:
    """One read or write of a variable."""

    __slots__ = ("activity", "at_ns", "epoch", "frames", "is_write", "regions", "use", "value", "variable")

    def __init__(
        self,
        variable: Variable,
        activity: Activity,
        regions: Mapping[Lock, int],
        use: Use,
        value: object,
        frames: Frames,
        at_ns: int,
        *,
        is_write: bool,
    ) -> None:
        self.variable = variable
        self.activity = activity
        self.epoch = activity.epoch
        self.regions = regions
        """The locks held, each with the number of the region: it rises with each acquisition."""
        self.use = use
        self.value = value
        self.frames = frames
        self.at_ns = at_ns
        self.is_write = is_write

    def is_before(self, activity: Activity) -> bool:
        """Whether an activity has learnt of it: by having been started, by a join, a queue, or an event."""
        return activity.clock.get(self.activity.number, 0) >= self.epoch

    def shares_region(self, regions: Mapping[Lock, int]) -> bool:
        """Whether some lock was held from there to here without a break."""
        return any(self.regions.get(lock) == number for lock, number in regions.items())


class Rpc:
    """One call of a peer."""

    __slots__ = (
        "activity",
        "args_term",
        "began_ns",
        "ended_ns",
        "frames",
        "method",
        "peer",
        "replied",
        "reply_term",
    )

    def __init__(
        self, activity: Activity, peer: int, method: str, args_term: int | None, frames: Frames, at_ns: int
    ) -> None:
        self.activity = activity
        self.peer = peer
        self.method = method.rpartition(".")[2]
        self.args_term = args_term
        """The term in its arguments, if there is one."""
        self.frames = frames
        self.began_ns = at_ns
        self.ended_ns = at_ns
        self.replied = False
        self.reply_term: int | None = None

    @property
    def is_vote(self) -> bool:
        """Whether it asks for a vote, by its name."""
        return "vote" in self.method.lower()

    @property
    def is_replication(self) -> bool:
        """Whether it is a leader's word, by its name."""
        name = self.method.lower()
        return any(part in name for part in ("append", "heartbeat", "entries", "replicate"))


class Line(NamedTuple):
    """One frame of a stack, as text."""

    file: str
    line: int
    function: str
    text: str


class Place(NamedTuple):
    """Where a thread was, and what it did there."""

    thread: str
    doing: str
    locks: tuple[str, ...]
    """Held there."""
    stack: tuple[Line, ...]
    """The innermost frame first."""


class Finding(NamedTuple):
    """A piece of advice that the program does not follow."""

    check: str
    """The short name of the check."""
    rule: str
    """Of the notes: `rule 1` to `rule 5`, or `structure`."""
    pitfall: str
    """The id in the catalogue of pitfalls."""
    subject: str
    """What it is about: a variable, a lock, a thread."""
    what: str
    """What was seen, in a sentence."""
    advice: str
    """What to do instead."""
    places: tuple[Place, ...]
    """Usually two."""
    seed: int
    """Of the run that showed it."""
