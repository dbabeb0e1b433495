"""What is explored: a small cluster, and how much may happen to it."""

from itertools import permutations
from typing import Final

import msgspec

from oarlock.check.invariants import PROPERTIES
from oarlock.raft.types import Configuration, ServerId, Term

MOST_SERVERS: Final = 5
MOST_TERMS: Final = 7
"""Terms are packed in three bits."""

Renaming = tuple[ServerId, ...]
"""A permutation of the servers: what is at place i - 1 is the new name of server i."""


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """How far an exploration goes; within these bounds everything that can happen is tried.

    Raises:
        ValueError: A bound is out of range; the message names it.
    """

    servers: int = 3
    voters: int = 0
    """How many of them vote at first, from 1 on; 0 for all."""
    terms: int = 2
    """Nobody campaigns for a later one."""
    entries: int = 1
    """Commands that clients propose. The entries with which leaders open their terms come on top."""
    crashes: int = 0
    changes: int = 0
    """Changes of membership begun, each to any set of voters that differs in one server."""
    snapshots: int = 0
    """How often a server may take a snapshot and drop its log up to there."""
    heartbeats: bool = True
    """Whether leaders send heartbeats when nothing else is to be sent; the first, on winning, they always send."""
    writes: int = 0
    """How many writes a disk may have under way while its server goes on; 0 for disks that end a write at once."""
    pre_vote: bool = False
    check_quorum: bool = False
    late: bool = False
    """Whether leaders may take what they sent for lost, at any time."""
    one_entry_messages: bool = False
    """Whether no message holds a command and anything else; a leader's first entry is empty, and costs no room."""
    candidates: tuple[ServerId, ...] = ()
    """Who alone may campaign for the terms 1, 2, ...; all may where none is named."""
    proposed_in: tuple[Term, ...] = ()
    """In which terms alone the commands 1, 2, ... are proposed; in any where none is named."""
    crashing: tuple[ServerId, ...] = ()
    """Who alone may crash; all may where none is named."""
    ignored: tuple[str, ...] = ()
    """Properties that are not checked."""
    symmetry: bool = True
    """Whether states that differ only in the servers' names count as one; with changes they never do."""
    eager: bool = True
    """Whether steps that only send are taken at once, for whoever has more under way can do more."""
    cover: bool = False
    """Whether states are left out that differ from one as near to the beginning only in less that is under way."""

    def __post_init__(self) -> None:
        """Refuse what cannot be explored."""
        ranges = {
            "servers": (1, MOST_SERVERS),
            "voters": (0, self.servers),
            "terms": (1, MOST_TERMS),
            "entries": (0, 9),
            "crashes": (0, 9),
            "changes": (0, 9),
            "snapshots": (0, 9),
            "writes": (0, 9),
        }
        for name, (least, most) in ranges.items():
            if not least <= getattr(self, name) <= most:
                raise ValueError(f"{name} must be from {least} to {most}, not {getattr(self, name)}")
        for name in self.ignored:
            if name not in PROPERTIES:
                raise ValueError(f'ignored names "{name}", which is no property')
        for name in ("candidates", "crashing"):
            for server_id in getattr(self, name):
                if server_id not in self.ids:
                    raise ValueError(f"{name} names server {server_id}, which is not among {self.servers}")
        for term in self.proposed_in:
            if not 1 <= term <= self.terms:
                raise ValueError(f"proposed_in names term {term}, which is not among {self.terms}")

    @property
    def ids(self) -> range:
        """The servers' ids."""
        return range(1, self.servers + 1)

    @property
    def configuration(self) -> Configuration:
        """Of the cluster at first."""
        return Configuration(voters=frozenset(self.ids[: self.voters or self.servers]))

    @property
    def looks_at_leaders(self) -> bool:
        """Whether it counts, for a server that follows, whom."""
        return self.pre_vote or self.check_quorum

    def may_campaign(self, server_id: ServerId, term: Term) -> bool:
        """Whether a server may campaign for a term."""
        if term > self.terms:
            return False
        return term > len(self.candidates) or self.candidates[term - 1] == server_id

    def may_propose(self, number: int, term: Term) -> bool:
        """Whether a leader of a term may be given a command, by the command's number from 1 on."""
        return number > len(self.proposed_in) or self.proposed_in[number - 1] == term

    def may_crash(self, server_id: ServerId) -> bool:
        """Whether a server may crash at all."""
        return bool(self.crashes) and (not self.crashing or server_id in self.crashing)

    def targets(self, configuration: Configuration) -> list[Configuration]:
        """What the membership may be changed to."""
        one_more_or_less = [configuration.voters ^ {server_id} for server_id in self.ids]
        return [Configuration(voters=voters) for voters in one_more_or_less if voters]

    def renamings(self) -> list[Renaming]:
        """The permutations of the servers under which the bounds stay what they are; the identity first."""
        if not self.symmetry or self.changes:
            # A leader that is removed asks the lowest of several equally good successors to campaign.
            return [tuple(self.ids)]
        alike, named = (self.configuration.voters, frozenset(self.crashing)), set(self.candidates)
        return [
            renaming
            for renaming in permutations(self.ids)
            if all({renaming[each - 1] for each in group} == group for group in alike)
            and all(renaming[each - 1] == each for each in named)
        ]
