"""Rule 4: do not wait while holding a lock.

Reported is a thread that, with a lock held, sleeps, calls a peer, joins a thread, waits for an event, a semaphore or
another lock's condition, gets from a queue, or puts into one that has a bound. It does not take that it waited long
this time. A condition's wait gives back its own lock, and is no wait with that one held.

Locks that are taken in a circle are reported too, though each is held for a moment only: of every lock acquired with
others held an edge is kept, and a circle of edges by at least two activities is a deadlock that has not happened yet.
A channel is part of such circles: who puts into it while holding a lock waits for the channel, and the channel waits
for every lock that the thread at its other end takes between two gets. That finds the four-way deadlock (G31): a
service that calls `start` under its own lock, `start` that wants Raft's lock, an applier that holds Raft's lock while
it puts, and the service's reader that wants the service's lock. The scenario's own service does as such a service
would.

Missed: waiting for what is none of the runtime's, such as a file.
"""

import itertools
from collections import defaultdict
from typing import NamedTuple

from oarlock.lab.advisor.check import Check
from oarlock.lab.advisor.record import Activity, Place, Rpc
from oarlock.lab.threads import Event, Kind
from oarlock.lab.threads.locks import Lock
from oarlock.lab.threads.queues import Queue

DOING = {
    Kind.SLEEP: "sleeps",
    Kind.JOIN_WAIT: "joins a thread",
    Kind.EVENT_WAIT: "waits for an event",
    Kind.CONDITION_WAIT: "waits for a condition of another lock",
    Kind.GET: "gets from a queue",
    Kind.PUT: "puts into a queue that may be full",
}


class WaitsWithLock(Check):
    """Waiting with a lock held; see the module."""

    check = "waits-with-lock"
    rule = "rule 4"
    pitfall = "K4"
    advice = "Release the lock around the wait, and look again at what was decided before; or let another thread wait."

    def __init__(self) -> None:
        super().__init__()
        self._calling: set[Activity] = set()
        """Who waits for a reply: how the network does that is its own affair."""

    def on_event(self, event: Event, activity: Activity) -> None:
        """Look at what is held whenever a thread waits."""
        doing = DOING.get(event.kind)
        if doing is None or activity.entry == "scenario" or activity in self._calling:
            return
        if event.kind is Kind.PUT and not (isinstance(event.subject, Queue) and event.subject.maxsize > 0):
            return
        self._look(activity, doing)

    def on_rpc_begin(self, rpc: Rpc) -> None:
        """An RPC waits for its reply."""
        self._look(rpc.activity, f"calls {rpc.method} of a peer")
        self._calling.add(rpc.activity)

    def on_rpc_end(self, rpc: Rpc) -> None:
        """The reply is there, or there will be none."""
        self._calling.discard(rpc.activity)

    def _look(self, activity: Activity, doing: str) -> None:
        for lock in self.watch.held(activity.task):
            name = self.watch.lock_name(lock)
            subject = f"{name}: {doing}"
            if subject not in self.found:
                place = self.watch.place(activity, doing, self.watch.frames(), [lock])
                self.report(subject, f"{activity.name} {doing} while it holds {name}", place, *self._who_wants(lock))

    def _who_wants(self, lock: Lock) -> list[Place]:
        """Where somebody waits for the lock at this moment, if anybody does."""
        for task in self.watch.scheduler.live.values():
            if task.subject is lock and task.waiting:
                stack = self.watch.stack_of(task)
                activity = self.watch.activity_of(task)
                return [self.watch.place(activity, f"wants {self.watch.lock_name(lock)}", stack)]
        return []


class Edge(NamedTuple):
    """While something was held, something else was waited for."""

    activity: str
    server: int | None
    place: Place


class LockOrder(Check):
    """Circles of locks and channels; see the module."""

    check = "lock-order"
    rule = "rule 4"
    pitfall = "G31"
    advice = (
        "Take locks in one order everywhere, and hold none while putting into a channel whose reader takes another."
    )

    def __init__(self) -> None:
        super().__init__()
        self._edges: dict[object, dict[object, Edge]] = defaultdict(dict)
        self._reads_from: dict[int, Queue] = {}
        """By task: the queue that it last got something from."""

    def on_acquired(self, activity: Activity, lock: Lock, held: list[Lock]) -> None:
        """One more lock, with these held."""
        for other in held:
            if lock not in self._edges[other]:
                self._add(other, lock, activity, f"takes {self.watch.lock_name(lock)}", held)
        channel = self._reads_from.get(activity.task.number)
        if channel is not None and lock not in self._edges[channel] and not self.watch.is_ours(lock):
            self._add(channel, lock, activity, f"takes {self.watch.lock_name(lock)} before it reads on", held)

    def on_event(self, event: Event, activity: Activity) -> None:
        """A bounded queue is waited for while locks are held, or read from."""
        queue = event.subject
        if not isinstance(queue, Queue) or queue.maxsize <= 0:
            return
        if event.kind is Kind.PUT:
            held = self.watch.held_all(event.task)
            for lock in held:
                self._add(lock, queue, activity, "puts into the channel", held)
        elif event.kind is Kind.GET_DONE:
            self._reads_from[event.task.number] = queue
        elif event.kind is Kind.GET:
            self._reads_from.pop(event.task.number, None)

    def _add(self, held: object, wanted: object, activity: Activity, doing: str, locks: list[Lock]) -> None:
        if held is wanted or wanted in self._edges[held]:
            return
        place = self.watch.place(activity, doing, self.watch.frames(), locks)
        self._edges[held][wanted] = Edge(activity.name, activity.server, place)
        circle = self._path(wanted, held)
        if circle is not None:
            nodes = [held, *circle]
            edges = [self._edges[one][other] for one, other in itertools.pairwise(nodes)]
            if len({edge.place.thread for edge in edges}) > 1:
                names = [self._name(node) for node in nodes]
                self.report(" and ".join(sorted(set(names))), " -> ".join(names), *(edge.place for edge in edges))

    def _path(self, start: object, goal: object) -> list[object] | None:
        """Nodes from start to goal, along edges."""
        paths: list[list[object]] = [[start]]
        seen = {start}
        for path in paths:
            if path[-1] is goal:
                return path
            for following in self._edges.get(path[-1], {}):
                if following not in seen:
                    seen.add(following)
                    paths.append([*path, following])
        return None

    def _name(self, node: object) -> str:
        return self.watch.lock_name(node) if isinstance(node, Lock) else "the apply channel"
