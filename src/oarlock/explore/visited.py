"""The states that were found, in few bytes each: what they are, and from which one each was found.

States are numbered in the order in which they are found, so those that wait to be explored are the last ones, and need
no list of their own.
"""

from array import array
from typing import Final

from oarlock.explore.space import Key

_FIRST_SLOTS: Final = 1 << 10


class Visited:
    """Keys by number, and numbers by key: one array of keys, and a table of numbers with open addresses.

    Keys are compared whole; a hash only says where to look.

    Args:
        key_bytes: The length of a key.
    """

    def __init__(self, key_bytes: int) -> None:
        self._key_bytes = key_bytes
        self._keys = bytearray()
        self._parents = array("I")
        self._slots = array("I", [0]) * _FIRST_SLOTS
        """Numbers from 1 on; 0 for none."""

    def __len__(self) -> int:
        return len(self._parents)

    @property
    def bytes_held(self) -> int:
        """How much memory this takes."""
        return len(self._keys) + sum(each.itemsize * len(each) for each in (self._parents, self._slots))

    def key(self, number: int) -> Key:
        """The state of a number."""
        at = number * self._key_bytes
        return bytes(self._keys[at : at + self._key_bytes])

    def parent(self, number: int) -> int:
        """From which state another was found; the first from itself."""
        return self._parents[number]

    def slot(self, key: Key) -> int:
        """Where a new state belongs; -1 for a state that was found before."""
        slots, keys, length = self._slots, self._keys, self._key_bytes
        mask = len(slots) - 1
        slot = hash(key) & mask
        while number := slots[slot]:
            at = number * length
            if keys[at - length : at] == key:
                return -1
            slot = (slot + 1) & mask
        return slot

    def add(self, key: Key, slot: int, parent: int) -> None:
        """Give a state the next number, at the slot that was just found for it."""
        self._keys += key
        self._parents.append(parent)
        self._slots[slot] = len(self._parents)
        if 3 * len(self._parents) >= 2 * len(self._slots):
            self._grow()

    def _grow(self) -> None:
        slots = self._slots = array("I", [0]) * (2 * len(self._slots))
        mask = len(slots) - 1
        for number in range(len(self._parents)):
            slot = hash(self.key(number)) & mask
            while slots[slot]:
                slot = (slot + 1) & mask
            slots[slot] = number + 1
