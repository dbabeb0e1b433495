"""Rule 5: what was decided before a lock was let go is looked at again before it is used.

Two things are looked for, both at RPCs that carry a term in their arguments.

*Arguments from later*: the term in an RPC was read anew by the activity that calls, in a lock region in which it
neither compared the term with anything, nor looked at the role, nor wrote either. Whoever decided to send did so in
another region, and may have been in another term. Told as well is whether that happened in this run: the term was
another one when the thread that calls was started. A term that was handed to the thread is right, and so is one that
was read together with the role.

*Replies without a look*: after a call the first lock region of the same activity writes something of its server's,
other than times, without having compared the current term before: the term may have changed since the request. To ask
whether something is newer than the current term, as one does with a reply's, is not enough. If the reply's term is
higher than the server's, stepping down is expected, and nothing is said. What the activity made itself, such as its
arguments, is no data of the server's.

Missed: replies that are handed to another thread, RPCs without a term, and a comparison that is made but not heeded.
"""

from oarlock.lab.advisor.check import Check
from oarlock.lab.advisor.names import is_moment, is_role
from oarlock.lab.advisor.record import Access, Activity, Rpc, Variable
from oarlock.lab.threads import Event, Kind, Task


class LaterArguments(Check):
    """Arguments from later; see the module."""

    check = "later-arguments"
    rule = "rule 5"
    pitfall = "K5"
    advice = "Copy the term while holding the lock under which it was decided to send, and hand the copy to the thread."
    named_only = True

    def __init__(self) -> None:
        super().__init__()
        self._read: dict[Activity, Access] = {}
        """In the present region: the plain read of the term."""
        self._looked: set[Activity] = set()
        """Who looked at the role, or compared or wrote the term, in the present region."""
        self._bare: dict[Activity, Access] = {}
        """The last read of the term in a region without such a look."""
        self._term_at_start: dict[int, int] = {}
        """By task: its server's term when it was started."""

    def on_event(self, event: Event, activity: Activity) -> None:
        """Note the term when a thread is started."""
        if event.kind is Kind.THREAD_START and isinstance(event.subject, Task) and activity.server in self.watch.terms:
            self._term_at_start[event.subject.number] = self.watch.terms[activity.server]

    def on_access(self, access: Access) -> None:
        """Note how the term and the role are used."""
        activity, attribute = access.activity, access.variable.attribute
        if isinstance(access.value, int) and access.variable.is_current_term:
            if access.is_write or access.use.compared:
                self._look(activity)
            else:
                self._read[activity] = access
                if not access.regions and activity not in self._looked:
                    self._bare[activity] = access
        elif is_role(attribute, access.value):
            self._look(activity)

    def _look(self, activity: Activity) -> None:
        self._looked.add(activity)
        self._bare.pop(activity, None)

    def on_region_end(self, activity: Activity) -> None:
        """Judge the region."""
        read = self._read.pop(activity, None)
        if read is not None and activity not in self._looked:
            self._bare[activity] = read
        self._looked.discard(activity)

    def on_rpc_begin(self, rpc: Rpc) -> None:
        """Is the term in the arguments one that was read without a look?"""
        read = self._bare.get(rpc.activity)
        if read is None or rpc.args_term is None or read.value != rpc.args_term or rpc.activity.parent is None:
            return
        if rpc.activity.waits:
            return  # a loop of its own decides what it sends, at the time when it reads
        before = self._term_at_start.get(rpc.activity.task.number)
        happened = f"; here it had been started in term {before}" if before not in (None, rpc.args_term) else ""
        what = f"{rpc.activity.name} sends {rpc.method} with the term of when it came to run, {rpc.args_term}{happened}"
        places = [self.watch.place_of(read)]
        if rpc.activity.started_at:
            places.insert(0, self.watch.place(rpc.activity.parent, "starts the thread", rpc.activity.started_at))
        places.append(self.watch.place(rpc.activity, f"sends {rpc.method}", rpc.frames))
        self.report(rpc.method, what, *places)


class UncheckedReply(Check):
    """Replies without a look; see the module."""

    check = "unchecked-reply"
    rule = "rule 5"
    pitfall = "K6"
    advice = "With the lock taken again compare the current term with the request's, and drop the reply if it differs."

    def __init__(self) -> None:
        super().__init__()
        self._pending: dict[Activity, Rpc] = {}
        """Replies that came, and whose first region is not over."""
        self._compared: set[Activity] = set()
        self._made: dict[Variable, Activity] = {}
        """Who touched a variable first."""

    def on_rpc_begin(self, rpc: Rpc) -> None:
        """The one before is dealt with."""
        self._pending.pop(rpc.activity, None)

    def on_rpc_end(self, rpc: Rpc) -> None:
        """A reply is there."""
        if rpc.replied and rpc.args_term is not None:
            self._pending[rpc.activity] = rpc
            self._compared.discard(rpc.activity)

    def on_access(self, access: Access) -> None:
        """A comparison of the term, or a write."""
        activity = access.activity
        self._made.setdefault(access.variable, activity)
        rpc = self._pending.get(activity)
        if rpc is None:
            return
        attribute = access.variable.attribute
        if isinstance(access.value, int) and not access.is_write and access.variable.is_current_term:
            if access.use.compared and not access.use.asks_if_newer:
                self._compared.add(activity)
        elif access.is_write and not is_moment(attribute, access.value) and self._made[access.variable] is not activity:
            self._judge(rpc, access)

    def _judge(self, rpc: Rpc, access: Access) -> None:
        activity = rpc.activity
        now = self.watch.terms.get(activity.server)
        steps_down = rpc.reply_term is not None and now is not None and rpc.reply_term > now
        if steps_down and access.variable.is_current_term:
            self._pending.pop(activity)  # it is a follower of that term, and what it writes besides belongs to that
        if now is None or activity in self._compared or steps_down:
            return
        what = f"{activity.name} writes {access.variable.name} for a reply to {rpc.method}, whatever the term is now"
        if now != rpc.args_term:
            what += f"; here it asked in term {rpc.args_term} and was in term {now}"
        sent = self.watch.place(activity, f"calls {rpc.method}", rpc.frames)
        self.report(rpc.method, what, sent, self.watch.place_of(access))
        self._pending.pop(activity, None)

    def on_region_end(self, activity: Activity) -> None:
        """What follows is no dealing with the reply any more."""
        self._pending.pop(activity, None)
