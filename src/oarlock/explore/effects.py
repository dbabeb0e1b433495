"""Functions of sets that act on few of their members, and leave the others as they are.

A set of numbers is one integer, with a bit for each. Of a set only the members that a function acts on are looked up,
so sets that differ in others share what was worked out.
"""

from collections.abc import Callable, Iterator

Mask = int
"""A set of numbers."""


def members(mask: Mask) -> Iterator[int]:
    """The numbers in a set, in order."""
    while mask:
        lowest = mask & -mask
        yield lowest.bit_length() - 1
        mask ^= lowest


def mask_of(numbers: "list[int] | set[int] | tuple[int, ...]") -> Mask:
    """The set of some numbers."""
    mask = 0
    for number in numbers:
        mask |= 1 << number
    return mask


class Effect:
    """A function of sets.

    Args:
        acts_on: Whether a number counts: whether it may become another, or decides what others become.
        function: What becomes of a set of numbers that count.
        always: What is added to every set before.
    """

    __slots__ = ("_acts_on", "_function", "_known", "_results", "_support", "always", "interest")

    def __init__(self, acts_on: Callable[[int], bool], function: Callable[[Mask], Mask], always: Mask = 0) -> None:
        self._acts_on = acts_on
        self._function = function
        self.always = always
        self._known: Mask = 0
        self._support = 0
        self._results: dict[Mask, Mask] = {}
        self.interest: Mask = -1
        """The numbers that count, and those that may."""

    def __call__(self, mask: Mask) -> Mask:
        """What becomes of a set."""
        mask |= self.always
        if not mask & self.interest:
            return mask
        if mask & ~self._known:
            self._learn(mask & ~self._known)
        relevant = mask & self._support
        if not relevant:
            return mask
        result = self._results.get(relevant)
        if result is None:
            result = self._results[relevant] = self._function(relevant)
        return mask ^ relevant | result

    def _learn(self, unknown: Mask) -> None:
        for number in members(unknown):
            if self._acts_on(number):
                self._support |= 1 << number
        self._known |= unknown
        self.interest = self._support | ~self._known
