"""Field sections: what is accepted, what is malformed, and that the cache never changes the answer."""

import hpack
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.front_door import block, fields

from oarlock.etcd.http2.errors import ConnectionFault, ErrorCode, StreamFault
from oarlock.etcd.http2.headers import HeadCache, HeaderBlock, HeaderDecoder


def decoder(cache=None):
    return HeaderDecoder(cache or HeadCache(), 64 * 1024)


def facts(head):
    return head.method, head.scheme, head.authority, head.path, head.fields, head.content_length


def test_a_request_is_taken_apart():
    """Pseudo-fields become attributes, the deadline is kept apart, the rest stays in order."""
    pairs = fields(grpc_timeout="5S", user_agent="test", content_length="17")
    head, volatile = decoder().request(block(pairs))
    assert facts(head) == (
        "POST",
        "http",
        "localhost",
        "/test.Echo/Unary",
        (
            ("content-type", "application/grpc"),
            ("te", "trailers"),
            ("user-agent", "test"),
            ("content-length", "17"),
        ),
        17,
    )
    assert volatile == "5S"


@pytest.mark.parametrize(
    "pairs",
    [
        fields(p_method=None),
        fields(p_scheme=None),
        fields(p_path=None),
        fields(p_path=""),
        fields(p_path="relative"),
        fields(p_path="*"),
        fields(p_unknown="x"),
        [*fields(), (":path", "/again")],
        [(":path", "/twice"), *fields()],
        fields(connection="close"),
        fields(transfer_encoding="chunked"),
        fields(upgrade="h2c"),
        fields(keep_alive="1"),
        fields(proxy_connection="x"),
        fields(te="gzip"),
        fields(content_length="-1"),
        fields(content_length="x"),
        fields(content_length=""),
        [*fields(content_length="1"), ("content-length", "2")],
        fields(Upper="x"),
        [*fields(), ("", "x")],
        [*fields(), ("a b", "x")],
        fields(value="a\r\nb"),
        fields(value="a\x00b"),
        fields(value=" padded"),
        fields(value="padded "),
        fields(host="elsewhere"),
        fields(p_method="CONNECT"),
        [(":status", "200"), *fields()],
    ],
)
def test_malformed_requests_end_their_stream(pairs):
    """RFC 9113, 8.1.1: each is a stream error of type PROTOCOL_ERROR, and leaves the decoder usable."""
    one = decoder()
    with pytest.raises(StreamFault) as raised:
        one.request(block(pairs))
    assert raised.value.code is ErrorCode.PROTOCOL_ERROR
    assert one.request(block(fields()))[0].path == "/test.Echo/Unary"


def test_what_is_unusual_but_allowed():
    """OPTIONS of `*`, CONNECT, a Host field instead of :authority."""
    assert decoder().request(block(fields(p_method="OPTIONS", p_path="*")))[0].path == "*"
    connect = fields(p_method="CONNECT", p_scheme=None, p_path=None)
    assert decoder().request(block(connect))[0].method == "CONNECT"
    assert decoder().request(block(fields(p_authority=None, host="here")))[0].authority == "here"


@pytest.mark.parametrize(
    "bad", [b"\xff\xff\xff\xff\xff\xff", b"\xbf", b"\x40\x85abc", b"\x80", b"\x00", b"\x3f\xff\xff\x7f"]
)
def test_undecodable_blocks_end_the_connection(bad):
    """RFC 9113, 4.3: the table's state is lost, so the connection is."""
    with pytest.raises(ConnectionFault) as raised:
        decoder().request(bad)
    assert raised.value.code is ErrorCode.COMPRESSION_ERROR


def test_a_field_section_above_the_limit_is_told_from_one_far_above():
    """Above the limit the stream ends; a bomb that cannot be decoded within reason ends the connection."""
    with pytest.raises(StreamFault):
        decoder().request(block(fields(big="x" * 70_000)))
    bomb = hpack.Encoder()
    first = bomb.encode([("x", "y" * 4000)])
    with pytest.raises(ConnectionFault) as raised:
        decoder().request(block(fields()) + first + b"\xbe" * 1000)
    assert raised.value.code is ErrorCode.ENHANCE_YOUR_CALM


def test_equal_blocks_give_one_request_whatever_their_deadline():
    """The point of the cache: a client's requests differ in their deadline alone."""
    one = decoder()
    first, timeout = one.request(block(fields(grpc_timeout="1S", token="abc")))
    second, other_timeout = one.request(block(fields(grpc_timeout="999m", token="abc")))
    assert first is second
    assert (timeout, other_timeout) == ("1S", "999m")
    assert one.request(block(fields(token="other", grpc_timeout="1S")))[0] is not first


