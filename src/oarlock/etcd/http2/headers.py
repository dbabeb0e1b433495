"""Field sections: checked requests out of HPACK blocks, response blocks made once (RFC 9113, section 8; RFC 7541).

Decoding HPACK in Python costs more than everything else about a small request. So we announce an empty dynamic
table (`Limits.announcement`): a client then spells each field out, and its block means the same at any time and on
any connection. Such blocks are remembered whole, with the checked request that they stand for. One field changes
with each request of a client that sets deadlines, `grpc-timeout`; it is cut out, and the rest is looked up.

A client that has not seen our SETTINGS yet, or ignores them, uses the table; it is served by `hpack` itself.
"""

import re
from collections.abc import Iterable

from hpack import Decoder
from hpack.exceptions import HPACKError, OversizedHeaderListError
from hpack.huffman import HuffmanEncoder
from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH
from hpack.huffman_table import decode_huffman

from oarlock.etcd.http2 import frames
from oarlock.etcd.http2.errors import ConnectionFault, ErrorCode, HeadersTooLarge, StreamFault

Fields = tuple[tuple[str, str], ...]

VOLATILE_FIELD = "grpc-timeout"
"""The field that is kept apart, so that the others are found in the cache."""

_STATIC_ENTRIES = 61
_ENTRY_OVERHEAD_BYTES = 32
_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9a-z]+")
_BAD_VALUE = re.compile(r"[\x00\r\n]|^[ \t]|[ \t]$")
_CONNECTION_FIELDS = frozenset({"connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"})
_PSEUDO_FIELDS = frozenset({":method", ":scheme", ":authority", ":path"})


def _literal_names(name: bytes) -> tuple[bytes, bytes]:
    """The two ways in which a literal field without indexing begins: its name Huffman-coded, and plain."""
    coded = HuffmanEncoder(REQUEST_CODES, REQUEST_CODES_LENGTH).encode(name)
    return b"\x00" + bytes([0x80 | len(coded)]) + coded, b"\x00" + bytes([len(name)]) + name


_VOLATILE_CODED, _VOLATILE_PLAIN = _literal_names(VOLATILE_FIELD.encode())


class RequestHead:
    """A request's checked fields; one object may serve many equal requests.

    Attributes:
        method: `:method`.
        scheme: `:scheme`; empty for CONNECT.
        authority: `:authority`, or the Host field in its place; may be empty.
        path: `:path`, with its query; empty for CONNECT.
        fields: The other fields in order, names in lower case, without `VOLATILE_FIELD`.
        content_length: What the client says it will send, or None.
        route: Whatever the application worked out from this head; kept with it.
    """

    __slots__ = ("authority", "content_length", "fields", "method", "path", "route", "scheme")

    def __init__(
        self, method: str, scheme: str, authority: str, path: str, fields: Fields, content_length: int | None
    ) -> None:
        self.method = method
        self.scheme = scheme
        self.authority = authority
        self.path = path
        self.fields = fields
        self.content_length = content_length
        self.route: object = None

    def get(self, name: str) -> str | None:
        """The first value of a field, or None."""
        for field, value in self.fields:
            if field == name:
                return value
        return None


class HeaderBlock:
    """A response's field section, encoded once: only static entries and literals, so it depends on no state.

    Attributes:
        block: The HPACK bytes.
        start: The first five bytes of its HEADERS frame; the stream's id and the block follow.
        end: The same with END_STREAM.
        is_large: It needs CONTINUATION frames, whatever the peer's settings.
    """

    __slots__ = ("block", "end", "is_large", "start")

    def __init__(self, fields: Iterable[tuple[bytes, bytes]]) -> None:
        self.block = b"".join(_encode_field(name, value) for name, value in fields)
        length = len(self.block)
        self.is_large = length > 16_384
        prefix = length.to_bytes(3, "big") if length < 1 << 24 else b""
        self.start = prefix + bytes([frames.HEADERS, frames.END_HEADERS])
        self.end = prefix + bytes([frames.HEADERS, frames.END_HEADERS | frames.END_STREAM])


_STATUS_INDEXES = {b"200": 8, b"204": 9, b"206": 10, b"304": 11, b"400": 12, b"404": 13, b"500": 14}
_NAME_INDEXES = {b":status": 8, b"content-length": 28, b"content-type": 31, b"allow": 22, b"date": 33}


def _encode_integer(value: int, prefix_bits: int) -> bytes:
    limit = (1 << prefix_bits) - 1
    if value < limit:
        return bytes([value])
    encoded = bytearray([limit])
    value -= limit
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def _encode_field(name: bytes, value: bytes) -> bytes:
    """A field as an entry of the static table, or as a literal without indexing (RFC 7541, sections 6.1, 6.2.2)."""
    if name == b":status" and value in _STATUS_INDEXES:
        return bytes([0x80 | _STATUS_INDEXES[value]])
    index = _NAME_INDEXES.get(name)
    coded_name = _encode_integer(index, 4) if index else b"\x00" + _encode_integer(len(name), 7) + name
    return coded_name + _encode_integer(len(value), 7) + value


