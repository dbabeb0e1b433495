"""How far states went: states of several explorations that went differently far are different, and add up.

An exploration with more terms and fewer crashes holds some states of one with fewer terms and more crashes, and others
do not have. Those where a server is in the last term, or where the last crash happened, are in one of the two alone.
"""

from collections import Counter

import msgspec

from oarlock.explore.history import CRASH, PROPOSAL
from oarlock.explore.space import Space
from oarlock.explore.visited import Visited


class Reach(msgspec.Struct, frozen=True):
    """States that went equally far, of one exploration."""

    term: int
    """The highest that one of their servers is in."""
    entries: int
    """Commands proposed."""
    crashes: int
    states: int
    """How many they are."""


def reaches(space: Space, visited: Visited) -> list[Reach]:
    """All states that were found, by how far they went."""
    terms = [view.current_term for view in space.servers.views]
    spent = [(history.spent[PROPOSAL], history.spent[CRASH]) for history in space.histories]
    count, unpack = space.bounds.servers, space.unpack
    found: Counter[tuple[int, int, int]] = Counter()
    for number in range(len(visited)):
        parts = unpack(visited.key(number))
        found[max([terms[server] for server in parts[:count]]), *spent[parts[-1]]] += 1
    return [Reach(*reach, states) for reach, states in sorted(found.items())]
