"""KeyValues by hand, against protobuf's own encoder."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oarlock.etcd.proto import kv_pb2
from oarlock.mvcc.errors import CorruptStoreError
from oarlock.mvcc.keyvalue import (
    KeyValue,
    decode_key,
    decode_key_value,
    decode_without_value,
    encode_key_value,
    encode_tombstone,
    without_value,
)

INT64 = st.one_of(
    st.integers(-(2**63), 2**63 - 1),
    st.sampled_from([0, 1, 127, 128, 2**14 - 1, 2**14, 2**28 - 1, 2**28, 2**42, 2**63 - 1, -1]),
)
REVISION = st.integers(0, 2**63 - 1)
KEY_VALUES = st.builds(KeyValue, st.binary(max_size=300), REVISION, REVISION, REVISION, st.binary(max_size=300), INT64)


def _by_protobuf(kv: KeyValue) -> bytes:
    return kv_pb2.KeyValue(
        key=kv.key,
        create_revision=kv.create_revision,
        mod_revision=kv.mod_revision,
        version=kv.version,
        value=kv.value,
        lease=kv.lease,
    ).SerializeToString()


def _encode(kv: KeyValue) -> bytes:
    return encode_key_value(kv.key, kv.create_revision, kv.mod_revision, kv.version, kv.value, kv.lease)


@given(KEY_VALUES.filter(lambda kv: kv.create_revision and kv.mod_revision and kv.version))
def test_encodes_as_protobuf_does(kv: KeyValue) -> None:
    """What is stored is what protobuf would send: zero values left out, negative leases in ten bytes."""
    assert _encode(kv) == _by_protobuf(kv)


@given(KEY_VALUES)
def test_decodes_what_protobuf_encodes(kv: KeyValue) -> None:
    """Any KeyValue comes back whole, and without its value where that is not wanted."""
    data = _by_protobuf(kv)
    bare = KeyValue(kv.key, kv.create_revision, kv.mod_revision, kv.version, b"", kv.lease)
    assert decode_key_value(data) == kv
    assert decode_without_value(data) == bare
    assert without_value(data) == _by_protobuf(bare)
    if data:
        assert decode_key(data) == kv.key


@given(st.binary(min_size=1, max_size=300))
def test_tombstone_is_a_key_alone(key: bytes) -> None:
    """A deletion stores a KeyValue with nothing but its key."""
    assert encode_tombstone(key) == kv_pb2.KeyValue(key=key).SerializeToString()


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"\x0a\x05abc", "ends inside a field of 5"),
        (b"\x10", "ends inside a number"),
        (b"\x10\x80", "ends inside a number"),
        (b"\x10" + b"\xff" * 10 + b"\x01", "more than ten bytes"),
        (b"\x4a\x01x", "unknown tag 0x4a"),
    ],
)
def test_refuses_what_is_no_key_value(data: bytes, complaint: str) -> None:
    """Damaged bytes are named as such, never read as something else."""
    with pytest.raises(CorruptStoreError, match=complaint):
        decode_key_value(data)
