"""The frame codec, and the small sans-IO parts: windows, allowances, peer settings."""

import hyperframe.frame
import pytest

from oarlock.etcd.http2 import frames
from oarlock.etcd.http2.errors import ConnectionFault, ErrorCode
from oarlock.etcd.http2.flow import ReceiveWindow
from oarlock.etcd.http2.guard import Allowance
from oarlock.etcd.http2.settings import PeerSettings


@pytest.mark.parametrize(
    ("ours", "kind"),
    [
        (frames.settings([(4, 70_000), (6, 1)]), hyperframe.frame.SettingsFrame),
        (frames.rst_stream(5, 8), hyperframe.frame.RstStreamFrame),
        (frames.window_update(3, 1234), hyperframe.frame.WindowUpdateFrame),
        (frames.goaway(7, 11, b"calm"), hyperframe.frame.GoAwayFrame),
        (frames.frame(frames.PING, frames.ACK, 0, b"12345678"), hyperframe.frame.PingFrame),
        (frames.frame(frames.DATA, frames.END_STREAM, 1, bytes(70_000)), hyperframe.frame.DataFrame),
    ],
)
def test_frames_are_read_by_another_implementation(ours, kind):
    """What we write, hyperframe reads, and writes back byte for byte."""
    parsed, length = hyperframe.frame.Frame.parse_frame_header(memoryview(ours)[:9])
    parsed.parse_body(memoryview(ours)[9:])
    assert type(parsed) is kind
    assert length == len(ours) - 9
    assert parsed.serialize() == ours


def test_padding_is_taken_off():
    """RFC 9113, 6.1: the pad length's byte and the padding are not data."""
    assert frames.strip_padding(frames.PADDED, b"\x03dataPAD") == b"data"
    assert frames.strip_padding(0, b"\x03data") == b"\x03data"


@pytest.mark.parametrize(
    ("payload", "code"),
    [(b"", ErrorCode.FRAME_SIZE_ERROR), (b"\x05data", ErrorCode.PROTOCOL_ERROR), (b"\x01", ErrorCode.PROTOCOL_ERROR)],
)
def test_padding_as_long_as_the_payload_is_refused(payload, code):
    """RFC 9113, 6.1: padding of the payload's length or more is a connection error."""
    with pytest.raises(ConnectionFault) as raised:
        frames.strip_padding(frames.PADDED, payload)
    assert raised.value.code is code


def test_a_window_is_raised_in_halves():
    """Updates are announced when half of the window is used, or when a large message needs them at once."""
    window = ReceiveWindow(1000)
    window.available -= 400
    assert window.raise_to(1000) == 0
    window.available -= 200
    assert window.raise_to(1000) == 600
    assert window.available == 1000
    assert window.raise_to(500) == 0
    assert window.raise_to(5000) == 4000


def test_an_allowance_refills_with_time_and_progress_but_not_above_its_burst():
    """A flood ends when the allowance is used up; time and progress fill it, up to the burst."""
    allowance = Allowance(3, 1.0, 0.0)
    assert [allowance.spend(0.0) for _ in range(4)] == [True, True, True, False]
    assert allowance.spend(2.0)
    allowance.left += 1000
    assert [allowance.spend(2.0) for _ in range(4)] == [True, True, True, False]


@pytest.mark.parametrize(
    ("identifier", "value", "code"),
    [
        (2, 2, ErrorCode.PROTOCOL_ERROR),
        (4, 1 << 31, ErrorCode.FLOW_CONTROL_ERROR),
        (5, 16_383, ErrorCode.PROTOCOL_ERROR),
        (5, 1 << 24, ErrorCode.PROTOCOL_ERROR),
    ],
)
def test_settings_outside_their_range_are_refused(identifier, value, code):
    """RFC 9113, 6.5.2: each setting's bounds, and the code for passing them."""
    with pytest.raises(ConnectionFault) as raised:
        PeerSettings().update(frames.settings([(identifier, value)])[9:])
    assert raised.value.code is code


def test_unknown_settings_are_passed_over():
    """RFC 9113, 6.5.2: a setting of unknown identifier is ignored."""
    peer = PeerSettings()
    assert peer.update(frames.settings([(0xF000, 1), (4, 70_000), (5, 20_000)])[9:]) == 70_000 - 65_535
    assert peer.max_frame_size == 20_000
