"""Short ways to write into a store."""

from collections.abc import Iterable

from oarlock.mvcc.store import Store

Operation = tuple[bytes, bytes] | tuple[bytes, bytes, int] | tuple[bytes, None, bytes]
"""A put (key, value[, lease]), or a deletion (key, None, range_end)."""


def put(store: Store, key: bytes, value: bytes = b"v", lease: int = 0) -> int:
    """One put in a transaction of its own; gives the store's revision."""
    transaction = store.begin_write()
    transaction.put(key, value, lease)
    return transaction.end()


def delete(store: Store, key: bytes, range_end: bytes = b"") -> int:
    """One deletion in a transaction of its own; gives the store's revision."""
    transaction = store.begin_write()
    transaction.delete_range(key, range_end)
    return transaction.end()


def write(store: Store, operations: Iterable[Operation]) -> int:
    """Several operations in one transaction; gives the store's revision."""
    transaction = store.begin_write()
    for operation in operations:
        if operation[1] is None:
            transaction.delete_range(operation[0], operation[2])
        else:
            transaction.put(operation[0], operation[1], operation[2] if len(operation) > 2 else 0)
    return transaction.end()


def commit_all(store: Store) -> None:
    """Commit until no compaction is left to do."""
    store.commit()
    while store.compaction_pending:
        store.commit()
