"""One state for all that differ only in the servers' names.

First the servers are sorted by what they are but for their names, which mostly leaves one order. Only where some are
alike several orders are left; then the least of the states that they make is taken.
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
        self._count = len(renamings[0])
        self._table: dict[tuple[int, ...], tuple[int, ...]] = {}

    def of(self, kinds: Sequence[int]) -> tuple[int, ...]:
        """The numbers of the renamings that bring the kinds into their least order."""
        if self._count == 3:
            one, two, three = kinds
            pattern: tuple[int, ...] = (
                (one > two) - (one < two),
                (one > three) - (one < three),
                (two > three) - (two < three),
            )
        else:
            ranks = sorted(set(kinds))
            pattern = tuple([ranks.index(kind) for kind in kinds])
        found = self._table.get(pattern)
        if found is None:
            found = self._table[pattern] = self._work_out(kinds)
        return found

    def _work_out(self, kinds: Sequence[int]) -> tuple[int, ...]:
        arranged = []
        for renaming in self._renamings:
            order = [0] * self._count
            for place, name in enumerate(renaming):
                order[name - 1] = kinds[place]
            arranged.append(order)
        least = min(arranged)
        return tuple(number for number, order in enumerate(arranged) if order == least)
