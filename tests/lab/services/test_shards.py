"""Configurations of shards: spread evenly, with few moves, the same everywhere."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from oarlock.lab.services.shard_config import NOBODY, ShardConfig, joined, left, rebalance, shard_of

_STEPS = st.lists(st.tuples(st.booleans(), st.sets(st.integers(1, 12), min_size=1, max_size=4)), max_size=12)


def _configs(steps: list[tuple[bool, set[int]]], shards: int) -> list[ShardConfig]:
    configs = [ShardConfig(shards=(NOBODY,) * shards)]
    for joins, groups in steps:
        if joins:
            configs.append(joined(configs[-1], {group: (f"{group}a",) for group in sorted(groups)}))
        else:
            configs.append(left(configs[-1], sorted(groups)))
    return configs


@given(_STEPS, st.integers(1, 15))
def test_every_shard_is_in_a_group_and_no_group_has_two_more_than_another(
    steps: list[tuple[bool, set[int]]], shards: int
) -> None:
    """Whatever joins and leaves, shards are spread as evenly as they can be."""
    for config in _configs(steps, shards)[1:]:
        if not config.groups:
            assert set(config.shards) == {NOBODY}
            continue
        counts = [config.shards.count(group) for group in config.groups]
        assert sum(counts) == shards
        assert max(counts) - min(counts) <= 1


@given(_STEPS, st.integers(1, 15))
def test_only_shards_that_must_move_do(steps: list[tuple[bool, set[int]]], shards: int) -> None:
    """A shard moves only from a group that left, or to where fewer are than fair."""
    for before, after in pairwise(_configs(steps, shards)):
        least = {group: min(before.shards.count(group), after.shards.count(group)) for group in after.groups}
        stayed = sum(old == new != NOBODY for old, new in zip(before.shards, after.shards, strict=True))
        assert stayed == sum(least.values())


def test_order_of_groups_makes_no_difference() -> None:
    """Replicas that hold the groups in another order work out the same configuration."""
    groups = dict.fromkeys((5, 1, 9, 3), ())
    backwards = dict(reversed(groups.items()))
    assert rebalance((1,) * 10, groups) == rebalance((1,) * 10, backwards)


def test_a_key_is_in_the_same_shard_in_every_process() -> None:
    """The shard of a key does not hang on the hash of strings, which differs between processes."""
    assert [shard_of(key, 10) for key in ("a", "b", "key")] == [7, 1, 7]
