"""All mutants, and the rules and pitfalls that have none, each with the reason."""

from oarlock.zoo.catalogue.around import AROUND
from oarlock.zoo.catalogue.flow import FLOW_AND_TRANSFER
from oarlock.zoo.catalogue.membership import MEMBERS
from oarlock.zoo.catalogue.reads_and_votes import READS_AND_VOTES
from oarlock.zoo.catalogue.receivers import RECEIVERS
from oarlock.zoo.catalogue.servers import SERVERS
from oarlock.zoo.catalogue.snapshots import SNAPSHOTS
from oarlock.zoo.mutant import Mutant

ALL = (*RECEIVERS, *SERVERS, *SNAPSHOTS, *READS_AND_VOTES, *FLOW_AND_TRANSFER, *MEMBERS, *AROUND)
"""Every mutant, in the order of the paper, the dissertation and the layers of a server."""

MUTANTS: dict[str, Mutant] = {mutant.id: mutant for mutant in ALL}
"""Every mutant by its id."""

WITHOUT_RULE: dict[str, str] = {
    "SP-1": "a property that mutants of other rules break; nothing in the code carries it out",
    "SP-2": "as SP-1",
    "SP-3": "as SP-1",
    "SP-4": "as SP-1",
    "SP-5": "as SP-1",
}
"""Rules without a mutant of their own."""

WITHOUT_PITFALL: dict[str, str] = {
    "G25": "the machine's only caller is the applier; to reach it from elsewhere is a different program, not a slip",
    "G31": "the core takes no locks; `lab/` has the mutant",
    "G32": "a proposal is registered in the call that makes it; there is no moment between",
    "K1": "no data is shared between threads; `lab/` has the mutant",
    "K2": "term and role change within one call that nothing interrupts; the advisor's examples in `lab/` have it",
    "K3": "nothing is unlocked in the middle of a handler; the advisor's examples in `lab/` have it",
    "K4": "no lock is held while waiting, as there is none; `lab/` has the mutant",
    "K5": "messages are made in the call that decides them; the advisor's examples in `lab/` have it",
    "K7": "a cure, not a bug",
    "T1": "a message waits for no other's reply: there is no call to make wait",
    "B10": "a trimmed list is a new list; a memory test of `raft/log.py` holds that",
}
"""Pitfalls of the guide without a mutant."""
