"""Majorities: against a plain reading of the definition, and facts that must hold between answers."""

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from oarlock.raft.quorum import VoteResult, agreed_value, has_quorum, majority, vote_result
from oarlock.raft.types import Configuration

SERVERS = st.frozensets(st.integers(1, 7), min_size=1, max_size=5)
VALUES = st.dictionaries(st.integers(1, 7), st.integers(0, 9), max_size=7)
VOTES = st.dictionaries(st.integers(1, 7), st.booleans(), max_size=7)
CONFIGURATIONS = st.builds(
    Configuration, SERVERS, st.one_of(st.just(frozenset()), SERVERS), st.frozensets(st.integers(8, 9))
)
FEW = settings(max_examples=80, deadline=None, derandomize=True, database=None)


def halves(configuration: Configuration) -> list[frozenset[int]]:
    """The sets that each need a majority."""
    return [half for half in (configuration.voters, configuration.voters_outgoing) if half]


def is_quorum(configuration: Configuration, servers: frozenset[int]) -> bool:
    """The definition: more than half of each half."""
    return all(2 * len(half & servers) > len(half) for half in halves(configuration))


def test_a_majority_is_more_than_half() -> None:
    """C-2, L-4: of 1 to 7 voters."""
    assert [majority(voters) for voters in range(1, 8)] == [1, 2, 2, 3, 3, 4, 4]


@FEW
@given(CONFIGURATIONS, VALUES)
def test_agreed_value_is_the_highest_that_a_quorum_reached(
    configuration: Configuration, values: dict[int, int]
) -> None:
    """L-4, MC-2: every value up to it was reached by a quorum, the next higher by none."""
    agreed = agreed_value(configuration, values)
    for value in range(11):
        reached = frozenset(server for server, its in values.items() if its >= value)
        assert (value <= agreed) is (value == 0 or is_quorum(configuration, reached))


@FEW
@given(CONFIGURATIONS, VOTES)
def test_a_vote_is_decided_when_no_further_answer_can_change_it(
    configuration: Configuration, votes: dict[int, bool]
) -> None:
    """C-2, MC-2: won or lost exactly if all ways in which the rest may answer end so."""
    everyone = configuration.all_voters
    granted = frozenset(server for server, vote in votes.items() if vote)
    result = vote_result(configuration, votes)
    assert (result is VoteResult.WON) is is_quorum(configuration, granted)
    hoped = granted | (everyone - votes.keys())
    assert (result is not VoteResult.LOST) is is_quorum(configuration, hoped)


@FEW
@given(CONFIGURATIONS, VALUES)
def test_the_halves_may_be_swapped(configuration: Configuration, values: dict[int, int]) -> None:
    """MC-2: joint agreement does not know which half is old and which is new."""
    if configuration.is_joint:
        swapped = Configuration(configuration.voters_outgoing, configuration.voters, configuration.learners)
        assert agreed_value(swapped, values) == agreed_value(configuration, values)
        votes = {server: bool(value % 2) for server, value in values.items()}
        assert vote_result(swapped, votes) is vote_result(configuration, votes)


@FEW
@given(SERVERS, VALUES)
def test_two_equal_halves_are_one(voters: frozenset[int], values: dict[int, int]) -> None:
    """MC-2: a joint configuration of the same voters twice decides as the plain one."""
    plain, joint = Configuration(voters), Configuration(voters, voters)
    assert agreed_value(joint, values) == agreed_value(plain, values)


@FEW
@given(CONFIGURATIONS, VALUES, st.integers(1, 9))
def test_more_never_agrees_to_less(configuration: Configuration, values: dict[int, int], who: int) -> None:
    """L-4: when one server gains, the agreed value does not fall; learners and strangers move nothing."""
    before = agreed_value(configuration, values)
    raised = {**values, who: values.get(who, 0) + 1}
    assert agreed_value(configuration, raised) >= before
    if who not in configuration.all_voters:
        assert agreed_value(configuration, raised) == before


def test_any_two_quorums_meet() -> None:
    """SP-1, SP-4: exhaustively for up to five voters, joint with every neighbour that one change apart."""
    for size in range(1, 6):
        voters = frozenset(range(size))
        for other in (voters, voters | {9}, voters - {0}):
            if not other:
                continue
            configuration = Configuration(voters, other)
            sets = [
                frozenset(some)
                for count in range(size + 2)
                for some in itertools.combinations(sorted(voters | other), count)
            ]
            joint = [some for some in sets if has_quorum(configuration, some)]
            plain = [some for half in (voters, other) for some in sets if has_quorum(Configuration(half), some)]
            assert all(one & another for one in joint for another in plain)


def test_nobody_is_no_quorum() -> None:
    """C-2, L-4: a server that is in no configuration yet can decide nothing."""
    assert vote_result(Configuration(), {1: True}) is VoteResult.LOST
    assert agreed_value(Configuration(), {1: 9}) == 0
    assert not has_quorum(Configuration(), {1})
