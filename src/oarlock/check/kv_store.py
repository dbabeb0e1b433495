"""A small etcd: what a get, put, delete or transaction asks and answers, and the store that it acts on.

Whatever an answer leaves out was not looked at.
"""

from bisect import bisect_left
from typing import Any, Literal, NamedTuple

import msgspec

from oarlock.check.model import UNKNOWN, Output


class Held(NamedTuple):
    """A key's value, and etcd's account of it."""

    value: str
    create_revision: int
    mod_revision: int
    version: int


class Store(NamedTuple):
    """A whole store; sorted tuples, so that equal stores are equal and hash alike."""

    revision: int | None
    """None where no revision is looked at: stores that differ in it alone are then one."""
    keys: tuple[str, ...]
    held: tuple[Held, ...]


class KeyValue(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A key as an answer shows it."""

    key: str
    value: str
    create_revision: int | None = None
    mod_revision: int | None = None
    version: int | None = None


class Get(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="get"):
    """Read a key, or those from `key` to before `range_end`, which is NUL for all that follow."""

    key: str
    range_end: str | None = None


class Put(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="put"):
    """Give a key a value."""

    key: str
    value: str


class Delete(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="delete"):
    """Delete a key or a range."""

    key: str
    range_end: str | None = None


class Compare(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A condition; on an absent key numbers are 0, and a comparison of values fails, as in etcd."""

    key: str
    target: Literal["value", "version", "create_revision", "mod_revision"]
    result: Literal["=", "!=", "<", ">"]
    value: str | int


class Txn(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="txn"):
    """If all conditions hold, do one list of operations, else the other, as one revision."""

    compare: tuple[Compare, ...] = ()
    success: tuple[Get | Put | Delete, ...] = ()
    failure: tuple[Get | Put | Delete, ...] = ()


Request = Get | Put | Delete | Txn


class GetAnswer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a `get` found; for a single key plain value or null will do instead."""

    kvs: tuple[KeyValue, ...] | None = None
    count: int | None = None
    revision: int | None = None


class PutAnswer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a `put` answered; null if nothing was looked at."""

    revision: int | None = None


class DeleteAnswer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a `delete` answered."""

    deleted: int | None = None
    revision: int | None = None


class TxnAnswer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a `txn` answered; a response that is null was not looked at."""

    succeeded: bool | None = None
    responses: tuple[Any, ...] | None = None
    """In the form of each operation's own answer."""
    revision: int | None = None


class Transaction:
    """Changes to a store on their way to becoming one revision."""

    __slots__ = ("changed", "held", "keys", "now")

    def __init__(self, store: Store) -> None:
        self.now = None if store.revision is None else store.revision + 1
        self.keys = store.keys
        self.held = store.held
        self.changed = False

    def span(self, request: Get | Delete) -> tuple[int, int]:
        """From which to before which position the request's keys stand."""
        start = bisect_left(self.keys, request.key)
        if request.range_end is None:
            return start, start + (start < len(self.keys) and self.keys[start] == request.key)
        if request.range_end == "\0":
            return start, len(self.keys)
        return start, max(start, bisect_left(self.keys, request.range_end))

    def find(self, key: str) -> Held | None:
        """A key's present state."""
        start, end = self.span(Get(key))
        return self.held[start] if start < end else None

    def put(self, request: Put) -> None:
        """Set a key."""
        start, end = self.span(Get(request.key))
        if self.now is None:
            held = Held(request.value, 0, 0, 0)
        elif start < end:
            before = self.held[start]
            held = Held(request.value, before.create_revision, self.now, before.version + 1)
        else:
            held = Held(request.value, self.now, self.now, 1)
        self._replace(start, end, (request.key,), (held,))

    def delete(self, request: Delete) -> int:
        """Delete keys; tells how many."""
        start, end = self.span(request)
        if start < end:
            self._replace(start, end, (), ())
        return end - start

    def _replace(self, start: int, end: int, keys: tuple[str, ...], held: tuple[Held, ...]) -> None:
        self.keys = self.keys[:start] + keys + self.keys[end:]
        self.held = self.held[:start] + held + self.held[end:]
        self.changed = True

    def answers(self, request: Get | Put | Delete, answer: Output) -> bool:
        """Do one operation; tells whether the answer is the right one, as far as it goes."""
        if isinstance(request, Put):
            self.put(request)
            return True
        if isinstance(request, Delete):
            deleted = self.delete(request)
            return answer is UNKNOWN or answer.deleted in (None, deleted)
        if answer is UNKNOWN:
            return True
        start, end = self.span(request)
        if answer.count not in (None, end - start):
            return False
        return answer.kvs is None or (
            len(answer.kvs) == end - start and all(map(_shows, answer.kvs, self.keys[start:end], self.held[start:end]))
        )

    def holds(self, compare: Compare) -> bool:
        """Whether a condition holds."""
        held = self.find(compare.key)
        if held is None:
            if compare.target == "value":
                return False
            held = Held("", 0, 0, 0)
        actual = getattr(held, compare.target)
        if compare.result in ("=", "!="):
            return (actual == compare.value) is (compare.result == "=")
        return bool(actual < compare.value) if compare.result == "<" else bool(actual > compare.value)

    def end(self, store: Store) -> Store:
        """The store afterwards: a new revision if anything was changed."""
        return Store(self.now, self.keys, self.held) if self.changed else store


def _shows(shown: KeyValue, key: str, held: Held) -> bool:
    return (
        shown.key == key
        and shown.value == held.value
        and shown.create_revision in (None, held.create_revision)
        and shown.mod_revision in (None, held.mod_revision)
        and shown.version in (None, held.version)
    )
