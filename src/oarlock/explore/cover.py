"""States that others cover need not be gone on from.

Of two states that differ only in what is under way, the one with more under way can do all that the other can, and
comes by it to states that differ in the same way (`closure.py`). So where one is as near to the beginning, the other
leads to no servers and no history that it does not lead to as soon.
"""

from collections.abc import Sequence

from oarlock.explore.effects import Mask


class Cover:
    """The states that no other covers, of those that were found.

    Args:
        masks: Of each part of the network, its packets.
        count: How many servers there are.
    """

    def __init__(self, masks: Sequence[Mask], count: int) -> None:
        self._masks = masks
        self._count = count
        self._found: dict[tuple[int, ...], list[tuple[int, tuple[int, ...]]]] = {}
        """For servers and a history: what is under way, in states by number."""
        self._covered: set[int] = set()

    def covers(self, parts: tuple[int, ...]) -> bool:
        """Whether some state that was found covers another."""
        under_way = parts[self._count : -1]
        return any(self._has(held, under_way) for _, held in self._found.get(self._group(parts), ()))

    def add(self, number: int, parts: tuple[int, ...]) -> None:
        """Count a state among those found."""
        under_way = parts[self._count : -1]
        group = self._found.setdefault(self._group(parts), [])
        lesser = [(each, held) for each, held in group if self._has(under_way, held)]
        for pair in lesser:
            group.remove(pair)
            self._covered.add(pair[0])
        group.append((number, under_way))

    def is_covered(self, number: int) -> bool:
        """Whether a state that was found is covered by one that was found after it."""
        return number in self._covered

    def _group(self, parts: tuple[int, ...]) -> tuple[int, ...]:
        return (*parts[: self._count], parts[-1])

    def _has(self, more: tuple[int, ...], less: tuple[int, ...]) -> bool:
        masks = self._masks
        return all(one == other or not masks[other] & ~masks[one] for one, other in zip(more, less, strict=True))
