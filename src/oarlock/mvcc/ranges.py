"""Range: the options, and what etcd does with them after the keys are found."""

from enum import IntEnum
from operator import attrgetter

import msgspec

from oarlock.mvcc.keyvalue import KeyValue, decode_key_value, decode_without_value, without_value


class SortOrder(IntEnum):
    """`RangeRequest.SortOrder`."""

    NONE = 0
    ASCEND = 1
    DESCEND = 2


class SortTarget(IntEnum):
    """`RangeRequest.SortTarget`."""

    KEY = 0
    VERSION = 1
    CREATE = 2
    MOD = 3
    VALUE = 4


_ATTRIBUTES = {
    SortTarget.KEY: "key",
    SortTarget.VERSION: "version",
    SortTarget.CREATE: "create_revision",
    SortTarget.MOD: "mod_revision",
    SortTarget.VALUE: "value",
}


class RangeOptions(msgspec.Struct, frozen=True):
    """Everything a RangeRequest may ask besides the keys; revisions and limits of 0 or less mean none."""

    revision: int = 0
    limit: int = 0
    sort_order: int = SortOrder.NONE
    sort_target: int = SortTarget.KEY
    keys_only: bool = False
    count_only: bool = False
    min_mod_revision: int = 0
    max_mod_revision: int = 0
    min_create_revision: int = 0
    max_create_revision: int = 0

    def has_filter(self) -> bool:
        """Whether a result may be left out for its revisions."""
        return bool(
            self.min_mod_revision or self.max_mod_revision or self.min_create_revision or self.max_create_revision
        )

    def fetch_limit(self) -> int:
        """How many keys must be read, 0 for all.

        etcd reads everything for an order or a filter, but not for a sort target alone: that one sorts only the
        first `limit` + 1 keys. Clients see the difference, so it is kept.
        """
        if self.limit <= 0 or self.sort_order != SortOrder.NONE or self.has_filter():
            return 0
        return self.limit + 1

    def passes(self, found: KeyValue) -> bool:
        """Whether the revision filters let a result through."""
        modified, created = found.mod_revision, found.create_revision
        return (
            (not self.max_mod_revision or modified <= self.max_mod_revision)
            and (not self.min_mod_revision or modified >= self.min_mod_revision)
            and (not self.max_create_revision or created <= self.max_create_revision)
            and (not self.min_create_revision or created >= self.min_create_revision)
        )


DEFAULT_OPTIONS = RangeOptions()


class RangeResult(msgspec.Struct):
    """The answer to a range."""

    kvs: list[bytes]
    """Marshalled KeyValues, as they go into a RangeResponse."""
    count: int
    """All keys in the range at that revision, whatever the limit and the filters."""
    more: bool
    """Whether the limit cut something off."""
    revision: int
    """The store's revision when the range was read; what the response's header shows."""


def shape(found: list[bytes], options: RangeOptions) -> tuple[list[bytes], bool]:
    """Filter, sort, cut and strip what was found, in etcd's order (apply.go, Range).

    Args:
        found: marshalled KeyValues in key order.
        options: what was asked.

    Returns:
        The results and whether there were more than the limit.
    """
    if options.has_filter():
        found = [data for data in found if options.passes(decode_without_value(data))]
    found = _sort(found, options)
    more = 0 < options.limit < len(found)
    if more:
        found = found[: options.limit]
    if options.keys_only:
        found = [without_value(data) for data in found]
    return found, more


def _sort(found: list[bytes], options: RangeOptions) -> list[bytes]:
    order, target = options.sort_order, options.sort_target
    if target != SortTarget.KEY and order == SortOrder.NONE:
        order = SortOrder.ASCEND
    # Enumerators that this release does not know are ignored, as etcd 3.5 does.
    if order not in (SortOrder.ASCEND, SortOrder.DESCEND) or target not in _ATTRIBUTES:
        return found
    if target == SortTarget.KEY:
        return found if order == SortOrder.ASCEND else found[::-1]
    decode = decode_key_value if target == SortTarget.VALUE else decode_without_value
    attribute = attrgetter(_ATTRIBUTES[SortTarget(target)])
    return sorted(found, key=lambda data: attribute(decode(data)), reverse=order == SortOrder.DESCEND)
