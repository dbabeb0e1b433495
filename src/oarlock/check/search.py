"""The search for a linearization: Wing and Gong's, with Lowe's memory of configurations, laid out as Porcupine does.

Calls and returns of a partition stand in a doubly linked list by time. The search lifts an operation out of it if it is
called before the first return left and the model accepts it; it goes back if nothing is accepted. A configuration,
the set of operations lifted and the state, is never entered twice.

Three things make it smaller than the textbook's, and none changes a verdict:

- An operation that changes no state whatever the state is lifted as soon as it is accepted, for good: any
  linearization that has it later also holds with it here.
- An operation of unknown outcome need not be lifted at all. It is tried after all others, when they lead nowhere, and
  only where it changes the state: most such guesses are then made where the answers call for them.
- Of operations that ask and answer the same, the one with the earlier call and return goes first; and a model may know
  from the whole history that one operation comes before another.

States and kinds of operations are numbered, so the model is asked once for each pair of them.
"""

from collections.abc import Hashable, Sequence
from typing import Any, Final, NamedTuple

from oarlock.check.model import Action, Interval, Model

MAX_PREFIXES: Final = 4
"""How many longest prefixes a search keeps."""

_REJECTED: Final = -1


class Prefix(NamedTuple):
    """An order of operations that cannot be continued; numbers are positions in the partition."""

    order: list[int]
    state: Hashable
    stuck: list[int]
    """Those called before the first return left; the one that returns there is the last."""


class Found(NamedTuple):
    """The outcome of a search."""

    linearizable: bool | None
    """None if the budget was used up first."""
    steps: int
    prefixes: list[Prefix]
    """The longest, unless it is linearizable."""


class States:
    """Numbers for states and for kinds of operations, and the model's answers for pairs of them."""

    def __init__(self, model: Model[Any], initial: Hashable) -> None:
        self._model = model
        self._number_of: dict[Hashable, int] = {}
        self.states: list[Hashable] = []
        self.rows: list[dict[int, int]] = []
        """For each state, by kind: the state that follows, or -1."""
        self._kind_of: dict[Hashable, int] = {}
        self._actions: list[Action] = []
        self.number(initial)

    def number(self, state: Hashable) -> int:
        """The number of a state."""
        number = self._number_of.setdefault(state, len(self.states))
        if number == len(self.states):
            self.states.append(state)
            self.rows.append({})
        return number

    def kind(self, action: Action) -> int:
        """The number of what an action asks and answers."""
        # True and 1 are equal in Python, and are different answers.
        kind = self._kind_of.setdefault((action.input, type(action.output), action.output), len(self._actions))
        if kind == len(self._actions):
            self._actions.append(action)
        return kind

    def follow(self, state: int, kind: int) -> int:
        """Ask the model what an action does in a state: the state that follows, or -1; remembered in `rows`."""
        action = self._actions[kind]
        accepted, after = self._model.step(self.states[state], action.input, action.output)
        following = self.number(after) if accepted else _REJECTED
        self.rows[state][kind] = following
        return following


class Timeline:
    """The linked list of calls and returns: node 0 is before the first, the last node after all."""

    def __init__(self, intervals: Sequence[Interval]) -> None:
        count = len(intervals)
        # At one moment calls come first: what touches may overlap.
        events = [(interval.call, 0, position) for position, interval in enumerate(intervals)]
        events += [
            (interval.return_, 1, position)
            for position, interval in enumerate(intervals)
            if interval.return_ is not None
        ]
        events.sort()
        self.end = len(events) + 1
        self.next = [*range(1, self.end + 1), self.end]
        self.previous = [0, *range(self.end)]
        self.operation = [-1] * (self.end + 1)
        """Of a call's node the operation, of others -1."""
        self.call_node = [0] * count
        self.return_node = [0] * count
        """0 if the outcome is unknown."""
        for node, (_, is_return, position) in enumerate(events, 1):
            if is_return:
                self.return_node[position] = node
            else:
                self.call_node[position] = node
                self.operation[node] = position

    def lift(self, operation: int) -> None:
        """Take an operation's call and return out."""
        following, previous = self.next, self.previous
        for node in (self.call_node[operation], self.return_node[operation]):
            if node:
                before, after = previous[node], following[node]
                following[before] = after
                previous[after] = before

    def unlift(self, operation: int) -> None:
        """Put them back; operations go back in the reverse order of lifting."""
        following, previous = self.next, self.previous
        for node in (self.return_node[operation], self.call_node[operation]):
            if node:
                following[previous[node]] = node
                previous[following[node]] = node

    def candidates(self) -> list[int]:
        """Operations called before the first return left; the one that returns there comes last."""
        found = []
        node = self.next[0]
        while (operation := self.operation[node]) >= 0:
            found.append(operation)
            node = self.next[node]
        if node != self.end:
            blocker = self.return_node.index(node)
            found.remove(blocker)
            found.append(blocker)
        return found


