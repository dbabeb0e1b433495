"""The Structure Advice: who sends, who times, who applies.

*Serial RPCs*: one thread calls one peer and then another, from the same line, with no job taken from a queue in
between; or in the whole run a server never has two calls under way at once, though it calls several peers, as with one
thread for all jobs, or a lock around calls. A peer that cannot be reached then delays the others for up to seven
seconds.

*Combined timers*: the loop that asks for votes is also the one that sends heartbeats, itself or by threads
that it starts, at three moments or more. What the thread that counts the last vote sends on winning does not count.

*Timer objects*: `threading.Timer` is started. To cancel and restart one without a race is hard; a loop that sleeps a
little and looks at the time of the last contact is not.

*Several appliers*: more than one thread or handler puts on the apply channel of one server's life. `None`, which says
that nothing more comes, may be put by anyone.

*An applier never woken*: at the end of the scenario, after two quiet seconds, a server's commit index, by its name,
is above what it has put on its channel, and was moved after the last put, while a thread of it waits for a condition,
an event or a queue.
"""

from collections import defaultdict
from typing import Any, Final

from oarlock.lab.advisor.check import Check
from oarlock.lab.advisor.names import is_commit
from oarlock.lab.advisor.record import LONG_LIVED_WAITS, Access, Activity, Place, Rpc
from oarlock.lab.threads import Event, Kind, Task
from oarlock.lab.threads.thread import Timer

MANY_CALLS: Final = 20
MOMENTS: Final = 3
APART_NS: Final = 10_000_000
"""RPCs closer to each other than this are of one round."""


class SerialRpcs(Check):
    """One peer after the other; see the module."""

    check = "serial-rpcs"
    rule = "structure"
    pitfall = "T1"
    advice = "Send each RPC, and handle its reply, in a thread of its own."

    def __init__(self) -> None:
        super().__init__()
        self._last: dict[Activity, Rpc] = {}
        self._under_way: dict[int | None, int] = defaultdict(int)
        self._most: dict[int | None, int] = defaultdict(int)
        """By server: how many calls it had under way at once."""
        self._calls: dict[int | None, dict[int, Rpc]] = defaultdict(dict)
        """By server and peer: the last call."""
        self._count: dict[int | None, int] = defaultdict(int)

    def on_event(self, event: Event, activity: Activity) -> None:
        """A job from a queue begins something new."""
        if event.kind is Kind.GET_DONE:
            self._last.pop(activity, None)

    def on_rpc_begin(self, rpc: Rpc) -> None:
        """Compare with the call before."""
        before = self._last.get(rpc.activity)
        if before is not None and before.peer != rpc.peer and before.frames[:1] == rpc.frames[:1]:
            self._tell(before, rpc, f"{rpc.activity.name} calls {rpc.method} of one peer after the other")
        self._last[rpc.activity] = rpc
        server = rpc.activity.server
        self._under_way[server] += 1
        self._most[server] = max(self._most[server], self._under_way[server])
        self._calls[server][rpc.peer] = rpc
        self._count[server] += 1

    def on_rpc_end(self, rpc: Rpc) -> None:
        """One less under way."""
        self._under_way[rpc.activity.server] -= 1

    def on_finish(self) -> None:
        """Has a server ever had two calls under way?"""
        for server, most in self._most.items():
            calls = sorted(self._calls[server].values(), key=lambda rpc: rpc.began_ns)
            if most == 1 and len(calls) > 1 and self._count[server] >= MANY_CALLS:
                what = f"server {server} made {self._count[server]} calls, and never two at a time"
                self._tell(calls[-2], calls[-1], what)

    def _tell(self, before: Rpc, rpc: Rpc, what: str) -> None:
        took = (before.ended_ns - before.began_ns) / 1e6
        first = self.watch.place(before.activity, f"calls peer {before.peer}, for {took:.0f} ms", before.frames)
        second = self.watch.place(rpc.activity, f"calls peer {rpc.peer} after that", rpc.frames)
        self.report(rpc.method, what, first, second)


