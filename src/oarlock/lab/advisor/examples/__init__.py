"""Small Rafts that each break one piece of advice, and their repaired twins, which differ in the lines concerned.

Each module here has `faulty` and `repaired`, to be made as any lab implementation is:
`oarlock lab advise oarlock.lab.advisor.examples.half_changed:faulty`. They are exercises, not meant for use.
"""

from typing import Final

EXAMPLES: Final = {
    "shared_data": "shared-data",
    "half_changed": "half-changed",
    "check_then_act": "check-then-act",
    "sleep_with_lock": "waits-with-lock",
    "call_with_lock": "waits-with-lock",
    "put_with_lock": "waits-with-lock",
    "join_with_lock": "waits-with-lock",
    "two_locks": "lock-order",
    "four_way": "lock-order",
    "later_arguments": "later-arguments",
    "unchecked_vote": "unchecked-reply",
    "unchecked_append": "unchecked-reply",
    "serial_rpcs": "serial-rpcs",
    "combined_timers": "combined-timers",
    "timer_objects": "timer-objects",
    "two_appliers": "several-appliers",
    "applier_sleeps": "applier-not-woken",
}
"""The module of each example, and the check that finds its fault."""
