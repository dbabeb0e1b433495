"""Headers spliced by hand are the bytes that protobuf would write."""

from hypothesis import given
from hypothesis import strategies as st

from oarlock.etcd.header import Headers, revision_header
from oarlock.etcd.proto.rpc_pb2 import PutResponse, ResponseHeader

UINT64 = st.integers(0, 2**64 - 1)
INT63 = st.integers(0, 2**63 - 1)


@given(UINT64, UINT64, st.lists(st.tuples(INT63, UINT64), max_size=5))
def test_headers_are_what_protobuf_writes(cluster_id: int, member_id: int, answers: list[tuple[int, int]]) -> None:
    """For any ids, revisions and terms, also when only one of the two changes between answers."""
    term = 0
    headers = Headers(cluster_id, member_id, lambda: term)
    for revision, now in answers + answers[:1] + answers[:1]:
        term = now
        expected = ResponseHeader(cluster_id=cluster_id, member_id=member_id, revision=revision, raft_term=now)
        assert headers.field(revision) == PutResponse(header=expected).SerializeToString()


@given(INT63)
def test_headers_inside_transactions(revision: int) -> None:
    """They tell the revision only."""
    expected = PutResponse(header=ResponseHeader(revision=revision))
    assert revision_header(revision) == expected.SerializeToString()
