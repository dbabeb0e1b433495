"""Both sides know whom they talk to, or both know why they do not."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oarlock.transport.framing import HELLO, MESSAGE, REFUSAL, FrameDecoder
from oarlock.transport.handshake import (
    HELLO_LIMIT_BYTES,
    HandshakeRefused,
    Hello,
    RefusalReason,
    answer,
    conclude,
    read_refusal,
)
from oarlock.transport.interface import Channel

IDS = st.integers(1, (1 << 64) - 1)
DIALLING = Hello(7, 1, 11, 2, Channel.CONTROL)
ANSWERING = Hello(7, 2, 22, 0, Channel.CONTROL)


def payload_of(frame, kind=HELLO):
    [(got_kind, payload)] = FrameDecoder(HELLO_LIMIT_BYTES).feed(frame)
    assert got_kind == kind
    return payload


def changed(hello, **fields):
    values = {name: getattr(hello, name) for name in hello.__slots__}
    return Hello(**(values | fields))


@given(IDS, IDS, IDS, st.integers(0, (1 << 64) - 1), st.sampled_from(Channel))
def test_two_of_one_cluster_agree(cluster, dialler, answerer, epoch, channel):
    """Servers of one cluster with the expected ids agree, and each learns the other's id and epoch."""
    if dialler == answerer:
        return
    own = Hello(cluster, dialler, epoch, answerer, channel)
    theirs, reply = answer(Hello(cluster, answerer, 5, 0, Channel.CONTROL), HELLO, payload_of(own.encode()))
    assert theirs == own
    concluded = conclude(own, HELLO, payload_of(reply))
    assert (concluded.server_id, concluded.epoch, concluded.channel) == (answerer, 5, channel)


REFUSED = [
    (changed(DIALLING, cluster_id=8), RefusalReason.WRONG_CLUSTER, ["wrong cluster", "cluster 8", "cluster 7"]),
    (
        changed(DIALLING, expected_server_id=3),
        RefusalReason.WRONG_SERVER,
        ["wrong server", "dialled server 3", "server 2 answers"],
    ),
    (changed(DIALLING, server_id=2), RefusalReason.OWN_ID, ["own id", "server 2"]),
    (
        changed(DIALLING, version_min=9, version_max=12),
        RefusalReason.UNSUPPORTED_VERSION,
        ["unsupported version", "9 to 12", "1 to 1"],
    ),
]


@pytest.mark.parametrize(("hello", "reason", "words"), REFUSED, ids=[case[1].name for case in REFUSED])
def test_the_answering_side_refuses(hello, reason, words):
    """Wrong cluster, wrong server, own id and foreign version are refused, and both sides get the same words."""
    with pytest.raises(HandshakeRefused) as refused:
        answer(ANSWERING, HELLO, payload_of(hello.encode()))
    with pytest.raises(HandshakeRefused) as told:
        conclude(hello, REFUSAL, payload_of(refused.value.refusal_frame(), REFUSAL))
    assert refused.value.reason is told.value.reason is reason
    assert str(refused.value) == str(told.value)
    assert not refused.value.by_peer
    assert told.value.by_peer
    assert all(word in str(refused.value) for word in words)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"cluster_id": 8}, RefusalReason.WRONG_CLUSTER),
        ({"server_id": 3}, RefusalReason.WRONG_SERVER),
        ({"server_id": 1}, RefusalReason.OWN_ID),
        ({"version_min": 2, "version_max": 2}, RefusalReason.UNSUPPORTED_VERSION),
        ({"expected_server_id": 5}, RefusalReason.MALFORMED),
        ({"channel": Channel.SNAPSHOT}, RefusalReason.MALFORMED),
    ],
)
def test_the_dialling_side_refuses(fields, reason):
    """The check is mutual: an answer from the wrong cluster, server, version or connection is refused as well."""
    reply = changed(Hello(7, 2, 22, 1, Channel.CONTROL), **fields)
    with pytest.raises(HandshakeRefused) as refused:
        conclude(DIALLING, HELLO, payload_of(reply.encode()))
    assert refused.value.reason is reason


def test_a_newer_peer_that_still_speaks_our_version_is_accepted():
    """Version ranges that overlap agree, and a hello that has grown at its end is understood."""
    newer = changed(DIALLING, version_max=9)
    theirs, _ = answer(ANSWERING, HELLO, payload_of(newer.encode()) + b"what later versions add")
    assert theirs.version_max == 9


def test_the_version_is_judged_before_the_rest():
    """A future hello whose remainder we cannot read is refused for its version, not as malformed."""
    future = struct.pack("<8sHH", b"OARLOCK\n", 40, 41) + b"?"
    with pytest.raises(HandshakeRefused) as refused:
        answer(ANSWERING, HELLO, future)
    assert refused.value.reason is RefusalReason.UNSUPPORTED_VERSION


@pytest.mark.parametrize(
    ("kind", "payload"),
    [
        (MESSAGE, payload_of(DIALLING.encode())),
        (HELLO, b""),
        (HELLO, b"ELSEWHAT" + payload_of(DIALLING.encode())[8:]),
        (HELLO, payload_of(DIALLING.encode())[:-1]),
        (HELLO, payload_of(DIALLING.encode())[:12] + b"\x09" + payload_of(DIALLING.encode())[13:]),
        (HELLO, payload_of(changed(DIALLING, server_id=0).encode())),
    ],
    ids=["a message first", "empty", "magic", "cut short", "channel", "server 0"],
)
def test_a_malformed_hello_is_refused(kind, payload):
    """A first frame that is no hello of ours is refused as malformed."""
    with pytest.raises(HandshakeRefused) as refused:
        answer(ANSWERING, kind, payload)
    assert refused.value.reason is RefusalReason.MALFORMED


@given(
    st.integers(0, 15),
    st.one_of(st.binary(max_size=80), st.binary(max_size=60).map(lambda b: b"OARLOCK\n\1\0\1\0" + b)),
)
def test_arbitrary_first_frames(kind, payload):
    """Whatever the first frame holds, either side agrees or refuses; nothing else is ever raised."""
    for judge in (lambda: answer(ANSWERING, kind, payload), lambda: conclude(DIALLING, kind, payload)):
        try:
            judge()
        except HandshakeRefused as refused:
            refused.refusal_frame()


@given(st.binary(max_size=2000))
def test_a_refusal_text_is_safe_to_log(payload):
    """A foreign refusal cannot put control characters or pages of text into our log."""
    refused = read_refusal(payload)
    assert str(refused).isprintable()
    assert len(str(refused)) <= 512


def test_ids_out_of_range_are_refused_here():
    """An id that does not fit into 64 bits is an error of configuration, reported by name."""
    with pytest.raises(ValueError, match="cluster_id must be an unsigned 64-bit number"):
        changed(DIALLING, cluster_id=1 << 64)