class HeadCache:
    """Blocks seen before and the requests they stand for, shared by a server's connections and bounded.

    A full cache is emptied: the few blocks in use come back at once, and a client that sends ever new ones can do no
    more than make everyone decode.
    """

    __slots__ = ("heads", "values")

    MAX_HEADS = 2048
    MAX_BLOCK_BYTES = 2048
    MAX_VALUES = 16_384

    def __init__(self) -> None:
        self.heads: dict[tuple[bytes, bytes], RequestHead] = {}
        self.values: dict[bytes, str] = {}

    def remember(self, block: bytes, head: RequestHead, volatile: str | None) -> None:
        """Keep a request under its block, if that block needs no dynamic table."""
        if len(block) > self.MAX_BLOCK_BYTES or head.get(VOLATILE_FIELD) is not None:
            return
        key, was_cut = _stateless_key(block)
        # A volatile field in a form that is not recognised must not vanish from the next request.
        if key is not None and was_cut == (volatile is not None):
            if len(self.heads) >= self.MAX_HEADS:
                self.heads.clear()
            self.heads[key] = head

    def string(self, wire: bytes) -> str:
        """An HPACK string, given with its one byte of length."""
        value = self.values.get(wire)
        if value is None:
            raw = bytes(decode_huffman(wire[1:])) if wire[0] & 0x80 else wire[1:]
            value = raw.decode("latin-1")
            if len(self.values) >= self.MAX_VALUES:
                self.values.clear()
            self.values[wire] = value
        return value


class HeaderDecoder:
    """One connection's HPACK decoder, behind the cache."""

    __slots__ = ("_cache", "_decoder", "_heads", "_max_list_bytes")

    def __init__(self, cache: HeadCache, max_list_bytes: int) -> None:
        self._cache = cache
        self._heads = cache.heads
        self._max_list_bytes = max_list_bytes
        # The table may be used in full although we announce none: Go's net/http before 1.20 ignores that setting.
        self._decoder = Decoder(max_header_list_size=4 * max_list_bytes)

    def request(self, block: bytes) -> tuple[RequestHead, str | None]:
        """Decode and check a request's field section.

        Returns:
            The request, and the value of `VOLATILE_FIELD` if it is there.

        Raises:
            ConnectionFault: The block cannot be decoded; the table's state is lost.
            StreamFault: The request is malformed (RFC 9113, section 8.1.1).
        """
        at = block.find(_VOLATILE_CODED)
        if at >= 0:
            after = at + len(_VOLATILE_CODED)
        else:
            at = block.find(_VOLATILE_PLAIN)
            after = at + len(_VOLATILE_PLAIN)
        if at < 0:
            head = self._heads.get((block, b""))
            if head is not None:
                return head, None
        elif after < len(block) and (length := block[after] & 0x7F) < 0x7F:
            # A hit proves that both parts are whole fields, so this is indeed where a field begins.
            end = after + 1 + length
            head = self._heads.get((block[:at], block[end:]))
            if head is not None and end <= len(block):
                try:
                    return head, self._cache.string(block[after:end])
                except HPACKError as error:
                    raise ConnectionFault(ErrorCode.COMPRESSION_ERROR, str(error)) from error
        fields = self._decode(block)
        head, volatile = _checked_request(fields)
        self._cache.remember(block, head, volatile)
        return head, volatile

    def trailers(self, block: bytes) -> Fields:
        """Decode and check the field section after a request's body.

        Raises:
            ConnectionFault: As for `request`.
            StreamFault: It holds what only a request's head may.
        """
        fields = self._decode(block)
        for name, value in fields:
            if name.startswith(":"):
                raise StreamFault(ErrorCode.PROTOCOL_ERROR, f"{name} in trailers")
            _check_field(name, value)
        return fields

    def _decode(self, block: bytes) -> Fields:
        try:
            decoded = list(self._decoder.decode(block, raw=True))
        except OversizedHeaderListError as error:
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, "field section far above the limit") from error
        except (HPACKError, IndexError) as error:
            raise ConnectionFault(ErrorCode.COMPRESSION_ERROR, str(error)) from error
        size = sum(len(name) + len(value) for name, value in decoded) + _ENTRY_OVERHEAD_BYTES * len(decoded)
        if size > self._max_list_bytes:
            raise HeadersTooLarge(f"field section of {size} bytes, the limit is {self._max_list_bytes}")
        return tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in decoded)


