"""What ready objects raise beside Python's own errors."""

import queue

from oarlock.replica.failures import register_error

register_error(queue.Empty)
register_error(queue.Full)


@register_error
class TooManyItems(Exception):
    """A collection would outgrow its limit; nothing was changed."""


@register_error
class TooManyWaiters(Exception):
    """So many wait already that nobody more is let into the queue."""


class NotHeld(Exception):
    """The lock or permit is not held under that token any more: its lease ended, or it was released."""


@register_error
class NoSuchJob(KeyError):
    """No job of that name was added to the scheduler."""