def test_blocks_that_need_the_dynamic_table_are_not_remembered():
    """The same bytes may mean something else later, so they are decoded each time."""
    cache = HeadCache()
    one = decoder(cache)
    encoder = hpack.Encoder()
    for number in range(3):
        head, _ = one.request(encoder.encode([*fields(), ("number", str(number))]))
        assert head.get("number") == str(number)
    for _ in range(2):
        one.request(encoder.encode(fields()))
    assert not cache.heads


def test_a_deadline_inside_a_value_is_not_cut_out():
    """Bytes that look like the deadline's field but lie within another's value are part of that value."""
    inner = HeaderBlock([(b"grpc-timeout", b"1S")]).block.decode("latin-1")
    pairs = fields(x_odd=f"a{inner}b".replace("\x00", "").replace("\x0c", ""))
    raw = block(fields()) + b"\x00\x05x-odd" + bytes([len(inner) + 2]) + b"a" + inner.encode("latin-1") + b"b"
    one = decoder()
    for _ in range(2):
        with pytest.raises(StreamFault):
            one.request(raw)
        assert one.request(block(pairs))[1] is None


def test_a_deadline_that_is_cut_off_is_no_deadline():
    """A block that ends within the value is broken, also when what comes before it is known."""
    one = decoder()
    whole = block(fields(grpc_timeout="10S"))
    one.request(whole)
    with pytest.raises(ConnectionFault) as raised:
        one.request(whole[:-1])
    assert raised.value.code is ErrorCode.COMPRESSION_ERROR


def test_the_first_of_two_deadlines_counts_in_whatever_form():
    """A deadline in a form that is not cut out is still the first, the second time too."""
    one = decoder()
    pairs = block(fields()) + b"\x10\x0cgrpc-timeout\x021S" + b"\x00\x0cgrpc-timeout\x022S"
    for _ in range(2):
        assert one.request(pairs)[1] == "1S"


NAMES = st.sampled_from(["grpc-timeout", "x-a", "x-b", "token", "user-agent", "grpc-timeout-x"])
VALUES = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=12)


@given(
    st.lists(
        st.tuples(st.lists(st.tuples(NAMES, VALUES), max_size=4), st.sampled_from(["plain", "huffman", "table"])),
        max_size=8,
    )
)
def test_the_cache_never_changes_what_is_decoded(requests):
    """For any sequence of requests, however encoded, a decoder with a warm cache answers as one without."""
    cache = HeadCache()
    warm = decoder(cache)
    encoder, reference = hpack.Encoder(), hpack.Decoder()
    for extra, how in requests:
        pairs = [*fields(), *extra]
        if how == "plain":
            data = block(pairs)
        else:
            data = encoder.encode([(name, value, how == "huffman") for name, value in pairs])
        expected = tuple((str(name), str(value)) for name, value in reference.decode(data))
        assert expected == tuple(pairs)
        head, volatile = warm.request(data)
        timeouts = [value for name, value in extra if name == "grpc-timeout"]
        assert volatile == (timeouts[0] if timeouts else None)
        rest = [pair for pair in pairs if not pair[0].startswith(":")]
        if timeouts:
            rest.remove(("grpc-timeout", timeouts[0]))
        assert list(head.fields) == rest


@given(st.lists(st.tuples(st.sampled_from([b":status", b"x-y", b"content-type", b"allow"]), st.binary(max_size=300))))
def test_response_blocks_are_read_by_another_implementation(pairs):
    """What `HeaderBlock` writes, hpack reads."""
    decoded = hpack.Decoder().decode(HeaderBlock(pairs).block, raw=True)
    assert [tuple(pair) for pair in decoded] == pairs


def test_a_full_cache_is_emptied():
    """The cache never holds more than its bound."""
    cache = HeadCache()
    one = decoder(cache)
    for number in range(HeadCache.MAX_HEADS + 5):
        one.request(block(fields(x=str(number))))
    assert len(cache.heads) == 5
    one.request(block(fields(x="y" * HeadCache.MAX_BLOCK_BYTES)))
    assert len(cache.heads) == 5


def test_trailers_hold_no_pseudo_fields():
    """RFC 9113, 8.1: a pseudo-field in trailers is malformed."""
    assert decoder().trailers(block([("x", "y")])) == (("x", "y"),)
    with pytest.raises(StreamFault):
        decoder().trailers(block([(":path", "/")]))
