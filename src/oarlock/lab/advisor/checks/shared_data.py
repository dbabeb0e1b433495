"""Rule 1: data that several activities use, at least one of which changes it, needs a lock.

Reported are two accesses to one attribute of one object, in two activities, at least one a write, with no lock held
at both, where neither activity had learnt of the other's (see `watch`): a lockset analysis in the manner of Eraser,
joined with happened-before for all but locks. So it does not take that the two came close in time: it is enough that
nothing would have kept them from it.

Not reported is what an activity does with an attribute that nobody else has touched yet, if it made it: so an object
that is filled in by who makes it, and then only read by others, needs no lock. For what `make` makes the order alone
counts: what it writes before it starts a thread is no concern, as everyone learns
of that.

Not reported: an attribute whose every write after `make` stores True, such as `dead`. In Python such a store is one
step, it happens once, and who reads it late is no worse off than who read it before; the labs' own `killed()` does
the same with an atomic. Missed: what `instrument` misses, and whatever no thread did in the scenario.
"""

from collections import defaultdict
from typing import Final

from oarlock.lab.advisor.check import Check
from oarlock.lab.advisor.record import Access, Activity, Finding, Variable
from oarlock.lab.threads.locks import Lock

KEPT: Final = 2
"""Accesses kept of each kind, of different activities: enough to find two runs of the same code at odds."""
MOST_KINDS: Final = 200
"""Kinds of accesses kept of one variable."""


class SharedData(Check):
    """See the module."""

    check = "shared-data"
    rule = "rule 1"
    pitfall = "K1"
    advice = "Hold the lock that guards this data at every access, reads too."

    def __init__(self) -> None:
        super().__init__()
        self._kinds: dict[Variable, dict[object, list[Access]]] = defaultdict(dict)
        self._in_make: dict[Variable, list[list[Access]]] = defaultdict(list)
        """Of those, the ones within `make`."""
        self._makers: dict[Variable, Activity | None] = {}
        """Who touched a variable first; None once somebody else has."""
        self._common: dict[Variable, frozenset[Lock]] = {}
        """Locks held at every access so far, those within `make` aside."""
        self._races: dict[Variable, tuple[Access, Access]] = {}
        self._other_writes: set[Variable] = set()
        """Variables that were given another value than True after `make`."""

    def on_access(self, access: Access) -> None:
        """Compare with what others did."""
        variable, activity = access.variable, access.activity
        in_make = activity.entry == "make"
        if access.is_write and not in_make and access.value is not True:
            self._other_writes.add(variable)
        if variable in self._races or self._is_being_made(access):
            return
        kinds = self._kinds[variable]
        locks = frozenset(access.regions)
        if not in_make:
            common = self._common.get(variable)
            self._common[variable] = common = locks if common is None else common & locks
            compared = self._in_make[variable] if common else kinds.values()
            self._compare(access, [each for kept in compared for each in kept])
        site = access.frames[0] if access.frames else None
        key = (site, access.is_write, locks, in_make)
        kept = kinds.get(key)
        if kept is None:
            if len(kinds) < MOST_KINDS:
                kinds[key] = [access]
                if in_make:
                    self._in_make[variable].append(kinds[key])
        elif kept[-1].activity is activity:
            kept[-1] = access
        else:
            kept.append(access)
            del kept[:-KEPT]

    def _is_being_made(self, access: Access) -> bool:
        """Whether nobody but who made the variable has touched it."""
        variable, activity = access.variable, access.activity
        if self._makers.setdefault(variable, activity) is activity and activity.entry != "make":
            return True
        self._makers[variable] = None
        return False

    def _compare(self, access: Access, others: list[Access]) -> None:
        for other in others:
            if (
                other.activity is not access.activity
                and (other.is_write or access.is_write)
                and not (other.regions.keys() & access.regions.keys())
                and not other.is_before(access.activity)
            ):
                self._races[access.variable] = (other, access)
                return

    def findings(self) -> list[Finding]:
        """One for each attribute of a class."""
        for variable, (first, second) in self._races.items():
            if variable in self._other_writes:
                unlocked = [each for each in (first, second) if not each.regions]
                how = "without any lock" if unlocked else "under different locks"
                what = f"{first.activity.name} and {second.activity.name} use {variable.name}, one of them {how}"
                self.report(variable.name, what, self.watch.place_of(first), self.watch.place_of(second))
        return super().findings()
