"""What ready objects raise beside Python's own errors."""


class TooManyItems(Exception):
    """A collection would outgrow its limit; nothing was changed."""


class TooManyWaiters(Exception):
    """So many wait already that nobody more is let into the queue."""


class NotHeld(Exception):
    """The lock or permit is not held under that token any more: its lease ended, or it was released."""


class NoSuchJob(KeyError):
    """No job of that name was added to the scheduler."""
