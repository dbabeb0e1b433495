"""How a virtual run goes wrong."""


class ThreadKilled(BaseException):
    """Ends a thread that was left over when the main one ended."""


class RunError(Exception):
    """The run cannot go on.

    Args:
        what: In one line.
        stacks: Where every thread is, as text.
    """

    def __init__(self, what: str, stacks: str = "") -> None:
        super().__init__(f"{what}\n\n{stacks}" if stacks else what)
        self.what = what
        self.stacks = stacks


class Deadlock(RunError):
    """Every thread waits, and no timer is set."""


class LimitExceeded(RunError):
    """The run took more steps, time or threads than it may."""


class Stuck(RunError):
    """A thread computes, or waits for something that is not the runtime's, and lets no other in."""
