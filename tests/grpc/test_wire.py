"""gRPC's encodings: messages, gzip, timeouts, texts, metadata."""

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.front_door import grpc_message

from oarlock.etcd.grpc import RpcError, Status, wire
from oarlock.etcd.grpc.messages import MessageAssembler, decompress
from oarlock.etcd.grpc.server import is_grpc


@given(st.lists(st.binary(max_size=40), max_size=6), st.lists(st.integers(1, 30), max_size=60))
def test_messages_come_out_as_they_went_in_however_they_are_cut(messages, cuts):
    """Any cutting of the body gives the same messages."""
    body = b"".join(map(grpc_message, messages))
    assembler = MessageAssembler(100, "identity")
    found = []
    for length in cuts:
        piece, body = body[:length], body[length:]
        found += assembler.feed(piece, ended=False)
        assert assembler.missing_bytes > 0
    found += assembler.feed(body, ended=True)
    assert found == messages


def test_many_small_messages_in_one_piece_cost_what_they_weigh():
    """Each byte is copied a bounded number of times: 100,000 empty messages are no attack."""
    assert len(MessageAssembler(100, "identity").feed(grpc_message(b"") * 100_000, ended=True)) == 100_000


def test_a_message_above_the_limit_is_refused_by_its_prefix():
    """In grpc-go's words, before any of it has come."""
    with pytest.raises(RpcError) as raised:
        MessageAssembler(1000, "identity").feed(grpc_message(bytes(1001))[:5], ended=False)
    assert raised.value.code is Status.RESOURCE_EXHAUSTED
    assert raised.value.message == "grpc: received message larger than max (1001 vs. 1000)"


@pytest.mark.parametrize(
    ("body", "encoding", "text"),
    [
        (grpc_message(b"x", compressed=True), "identity", "grpc: compressed flag set with identity or empty encoding"),
        (grpc_message(b"xyz", compressed=True), "gzip", "grpc: failed to decompress the received message"),
        (b"\x07\x00\x00\x00\x00", "identity", "grpc: received unexpected payload format 7"),
        (grpc_message(b"hello")[:-1], "identity", "grpc: the request ended within a message"),
        (b"\x00\x00", "identity", "grpc: the request ended within a message"),
        (
            grpc_message(gzip.compress(b"hello", mtime=0)[:-9], compressed=True),
            "gzip",
            "grpc: failed to decompress the received message: unexpected EOF",
        ),
    ],
)
def test_bad_messages(body, encoding, text):
    """Each is INTERNAL, with a text that says what is wrong."""
    with pytest.raises(RpcError) as raised:
        MessageAssembler(1000, encoding).feed(body, ended=True)
    assert (raised.value.code, raised.value.message) == (Status.INTERNAL, text)


def test_gzip_is_taken_out_up_to_the_limit():
    """One member or several; a bomb is refused as soon as it exceeds the limit."""
    assert (
        decompress(gzip.compress(b"a" * 700, mtime=0) + gzip.compress(b"b" * 300, mtime=0), 1000)
        == b"a" * 700 + b"b" * 300
    )
    with pytest.raises(RpcError) as raised:
        decompress(gzip.compress(bytes(10_000_000)), 1000)
    assert raised.value.message == "grpc: received message larger than max (1001 vs. 1000)"
    with pytest.raises(RpcError):
        decompress(gzip.compress(b"a" * 700, mtime=0) + gzip.compress(b"b" * 301, mtime=0), 1000)
    with pytest.raises(RpcError):
        decompress(zlib.compress(b"not gzip"), 1000)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1H", 3600),
        ("2M", 120),
        ("3S", 3),
        ("4m", 0.004),
        ("5u", 5e-6),
        ("6n", 6e-9),
        ("99999999u", 99.999999),
        ("0S", 0),
    ],
)
def test_timeouts(text, seconds):
    """Every unit."""
    assert wire.parse_timeout(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "S", "1", "1s", "-1S", "1.5S", "123456789S", "1 S", "\u0661S"])
def test_malformed_timeouts(text):
    """At most eight digits and a unit, nothing else."""
    with pytest.raises(RpcError):
        wire.parse_timeout(text)


def test_messages_are_percent_encoded():
    """Printable ASCII stays, `%` and everything else is written as its UTF-8 in hexadecimal."""
    assert wire.percent_encode("100% étcd\n~") == b"100%25 %C3%A9tcd%0A~"


def test_binary_metadata():
    """`-bin` values are base64 with or without padding, several in one field or in more."""
    decoded = wire.decode_metadata(
        (
            ("token", "abc"),
            ("x-bin", "AAE="),
            ("x-bin", "AP8,/w"),
            ("content-type", "application/grpc"),
            ("te", "trailers"),
        )
    )
    assert dict(decoded) == {"token": ("abc",), "x-bin": (b"\x00\x01", b"\x00\xff", b"\xff")}
    with pytest.raises(RpcError):
        wire.decode_metadata((("x-bin", "*"),))


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        ("application/grpc", True),
        ("application/grpc+proto", True),
        ("application/grpc;charset=utf-8", True),
        ("Application/GRPC", True),
        ("application/grpc-web", False),
        ("application/json", False),
        ("", False),
    ],
)
def test_content_types(content_type, expected):
    """GRPC's content type, alone, with a suffix or with parameters; grpc-web is another protocol."""
    assert is_grpc(content_type) is expected
