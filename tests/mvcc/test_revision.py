"""Revisions in bytes and as integers."""

from hypothesis import given
from hypothesis import strategies as st

from oarlock.mvcc.revision import encode, encode_key, is_tombstone, key_of, main_of, revision_key, tombstone_key

REVISIONS = st.tuples(st.integers(0, 2**63 - 1), st.integers(0, 2**32 - 1), st.booleans())


def _key(main: int, sub: int, tombstone: bool) -> bytes:
    return tombstone_key(main, sub) if tombstone else revision_key(main, sub)


def test_keys_are_etcds() -> None:
    """Eight bytes of main, "_", eight bytes of sub, and "t" after a tombstone's (mvcc/revision.go)."""
    assert revision_key(258, 3) == b"\0\0\0\0\0\0\1\2_\0\0\0\0\0\0\0\3"
    assert tombstone_key(258, 3) == b"\0\0\0\0\0\0\1\2_\0\0\0\0\0\0\0\3t"


@given(REVISIONS)
def test_integer_and_bytes_name_the_same_revision(revision: tuple[int, int, bool]) -> None:
    """Nothing is lost from one form to the other."""
    main, sub, tombstone = revision
    key = _key(main, sub, tombstone)
    number = encode(main, sub, tombstone=tombstone)
    assert encode_key(key) == number
    assert key_of(number) == key
    assert main_of(key) == main
    assert is_tombstone(key) == tombstone


@given(REVISIONS, REVISIONS)
def test_both_forms_sort_alike(one: tuple[int, int, bool], other: tuple[int, int, bool]) -> None:
    """The index and the database agree which revision is older."""
    smaller = encode(one[0], one[1], tombstone=one[2]) < encode(other[0], other[1], tombstone=other[2])
    assert smaller == (_key(*one) < _key(*other))
