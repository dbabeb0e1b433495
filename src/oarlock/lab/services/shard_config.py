"""Which group of servers has which shards, and how shards are spread anew with as few moves as possible."""

import zlib
from collections.abc import Mapping, Sequence

import msgspec

NOBODY = 0
"""The group of a shard that no group has."""


class ShardConfig(msgspec.Struct, frozen=True, kw_only=True):
    """One configuration."""

    num: int = 0
    """Rises by one with each change; 0 is the first, without groups."""
    shards: tuple[int, ...]
    """The group of each shard."""
    groups: dict[int, tuple[str, ...]] = {}
    """The servers' names of each group."""

    def servers_of(self, shard: int) -> tuple[str, ...]:
        """The servers that have a shard; none if nobody has it."""
        return self.groups.get(self.shards[shard], ())


def shard_of(key: str, shards: int) -> int:
    """The shard that a key is in; the same in every process."""
    return zlib.crc32(key.encode()) % shards


def rebalance(shards: Sequence[int], groups: Mapping[int, object]) -> tuple[int, ...]:
    """Spread shards evenly: no two groups differ by more than one, and no more move than must.

    Deterministic, as every replica works it out for itself: ties go to the smaller group id.

    Args:
        shards: The group of each shard so far; groups that are no more count as nobody.
        groups: Those that are, by id.
    """
    if not groups:
        return (NOBODY,) * len(shards)
    spread = [group if group in groups else NOBODY for group in shards]
    held = {group: [shard for shard, at in enumerate(spread) if at == group] for group in sorted(groups)}
    for shard in [shard for shard, group in enumerate(spread) if group == NOBODY]:
        least = min(held, key=lambda group: len(held[group]))
        held[least].append(shard)
        spread[shard] = least
    while True:
        least = min(held, key=lambda group: len(held[group]))
        most = max(held, key=lambda group: len(held[group]))
        if len(held[most]) - len(held[least]) <= 1:
            return tuple(spread)
        moved = held[most].pop()
        held[least].append(moved)
        spread[moved] = least


def joined(config: ShardConfig, groups: Mapping[int, Sequence[str]]) -> ShardConfig:
    """The next configuration, with groups more; those that are there already stay as they are."""
    everyone = dict(config.groups)
    for group, servers in groups.items():
        everyone.setdefault(group, tuple(servers))
    return ShardConfig(num=config.num + 1, shards=rebalance(config.shards, everyone), groups=everyone)


def left(config: ShardConfig, groups: Sequence[int]) -> ShardConfig:
    """The next configuration, without some groups."""
    others = {group: servers for group, servers in config.groups.items() if group not in groups}
    return ShardConfig(num=config.num + 1, shards=rebalance(config.shards, others), groups=others)


def moved(config: ShardConfig, shard: int, group: int) -> ShardConfig:
    """The next configuration, with one shard where it was told to be."""
    shards = tuple(group if at == shard else old for at, old in enumerate(config.shards))
    return ShardConfig(num=config.num + 1, shards=shards, groups=config.groups)