def _check_field(name: str, value: str) -> None:
    """Refuse what RFC 9113, sections 8.2.1 and 8.2.2, forbid in every field."""
    if not _NAME.fullmatch(name):
        raise StreamFault(ErrorCode.PROTOCOL_ERROR, f"field name {name[:64]!r}")
    if _BAD_VALUE.search(value):
        raise StreamFault(ErrorCode.PROTOCOL_ERROR, f"value of field {name[:64]}")
    if name in _CONNECTION_FIELDS or (name == "te" and value != "trailers"):
        raise StreamFault(ErrorCode.PROTOCOL_ERROR, f"connection-specific field {name}: {value[:64]!r}")


def _checked_request(fields: Fields) -> tuple[RequestHead, str | None]:
    pseudo: dict[str, str] = {}
    regular: list[tuple[str, str]] = []
    volatile: str | None = None
    content_length: int | None = None
    host: str | None = None
    for name, value in fields:
        if name.startswith(":"):
            if regular or volatile is not None:
                raise StreamFault(ErrorCode.PROTOCOL_ERROR, f"{name[:64]!r} after regular fields")
            if name not in _PSEUDO_FIELDS or name in pseudo:
                raise StreamFault(ErrorCode.PROTOCOL_ERROR, f"unknown or repeated {name[:64]!r}")
            if _BAD_VALUE.search(value):
                raise StreamFault(ErrorCode.PROTOCOL_ERROR, f"value of {name}")
            pseudo[name] = value
            continue
        _check_field(name, value)
        if name == VOLATILE_FIELD and volatile is None:
            volatile = value
            continue
        if name == "content-length":
            content_length = _content_length(value, content_length)
        elif name == "host":
            host = value
        regular.append((name, value))
    _check_pseudo(pseudo, host)
    head = RequestHead(
        pseudo[":method"],
        pseudo.get(":scheme", ""),
        pseudo.get(":authority", host or ""),
        pseudo.get(":path", ""),
        tuple(regular),
        content_length,
    )
    return head, volatile


def _check_pseudo(pseudo: dict[str, str], host: str | None) -> None:
    """RFC 9113, sections 8.3.1 and 8.5: which pseudo-fields there must be."""
    method = pseudo.get(":method")
    if not method:
        raise StreamFault(ErrorCode.PROTOCOL_ERROR, "no :method")
    if method == "CONNECT":
        if ":scheme" in pseudo or ":path" in pseudo or not pseudo.get(":authority"):
            raise StreamFault(ErrorCode.PROTOCOL_ERROR, "CONNECT takes :authority only")
        return
    path = pseudo.get(":path", "")
    if not pseudo.get(":scheme"):
        raise StreamFault(ErrorCode.PROTOCOL_ERROR, "no :scheme")
    if not path.startswith("/") and not (path == "*" and method == "OPTIONS"):
        raise StreamFault(ErrorCode.PROTOCOL_ERROR, f":path {path[:64]!r}")
    authority = pseudo.get(":authority")
    if host is not None and authority is not None and host != authority:
        raise StreamFault(ErrorCode.PROTOCOL_ERROR, "host differs from :authority")


def _content_length(value: str, seen: int | None) -> int:
    if not (value.isascii() and value.isdigit() and len(value) <= 18):
        raise StreamFault(ErrorCode.PROTOCOL_ERROR, f"content-length {value[:64]!r}")
    length = int(value)
    if seen is not None and seen != length:
        raise StreamFault(ErrorCode.PROTOCOL_ERROR, "content-lengths differ")
    return length


def _stateless_key(block: bytes) -> tuple[tuple[bytes, bytes] | None, bool]:
    """The block without its volatile field, as (before, after), and whether there was one to be cut out.

    None instead, when the dynamic table is involved.

    The block is known to decode, so lengths need no check; an index above the static table or an instruction that
    changes the dynamic one makes the block's meaning depend on others.
    """
    at = 0
    cut: tuple[int, int] | None = None
    while at < len(block):
        first = block[at]
        index, after = _decode_integer(block, at, 7 if first & 0x80 else 4)
        if index > _STATIC_ENTRIES or 0x20 <= first < 0x80:
            return None, False
        if first < 0x20:
            if not index:
                length, after = _decode_integer(block, after, 7)
                after += length
            length, after = _decode_integer(block, after, 7)
            after += length
            if cut is None and block.startswith((_VOLATILE_CODED, _VOLATILE_PLAIN), at):
                cut = at, after
        at = after
    return ((block[: cut[0]], block[cut[1] :]) if cut else (block, b"")), cut is not None


def _decode_integer(block: bytes, at: int, prefix_bits: int) -> tuple[int, int]:
    """An HPACK integer and where it ends (RFC 7541, section 5.1); the block is known to decode."""
    limit = (1 << prefix_bits) - 1
    value = block[at] & limit
    at += 1
    if value == limit:
        shift = 0
        while True:
            byte = block[at]
            at += 1
            value += (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
    return value, at
