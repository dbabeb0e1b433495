"""Counterfactuals: what becomes of single messages, whatever would have become of them."""

from collections.abc import Callable

from oarlock.raft.types import ServerId
from oarlock.sim.schedule import MessageEdit, Schedule
from oarlock.sim.scheduler import Scheduler

HandOver = Callable[[ServerId, ServerId, bytes], bool]
"""Gives a server a message past the network: source, receiver, payload; False if the receiver is down."""


class Edits:
    """The edits of a schedule, for those who move messages.

    Args:
        scheduler: Tells the time.
        schedule: Holds them.
        hand_over: Gives a message past the network.
    """

    def __init__(self, scheduler: Scheduler, schedule: Schedule, hand_over: HandOver) -> None:
        self._scheduler = scheduler
        self._by_message = {edit.message: edit for edit in schedule.edits}
        self._usual_delay_s = schedule.settings.link_delay_s
        self.hand_over = hand_over

    def find(self, message_id: str) -> MessageEdit | None:
        """What is to become of a message; None for what the network makes of it."""
        return self._by_message.get(message_id)

    def after(self, seconds: float, act: Callable[..., object], *args: object) -> None:
        """Do something later."""
        self._scheduler.after(seconds, act, *args)

    def after_usual_delay(self, act: Callable[..., object], *args: object) -> None:
        """Do something when a message that leaves now usually arrives."""
        self.after(self._usual_delay_s, act, *args)
