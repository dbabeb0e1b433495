"""Ready objects that every server has a copy of."""

from oarlock.replica.objects.barrier import ReplicatedBarrier
from oarlock.replica.objects.counter import ReplicatedCounter
from oarlock.replica.objects.dictionary import ReplicatedDict
from oarlock.replica.objects.election import LeaderElection
from oarlock.replica.objects.errors import NoSuchJob, NotHeld, TooManyItems, TooManyWaiters
from oarlock.replica.objects.leased import Lease
from oarlock.replica.objects.lists import ReplicatedList
from oarlock.replica.objects.locks import ReplicatedLock, ReplicatedSemaphore
from oarlock.replica.objects.queues import ReplicatedPriorityQueue, ReplicatedQueue
from oarlock.replica.objects.scheduler import ReplicatedScheduler, Run
from oarlock.replica.objects.sets import ReplicatedSet

__all__ = [
    "LeaderElection",
    "Lease",
    "NoSuchJob",
    "NotHeld",
    "ReplicatedBarrier",
    "ReplicatedCounter",
    "ReplicatedDict",
    "ReplicatedList",
    "ReplicatedLock",
    "ReplicatedPriorityQueue",
    "ReplicatedQueue",
    "ReplicatedScheduler",
    "ReplicatedSemaphore",
    "ReplicatedSet",
    "Run",
    "TooManyItems",
    "TooManyWaiters",
]
