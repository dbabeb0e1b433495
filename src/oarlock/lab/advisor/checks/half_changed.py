"""Rules 2 and 3: a group of related fields is changed, and what is decided on is read and written, in one lock region.

The group is the term and the role, by their names (`names`). A region is what one activity does from an acquisition
of a lock to its release; a condition's wait ends one and begins another.

Rule 2 is broken where one activity writes one of the two in a region that does not write the other, and later writes
the other in a region that does not write the first, without having read it there before: whoever looks in between
sees the new term with the old role, or the other way round. Also where it does so with no lock at all.

Rule 3 is broken where an activity reads a field in one region and writes it in a later one, of the same lock, without
reading it there again first; the field being the term, the role, the vote, the commit index or the last applied one,
and one that more than one thread or handler writes. `x += 1` reads it again. For the term, the role and the vote it
is enough to have read any of the three again: they go together.

Missed: groups of other fields, containers, and a re-read whose result is not looked at, which counts as a look.
"""

from collections import defaultdict

from oarlock.lab.advisor.check import Check
from oarlock.lab.advisor.names import is_applied, is_commit, is_role, is_vote
from oarlock.lab.advisor.record import Access, Activity, Finding, Variable
from oarlock.lab.threads.locks import Lock

Region = tuple[Lock | None, int]
NO_LOCK = 0


class HalfChanged(Check):
    """Rule 2; see the module."""

    check = "half-changed"
    rule = "rule 2"
    pitfall = "K2"
    advice = "Change the term and the role in one region: nobody may see the one new and the other old."
    named_only = True

    def __init__(self) -> None:
        super().__init__()
        self._written: dict[Activity, dict[str, Access]] = defaultdict(dict)
        """In the present region: the last write of `term` and `role`."""
        self._read: dict[Activity, set[str]] = defaultdict(set)
        """In the present region: what was read before it was written."""
        self._half: dict[Activity, tuple[str, Access]] = {}
        """What was written alone in an earlier region."""

    def on_access(self, access: Access) -> None:
        """Note what of the group is read and written."""
        name = _group_name(access)
        if name is None or access.activity.entry == "make":
            return
        activity = access.activity
        if not access.is_write:
            if not access.use.augments and activity not in self._written:
                self._read[activity].add(name)
            return
        if access.regions:
            self._written[activity].setdefault(name, access)
        else:
            self._judge(activity, {name: access})

    def on_region_end(self, activity: Activity) -> None:
        """The outermost lock is given back: what was changed can be seen."""
        if not self.watch.held(activity.task):
            self._judge(activity, self._written.pop(activity, {}))
            self._read.pop(activity, None)

    def _judge(self, activity: Activity, written: dict[str, Access]) -> None:
        if len(written) != 1:
            if written:
                self._half.pop(activity, None)
            return
        ((name, access),) = written.items()
        before = self._half.get(activity)
        if before is not None and before[0] != name and before[0] not in self._read[activity]:
            first = before[1]
            subject = " and ".join(sorted([first.variable.name, access.variable.name]))
            fields = f"{first.variable.name}, lets the lock go, and then changes {access.variable.name}"
            what = f"{activity.name} changes {fields}"
            self.report(subject, what, self.watch.place_of(first), self.watch.place_of(access))
        self._half[activity] = (name, access)


class CheckThenAct(Check):
    """Rule 3; see the module."""

    check = "check-then-act"
    rule = "rule 3"
    pitfall = "K3"
    advice = "Read and write in one region, or read again after the lock was let go."
    named_only = True

    def __init__(self) -> None:
        super().__init__()
        self._reads: dict[Activity, dict[Variable, Access]] = defaultdict(dict)
        self._writers: dict[Variable, set[int | str]] = defaultdict(set)
        self._suspects: dict[str, list[tuple[Access, Access]]] = defaultdict(list)

    def on_access(self, access: Access) -> None:
        """Compare a write with the activity's last read."""
        if access.activity.entry == "make" or not _is_decided_on(access):
            return
        variable, activity = access.variable, access.activity
        reads = self._reads[activity]
        if not access.is_write:
            reads[variable] = access
            if _is_of_group(access) and not access.use.augments:
                for other, read in reads.items():
                    if _is_of_group(read) and other.server == variable.server:
                        reads[other] = access
            return
        self._writers[variable].add(activity.name if activity.entry else activity.root().number)
        if variable not in reads:
            return
        read = reads.pop(variable)
        if (
            read.regions.keys() & access.regions.keys()
            and not read.shares_region(access.regions)
            and len(self._suspects[variable.name]) < 20
        ):
            self._suspects[variable.name].append((read, access))

    def findings(self) -> list[Finding]:
        """Of fields that only one thread writes nothing is said."""
        for name, suspects in self._suspects.items():
            for read, write in suspects:
                if len(self._writers[write.variable]) > 1:
                    looked = read.variable.name
                    done = f"reads {looked}, lets the lock go, and writes {name} without another look"
                    what = f"{write.activity.name} {done}"
                    self.report(name, what, self.watch.place_of(read), self.watch.place_of(write))
        return super().findings()


def _group_name(access: Access) -> str | None:
    if isinstance(access.value, int) and access.variable.is_current_term:
        return "term"
    return "role" if is_role(access.variable.attribute, access.value) else None


def _is_of_group(access: Access) -> bool:
    return is_vote(access.variable.attribute) or _group_name(access) is not None


def _is_decided_on(access: Access) -> bool:
    attribute, value = access.variable.attribute, access.value
    return _is_of_group(access) or (isinstance(value, int) and (is_commit(attribute) or is_applied(attribute)))