class CombinedTimers(Check):
    """One loop for elections and heartbeats; see the module."""

    check = "combined-timers"
    rule = "structure"
    pitfall = "T2"
    advice = "Let one thread look after elections and another after heartbeats, so that neither waits for the other."

    def __init__(self) -> None:
        super().__init__()
        self._campaigns: dict[Activity, Place] = {}
        """Loops that ask for votes, and where."""
        self._beats: dict[Activity, list[int]] = defaultdict(list)
        """By loop: moments at which it sent."""
        self._sends: dict[Activity, tuple[Rpc, Place]] = {}

    def on_rpc_begin(self, rpc: Rpc) -> None:
        """Who asks for votes campaigns; who sends a leader's word again and again beats."""
        loop = _loop(rpc.activity)
        if loop is None:
            return
        if rpc.is_vote:
            self._campaigns.setdefault(loop, self.watch.place(rpc.activity, f"sends {rpc.method}", rpc.frames))
        if not rpc.is_replication:
            return
        moments = self._beats[loop]
        if not moments or rpc.began_ns - moments[-1] > APART_NS:
            moments.append(rpc.began_ns)
        if len(moments) == MOMENTS:
            self._sends[loop] = (rpc, self.watch.place(rpc.activity, f"sends {rpc.method}", rpc.frames))

    def on_finish(self) -> None:
        """Is any loop both?"""
        for loop, (_, sends) in self._sends.items():
            if loop in self._campaigns:
                what = f"{loop.name} looks after elections and heartbeats alike"
                self.report(loop.kind, what, self._campaigns[loop], sends)


def _loop(activity: Activity) -> Activity | None:
    """The thread that stays, which does this itself or has started a job for it."""
    for each in (activity, activity.parent):
        if each is not None and not each.entry and each.waits >= LONG_LIVED_WAITS:
            return each
    return None


class TimerObjects(Check):
    """`threading.Timer`; see the module."""

    check = "timer-objects"
    rule = "structure"
    pitfall = "T2"
    advice = "Keep the time of the last contact, and let a loop that sleeps a little compare it with the clock."

    def on_event(self, event: Event, activity: Activity) -> None:
        """A timer is started."""
        is_timer = isinstance(event.subject, Task) and isinstance(event.subject.thread, Timer)
        if event.kind is Kind.THREAD_START and is_timer and activity.entry != "scenario":
            place = self.watch.place(activity, "starts a timer", self.watch.frames())
            self.report("threading.Timer", f"{activity.name} starts a threading.Timer", place)


class SingleApplier(Check):
    """Who puts on the apply channel; see the module."""

    check = "several-appliers"
    rule = "structure"
    pitfall = "T3"
    advice = "Let a single thread put on the apply channel, and hand it what is to be put."

    def __init__(self) -> None:
        super().__init__()
        self._first: dict[tuple[int, int], tuple[Activity, Place]] = {}

    def on_apply(self, activity: Activity, server: int, life: int, message: Any) -> None:  # noqa: ANN401, ARG002
        """Is it who did so before?"""
        first = self._first.get((server, life))
        if first is None:
            place = self.watch.place(activity, "puts on the apply channel", self.watch.frames())
            self._first[server, life] = (activity, place)
        elif first[0] is not activity:
            place = self.watch.place(activity, "puts on the apply channel too", self.watch.frames())
            names = sorted({first[0].kind, activity.kind})
            self.report("the apply channel", f"several put on it: {', '.join(names)}", first[1], place)


class ApplierWoken(Check):
    """Nobody wakes the applier; see the module."""

    check = "applier-not-woken"
    rule = "structure"
    pitfall = "T4"
    advice = "Notify the applier's condition, under its lock, wherever the commit index moves."
    named_only = True

    def __init__(self) -> None:
        super().__init__()
        self._commits: dict[tuple[int | None, int], Access] = {}
        self._put: dict[tuple[int, int], int] = defaultdict(int)
        self._put_at: dict[tuple[int, int], int] = defaultdict(int)

    def on_access(self, access: Access) -> None:
        """The commit index moves."""
        if access.is_write and is_commit(access.variable.attribute) and isinstance(access.value, int):
            server = access.variable.server
            self._commits[server, self.watch.life_of(server)] = access

    def on_apply(self, activity: Activity, server: int, life: int, message: Any) -> None:  # noqa: ANN401, ARG002
        """How far the server has applied."""
        self._put_at[server, life] = self.watch.scheduler.now_ns
        index = max(getattr(message, "command_index", 0) or 0, getattr(message, "snapshot_index", 0) or 0)
        self._put[server, life] = max(self._put[server, life], index)

    def on_finish(self) -> None:
        """Is anything committed and not applied?"""
        for (server, life), access in self._commits.items():
            if server is None or self.watch.life_of(server) != life or access.at_ns < self._put_at[server, life]:
                continue
            applied = self._put[server, life]
            if not isinstance(access.value, int) or access.value <= applied:
                continue
            for task in self.watch.scheduler.live.values():
                activity = self.watch.activity_of(task)
                waits = task.waiting and task.verb in {"wait for", "get from"}
                if waits and activity.server == server and not activity.entry:
                    what = f"server {server} has committed up to {access.value} and applied up to {applied}"
                    sleeper = self.watch.place(activity, "waits to be woken", self.watch.stack_of(task))
                    mover = self.watch.place_of(access, "moves the commit index")
                    self.report(access.variable.name, what, mover, sleeper)
