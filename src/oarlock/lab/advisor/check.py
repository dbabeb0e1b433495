"""What a check may listen to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from oarlock.lab.advisor.record import Access, Activity, Finding, Place, Rpc
from oarlock.lab.threads import Event
from oarlock.lab.threads.locks import Lock

if TYPE_CHECKING:
    from oarlock.lab.advisor.watch import Watch


class Check:
    """Listens to a run, and keeps what it finds; one finding for each subject."""

    check = ""
    """Its short name."""
    rule = ""
    pitfall = ""
    advice = ""
    named_only = False
    """Whether `on_access` is told only of what may be a term, a role, a vote, or an index, by its name."""

    def __init__(self) -> None:
        self.watch: Watch
        """Set before the run."""
        self.found: dict[str, Finding] = {}

    def report(self, subject: str, what: str, *places: Place, advice: str = "", pitfall: str = "") -> None:
        """Keep a finding, unless there is one of that subject."""
        self.found.setdefault(
            subject,
            Finding(
                self.check,
                self.rule,
                pitfall or self.pitfall,
                subject,
                what,
                advice or self.advice,
                places,
                self.watch.seed,
            ),
        )

    def findings(self) -> list[Finding]:
        """What was found in the run."""
        return list(self.found.values())

    def on_event(self, event: Event, activity: Activity) -> None:
        """A thread did something."""

    def on_acquired(self, activity: Activity, lock: Lock, held: list[Lock]) -> None:
        """A lock was acquired by one who held others."""

    def on_region_end(self, activity: Activity) -> None:
        """A lock is released."""

    def on_access(self, access: Access) -> None:
        """An attribute was read, or is written."""

    def on_rpc_begin(self, rpc: Rpc) -> None:
        """A peer is called."""

    def on_rpc_end(self, rpc: Rpc) -> None:
        """A call is over, with a reply or without."""

    def on_apply(self, activity: Activity, server: int, life: int, message: Any) -> None:  # noqa: ANN401
        """Something is put on an apply channel."""

    def on_finish(self) -> None:
        """The scenario is over."""