class Search:
    """One partition's search.

    Args:
        model: The sequential object.
        initial: Its first state.
        intervals: The operations.
        max_steps: How many questions to the model may be asked before it is given up.
    """

    def __init__(self, model: Model[Any], initial: Hashable, intervals: Sequence[Interval], max_steps: int) -> None:
        model = model.for_history(intervals)
        self._states = States(model, initial)
        self._timeline = Timeline(intervals)
        self._max_steps = max_steps
        self._read_only = [interval.action.read_only for interval in intervals]
        self._optional = [interval.return_ is None for interval in intervals]
        self._certain = [interval.return_ is not None and not interval.action.read_only for interval in intervals]
        self._kind = [self._states.kind(interval.action) for interval in intervals]
        self._bit = [1 << position for position in range(len(intervals))]
        self._before = self._predecessors(model, intervals)
        self._steps = 0
        self._order: list[int] = []
        self._prefixes: list[Prefix] = []
        self._longest = -1

    def _predecessors(self, model: Model[Any], intervals: Sequence[Interval]) -> list[int]:
        """For each operation those that must be lifted before it, as a bitset; real time aside."""
        before = list(model.predecessors(intervals)) or [0] * len(intervals)
        latest: dict[int, int] = {}
        for position in sorted(range(len(intervals)), key=lambda position: intervals[position].call):
            twin = latest.get(self._kind[position])
            if twin is not None:
                first, second = intervals[twin].return_, intervals[position].return_
                if second is None or (first is not None and first <= second):
                    before[position] |= self._bit[twin]
            latest[self._kind[position]] = position
        return before

    def run(self) -> Found:
        """Search depth first, until a linearization is found, none is left, or the budget is used up."""
        timeline, order, rows, follow = self._timeline, self._order, self._states.rows, self._states.follow
        operation_at, following, optional, kinds = timeline.operation, timeline.next, self._optional, self._kind
        bits, before, width = self._bit, self._before, len(self._kind)
        certain, uncertain = self._certain, self._optional if any(self._optional) else self._certain
        entered: set[int] = set()
        frames: list[tuple[int, int, int]] = []
        state, steps = 0, 0
        done, is_complete = self._absorb(state, 0)
        node, row, wanted = following[0], rows[state], certain
        while not is_complete:
            while (operation := operation_at[node]) >= 0:
                if wanted[operation] and (not (needed := before[operation]) or done & needed == needed):
                    steps += 1
                    kind = kinds[operation]
                    after = row[kind] if kind in row else follow(state, kind)
                    if after >= 0 and not (optional[operation] and after == state):
                        with_it = done | bits[operation]
                        if (configuration := after << width | with_it) not in entered:
                            break
                node = following[node]
            else:
                if wanted is not uncertain:
                    node, wanted = following[0], uncertain
                    continue
                if len(order) >= self._longest:
                    self._remember(state)
                if not frames:
                    return Found(False, self._steps + steps, self._prefixes)
                length, state, done = frames.pop()
                operation = self._go_back(length)
                node, row = following[timeline.call_node[operation]], rows[state]
                wanted = uncertain if optional[operation] else certain
                continue
            entered.add(configuration)
            frames.append((len(order), state, done))
            timeline.lift(operation)
            order.append(operation)
            done, is_complete = self._absorb(after, with_it)
            if done != with_it and (configuration := after << width | done) in entered:
                done = frames[-1][2]
                self._go_back(frames.pop()[0])
                node = following[timeline.call_node[operation]]
            else:
                entered.add(configuration)
                state, node, row, wanted = after, following[0], rows[after], certain
            if self._steps + steps > self._max_steps:
                self._remember(state)
                return Found(None, self._steps + steps, self._prefixes)
        return Found(True, self._steps + steps, [])

    def _absorb(self, state: int, done: int) -> tuple[int, bool]:
        """Lift whatever only reads and is accepted; tells what is then done, and whether no return is left."""
        timeline, order = self._timeline, self._order
        operation_at, following, previous = timeline.operation, timeline.next, timeline.previous
        read_only, kinds, row = self._read_only, self._kind, self._states.rows[state]
        node = following[0]
        while (operation := operation_at[node]) >= 0:
            if read_only[operation]:
                self._steps += 1
                kind = kinds[operation]
                if (row[kind] if kind in row else self._states.follow(state, kind)) >= 0:
                    # The next node is known only afterwards: it may have been this operation's return.
                    before = previous[node]
                    timeline.lift(operation)
                    order.append(operation)
                    done |= self._bit[operation]
                    node = before
            node = following[node]
        return done, node == timeline.end

    def _go_back(self, length: int) -> int:
        """Unlift all operations but the first `length`; gives the next of them."""
        order = self._order
        first = order[length]
        while len(order) > length:
            self._timeline.unlift(order.pop())
        return first

    def _remember(self, state: int) -> None:
        """Keep the present order if none is longer."""
        length = len(self._order)
        if length > self._longest:
            self._longest = length
            self._prefixes.clear()
        if length == self._longest and len(self._prefixes) < MAX_PREFIXES:
            found = Prefix(list(self._order), self._states.states[state], self._timeline.candidates())
            self._prefixes.append(found)
