"""One state for all that differ only in the servers' names.

Servers with equal roles in a state sort equal. So first the servers are sorted by what they are but for their names,
which mostly leaves one order; only where some are alike, the orders left are tried, and the least state is taken.
"""

from collections.abc import Sequence

from oarlock.explore.bounds import Renaming


class Orders:
    """Which renamings sort servers, given how their kinds compare.

    Args:
        renamings: A group, the identity first.
    """

    def __init__(self, renamings: Sequence[Renaming]) -> None:
        self._renamings = renamings
        self._table: dict[tuple[int, ...], tuple[int, ...]] = {}

    def of(self, kinds: list[int]) -> tuple[int, ...]:
        """The numbers of the renamings that bring the kinds into their least order."""
        ranks = sorted(set(kinds))
        pattern = tuple([ranks.index(kind) for kind in kinds])
        found = self._table.get(pattern)
        if found is None:
            found = self._table[pattern] = self._work_out(pattern)
        return found

    def _work_out(self, pattern: tuple[int, ...]) -> tuple[int, ...]:
        arranged = []
        for renaming in self._renamings:
            order = [0] * len(pattern)
            for place, name in enumerate(renaming):
                order[name - 1] = pattern[place]
            arranged.append(order)
        least = min(arranged)
        return tuple(number for number, order in enumerate(arranged) if order == least)
