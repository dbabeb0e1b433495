"""The table of the states that were found."""

import random

from oarlock.explore.visited import Visited


def test_a_table_of_states_is_exact_and_small() -> None:
    """Each key gets one number, in order, keeps its parent, and takes less than 60 bytes in all."""
    chance = random.Random(7)
    visited, numbers = Visited(28), dict[bytes, int]()
    for _ in range(30_000):
        key = chance.randrange(15_000).to_bytes(28, "little")
        slot = visited.slot(key)
        assert (slot < 0) == (key in numbers)
        if slot >= 0:
            visited.add(key, slot, len(numbers) // 2)
            numbers[key] = len(numbers)
    assert len(visited) == len(numbers)
    assert all(visited.key(number) == key for key, number in numbers.items())
    assert all(visited.parent(number) == number // 2 for number in numbers.values())
    assert visited.bytes_held < 60 * len(visited)
