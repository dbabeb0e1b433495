"""Response headers, spliced by hand: every answer has one, and most of it never changes.

A protobuf message is the concatenation of its fields, so a response is its header field followed by the bytes
of the others, and neither has to pass through a message object.
"""

from collections.abc import Callable

from oarlock.mvcc.keyvalue import varint


def revision_header(revision: int) -> bytes:
    """The header field of an answer inside a transaction, which tells the revision only."""
    if not revision:
        return b"\x0a\x00"
    field = b"\x18" + varint(revision)
    return b"\x0a" + varint(len(field)) + field


class Headers:
    """Makes the header field (number 1 in every response) of one server."""

    def __init__(self, cluster_id: int, member_id: int, term: Callable[[], int]) -> None:
        """Remember who answers.

        Args:
            cluster_id: The cluster's id.
            member_id: This server's id.
            term: Tells the current term; asked for every header.
        """
        self.cluster_id = cluster_id
        self.member_id = member_id
        self._term = term
        self._ids = b"".join(
            tag + varint(identity) for tag, identity in ((b"\x08", cluster_id), (b"\x10", member_id)) if identity
        )
        self._cached_term = -1
        self._cached_revision = -1
        self._term_field = b""
        self._cached = b""

    @property
    def term(self) -> int:
        """The current term."""
        return self._term()

    def field(self, revision: int) -> bytes:
        """The header field, tag and length included, of an answer at `revision`; 0 leaves the revision out."""
        term = self._term()
        if term != self._cached_term:
            self._term_field = b"\x20" + varint(term) if term else b""
            self._cached_term = term
        elif revision == self._cached_revision:
            return self._cached
        revision_field = b"\x18" + varint(revision) if revision else b""
        body = self._ids + revision_field + self._term_field
        self._cached = b"\x0a" + varint(len(body)) + body
        self._cached_revision = revision
        return self._cached
