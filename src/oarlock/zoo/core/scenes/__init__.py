"""Directed schedules, for bugs that need just the right moment: what chance would take long to find."""

from collections.abc import Callable

from oarlock.zoo.core.scenes.elections import ELECTIONS
from oarlock.zoo.core.scenes.leases import LEASES
from oarlock.zoo.core.scenes.membership import MEMBERSHIP
from oarlock.zoo.core.scenes.replication import REPLICATION
from oarlock.zoo.core.scenes.snapshots import SNAPSHOTS
from oarlock.zoo.core.scenes.transfers import TRANSFERS

Scene = Callable[[int], None]
"""Plays with a seed; raises `Broken` if its claim does not hold."""

SCENES: dict[str, Scene] = {
    scene.__name__: scene for scene in (*ELECTIONS, *TRANSFERS, *LEASES, *REPLICATION, *SNAPSHOTS, *MEMBERSHIP)
}
"""Every scene by its name."""
