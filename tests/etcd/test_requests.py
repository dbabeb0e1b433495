"""What is checked before a request is proposed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oarlock.etcd import errors
from oarlock.etcd.grpc import RpcError
from oarlock.etcd.proto.rpc_pb2 import (
    DeleteRangeRequest,
    PutRequest,
    RangeRequest,
    RequestOp,
    TxnRequest,
)
from oarlock.etcd.requests import (
    PAIR_COST_BYTES,
    Kind,
    check_size,
    check_txn,
    encode_command,
    is_read_only,
    parse,
    txn_cost_bytes,
)

KEYS = st.sampled_from([b"a", b"b", b"c", b"d"])


def put(key: bytes, value: bytes = b"") -> RequestOp:
    return RequestOp(request_put=PutRequest(key=key, value=value))


def delete(key: bytes, end: bytes = b"") -> RequestOp:
    return RequestOp(request_delete_range=DeleteRangeRequest(key=key, range_end=end))


@given(st.lists(KEYS, max_size=4), st.lists(st.tuples(KEYS, KEYS | st.just(b"")), max_size=4))
def test_a_put_never_meets_a_delete_of_its_own_level(puts: list[bytes], deletes: list[tuple[bytes, bytes]]) -> None:
    """Exactly the lists are refused in which a key is put twice or lies in a deleted range."""
    collision = len(set(puts)) < len(puts) or any(
        key == start if not end else start <= key < end for key in puts for start, end in deletes
    )
    operations = [*map(put, puts), *(delete(start, end) for start, end in deletes)]
    expected = errors.DUPLICATE_KEY if collision else None
    assert check_txn(TxnRequest(success=operations), 128) == expected
    assert check_txn(TxnRequest(failure=operations), 128) == expected


def test_overlaps_are_found_quickly() -> None:
    """Thousands of nested puts and deletes take no quadratic time."""
    inner = [
        RequestOp(
            request_txn=TxnRequest(
                success=[put(b"%d.%d" % (outer, number)) for number in range(60)]
                + [delete(b"x%d.%d" % (outer, number)) for number in range(4)]
            )
        )
        for outer in range(64)
    ]
    assert check_txn(TxnRequest(success=inner), 128) is None
    clash = TxnRequest(success=[*inner[:60], put(b"x3.2")])
    assert check_txn(clash, 128) == errors.DUPLICATE_KEY


def test_the_deepest_transaction_is_bounded() -> None:
    """Every level uses up some of the operations allowed below it."""
    request = TxnRequest()
    for _ in range(40):
        request = TxnRequest(success=[RequestOp(request_txn=request)])
    assert check_txn(request, 40) is None
    assert check_txn(request, 39) == errors.TOO_MANY_OPERATIONS


def test_read_only_transactions() -> None:
    """Only ranges, at any depth and in both branches."""
    read = RequestOp(request_range=RangeRequest(key=b"a"))
    nested = RequestOp(request_txn=TxnRequest(success=[read]))
    writing = RequestOp(request_txn=TxnRequest(failure=[delete(b"a")]))
    assert is_read_only(TxnRequest())
    assert is_read_only(TxnRequest(success=[read, nested]))
    assert not is_read_only(TxnRequest(success=[read], failure=[put(b"a")]))
    assert not is_read_only(TxnRequest(success=[writing]))


def test_the_cost_of_a_transaction_is_that_of_its_dearer_branch() -> None:
    """Puts in nested transactions count; without a put it costs nothing."""
    nested = RequestOp(request_txn=TxnRequest(success=[put(b"abc", b"12")]))
    request = TxnRequest(success=[put(b"a")], failure=[nested, put(b"b"), delete(b"c")])
    assert txn_cost_bytes(request) == 2 * PAIR_COST_BYTES + 6
    assert txn_cost_bytes(TxnRequest(success=[delete(b"a")])) == 0


def test_commands_keep_the_bytes_of_the_client() -> None:
    """A command is its kind and the request unchanged, unknown fields included."""
    data = PutRequest(key=b"a").SerializeToString() + b"\x98\x06\x01"
    assert encode_command(Kind.PUT, data) == b"\x01" + data


def test_sizes() -> None:
    """What etcd's own wrapping would push over the limit is refused."""
    assert check_size(bytes(1000 - 18), 1000) is None
    assert check_size(bytes(1000 - 17), 1000) == errors.REQUEST_TOO_LARGE


@pytest.mark.parametrize("data", [b"\xff", b"\x0a\x05ab", b"\x08"])
def test_bytes_that_are_no_message(data: bytes) -> None:
    """They end the call with grpc-go's code and words, not as a defect of ours."""
    with pytest.raises(RpcError, match=r"INTERNAL: grpc: error unmarshalling request"):
        parse(RangeRequest, data)
