"""Sizes, unknown methods, and the codes and texts of errors that need no particular state."""

import pytest
from tests.support.grpc_client import EtcdClient
from tests.support.pair import Pair, delete, get, put, txn

from oarlock.etcd.proto.rpc_pb2 import PutRequest

pytestmark = [pytest.mark.differential, pytest.mark.asyncio(loop_scope="package")]

MEBIBYTE = 1 << 20


@pytest.mark.parametrize("size", [MEBIBYTE, 1_572_800, 1_572_864, 1_600_000, 2_000_000, 2_097_120])
async def test_large_requests(pair: Pair, size: int) -> None:
    """Above 1.5 MiB a proposal is refused."""
    await pair.play(put(b"a", b"v" * size), get(b"a", keys_only=True))
    await pair.play(txn(success=[put(b"a", b"v" * size)]), delete(b"a" * size))


async def test_requests_beyond_the_transport(pair: Pair) -> None:
    """Above 2 MiB the transport refuses it, in grpc-go's words."""
    await pair.same(put(b"a", b"v" * (2 * MEBIBYTE)))
    await pair.same(put(b"a", b"v" * (2 * MEBIBYTE - 9)))
    await pair.same(get(b"k" * (2 * MEBIBYTE + 1)))


async def test_large_reads_are_no_proposals(pair: Pair) -> None:
    """A read may be longer than a proposal."""
    await pair.same(get(b"k" * 1_700_000))
    await pair.same(txn(success=[get(b"k" * 1_700_000)]))


async def raw(client: EtcdClient, path: str, data: bytes) -> tuple[str, str]:
    """What a method answers to arbitrary bytes."""
    import grpc

    stub = client._channel.unary_unary(path)
    try:
        answer = await stub(data, timeout=10)
    except grpc.aio.AioRpcError as error:
        return error.code().name, error.details()
    return "OK", answer.hex()


@pytest.mark.parametrize("path", ["/etcdserverpb.KV/Nothing", "/etcdserverpb.Nothing/Range", "/nothing/at/all"])
async def test_unknown_methods(pair: Pair, path: str) -> None:
    """They are UNIMPLEMENTED in grpc-go's words."""
    assert await raw(pair.ours, path, b"") == await raw(pair.etcd, path, b"")


async def test_bytes_that_are_no_message(pair: Pair) -> None:
    """They are an internal error; the decoder's own words differ."""
    for data in (b"\xff", b"\x0a\x05ab", b"\x08"):
        theirs = await raw(pair.etcd, "/etcdserverpb.KV/Range", data)
        ours = await raw(pair.ours, "/etcdserverpb.KV/Range", data)
        assert (ours[0], ours[1][:28]) == (theirs[0], theirs[1][:28])


async def test_unknown_fields_are_ignored(pair: Pair) -> None:
    """A newer client may say more."""
    data = PutRequest(key=b"a", value=b"v").SerializeToString() + b"\x98\x06\x01" + b"\xfa\x06\x01x"
    for client in (pair.etcd, pair.ours):
        assert (await raw(client, "/etcdserverpb.KV/Put", data))[0] == "OK"
    await pair.same(get(b"a"))
