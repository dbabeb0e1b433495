"""What whoever watches over a run is told of its servers."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from oarlock.sim.process import Server


class Watcher:
    """Whoever wants to know what a server does."""

    def iterated(self, server: "Server", callbacks: int) -> None:
        """An iteration of its loop has ended."""

    def started(self, server: "Server") -> None:
        """A process is there, and its node has recovered."""

    def ended(self, server: "Server", why: str) -> None:
        """A process is gone: "killed", "stopped", "removed", "could not stop", "refused" or "failed"."""

    def defect(self, server: "Server", error: BaseException) -> None:
        """A callback raised what it should not have."""

    def acted(self, rule: str, operands: tuple[object, ...]) -> None:
        """A rule of some core has acted."""
