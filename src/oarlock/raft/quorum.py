"""Majorities, single and joint. Commitment, elections and reads all ask here."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from enum import Enum

from oarlock.raft.types import Configuration, ServerId


class VoteResult(Enum):
    """Where a vote stands."""

    WON = "won"
    PENDING = "pending"
    LOST = "lost"


def majority(voters: int) -> int:
    """How many of `voters` are more than half."""
    return voters // 2 + 1


def _agreed(voters: AbstractSet[ServerId], value_of: Mapping[ServerId, int]) -> int:
    """The highest value that a majority of `voters` has reached; 0 for one who is unknown."""
    values = sorted((value_of.get(voter, 0) for voter in voters), reverse=True)
    return values[majority(len(voters)) - 1]


def agreed_value(configuration: Configuration, value_of: Mapping[ServerId, int]) -> int:
    """The highest value that a quorum has reached; while joint, both halves (MC-2).

    Of match_index it is the index to commit (L-4), of request ids the newest that confirms leadership (CL-Q4).
    """
    if not configuration.voters:
        return 0
    agreed = _agreed(configuration.voters, value_of)
    if configuration.voters_outgoing:
        agreed = min(agreed, _agreed(configuration.voters_outgoing, value_of))
    return agreed


def _vote(voters: AbstractSet[ServerId], votes: Mapping[ServerId, bool]) -> VoteResult:
    granted = sum(1 for voter in voters if votes.get(voter) is True)
    refused = sum(1 for voter in voters if votes.get(voter) is False)
    needed = majority(len(voters))
    if granted >= needed:
        return VoteResult.WON
    return VoteResult.LOST if len(voters) - refused < needed else VoteResult.PENDING


def vote_result(configuration: Configuration, votes: Mapping[ServerId, bool]) -> VoteResult:
    """Whether the votes received decide the election (C-2, PV-3); while joint both halves must (MC-2)."""
    if not configuration.voters:
        return VoteResult.LOST
    results = {_vote(configuration.voters, votes)}
    if configuration.voters_outgoing:
        results.add(_vote(configuration.voters_outgoing, votes))
    if VoteResult.LOST in results:
        return VoteResult.LOST
    return VoteResult.PENDING if VoteResult.PENDING in results else VoteResult.WON


def has_quorum(configuration: Configuration, servers: AbstractSet[ServerId]) -> bool:
    """Whether `servers` hold a quorum (CQ-1)."""
    return vote_result(configuration, dict.fromkeys(servers, True)) is VoteResult.WON
