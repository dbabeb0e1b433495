"""Frames survive any way of being cut up, and damage never passes for a frame."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oarlock.transport.framing import (
    HEADER_BYTES,
    MESSAGE,
    PAYLOAD_LIMIT_BYTES,
    PING,
    FrameDecoder,
    FrameError,
    encode_frame,
    encode_header,
)

FRAMES = st.lists(st.tuples(st.integers(0, 15), st.binary(max_size=300)), max_size=8)


def decode(pieces, limit=1 << 20):
    """Gives the frames and, if there was one, the error that ended the stream."""
    decoder = FrameDecoder(limit)
    frames = []
    try:
        for piece in pieces:
            frames += decoder.feed(piece)
    except FrameError as error:
        return frames, error
    return frames, None


def pieces_of(stream, cuts):
    bounds = [0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
    return [stream[start:stop] for start, stop in itertools.pairwise(bounds)]


@given(FRAMES, st.lists(st.integers(0, 5000), max_size=20))
def test_frames_come_out_as_they_went_in(frames, cuts):
    """However the network splits a stream of frames, the same frames come out in order, and nothing is held."""
    stream = b"".join(encode_frame(kind, payload) for kind, payload in frames)
    assert decode(pieces_of(stream, cuts)) == (frames, None)


@given(FRAMES)
def test_single_bytes(frames):
    """A stream that arrives byte by byte gives the same frames."""
    stream = b"".join(encode_frame(kind, payload) for kind, payload in frames)
    decoder = FrameDecoder(1 << 20)
    assert [frame for byte in stream for frame in decoder.feed(bytes([byte]))] == frames
    assert decoder.buffered_bytes == 0


@given(FRAMES, st.lists(st.integers(0, 5000), max_size=5), st.integers(0), st.integers(0, 7))
def test_a_flipped_bit_is_noticed(frames, cuts, position, bit):
    """One flipped bit anywhere: the frames before it come out, and then the stream is refused."""
    encoded = [encode_frame(kind, payload) for kind, payload in [*frames, (MESSAGE, b"the last")]]
    stream = bytearray(b"".join(encoded))
    position %= len(stream)
    stream[position] ^= 1 << bit
    frames_before = 0
    while sum(map(len, encoded[: frames_before + 1])) <= position:
        frames_before += 1
    received, error = decode(pieces_of(bytes(stream), cuts))
    assert error is not None
    assert received == frames[:frames_before]


@given(st.lists(st.binary(max_size=100), max_size=10))
def test_arbitrary_bytes(pieces):
    """Whatever bytes come, the decoder gives frames or FrameError, and holds back at most one frame."""
    decoder = FrameDecoder(64)
    try:
        for piece in pieces:
            for _ in decoder.feed(piece):
                pass
            assert decoder.buffered_bytes < 64 + HEADER_BYTES
    except FrameError:
        pass


@pytest.mark.parametrize("split", [None, 5, HEADER_BYTES])
def test_an_oversized_frame_is_refused_by_its_header(split):
    """A frame longer than allowed is refused as soon as its header is there, before its payload is kept."""
    header = encode_header(MESSAGE, bytes(1001))
    pieces = [header] if split is None else [header[:split], header[split:]]
    _, error = decode(pieces, limit=1000)
    assert "1001 bytes" in str(error)
    assert "1000" in str(error)


def test_a_damaged_length_is_noticed_at_once():
    """A damaged length does not wait for the bytes that it promises."""
    damaged = bytearray(encode_frame(MESSAGE, b"heartbeat"))
    damaged[2] ^= 1
    frames, error = decode([bytes(damaged[:HEADER_BYTES])])
    assert frames == []
    assert "header" in str(error)


def test_zeros_are_no_frames():
    """A run of zeros, as a broken proxy may send, is refused."""
    assert decode([bytes(64)])[1] is not None


def test_a_foreign_protocol_is_refused():
    """An HTTP request is not mistaken for a frame."""
    assert "not ours" in str(decode([b"GET / HTTP/1.1\r\n\r\n"])[1])


@pytest.mark.timeout(60)
def test_a_large_frame_in_small_pieces_costs_linear_time():
    """16 MiB in pieces of 64 bytes: copying what is there for each piece would move two terabytes."""
    payload = bytes(range(256)) * (1 << 16)
    stream = memoryview(encode_frame(MESSAGE, payload) + encode_frame(PING, b""))
    frames, error = decode((bytes(stream[at : at + 64]) for at in range(0, len(stream), 64)), limit=1 << 24)
    assert error is None
    assert frames == [(MESSAGE, payload), (PING, b"")]


def test_a_payload_beyond_the_format_cannot_be_encoded():
    """A length that the header cannot say is an error of the caller, not a damaged frame at the receiver."""

    class Huge(bytes):
        def __len__(self):
            return PAYLOAD_LIMIT_BYTES + 1

    with pytest.raises(ValueError, match=str(PAYLOAD_LIMIT_BYTES)):
        encode_header(MESSAGE, Huge())
