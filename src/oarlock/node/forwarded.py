"""What members forwarded to the leader, each batch once, whatever copies of it come."""

from oarlock.node.codec import Forward
from oarlock.node.proposals import REQUEST_ID_BITS
from oarlock.raft.types import ServerId


class ForwardedBatches:
    """Batches that wait for the owner's next turn."""

    __slots__ = ("_last", "_waiting")

    def __init__(self) -> None:
        self._waiting: list[Forward] = []
        self._last: dict[ServerId, int] = {}
        """The last batch that each member forwarded, by its request id."""

    def add(self, forward: Forward, *, is_member: bool) -> bool:
        """Take a batch, unless it, or a later one, came before; whether it was taken.

        Answered twice, the first might be accepted, and the copy refused for want of room: its proposer would tell its
        callers that nothing was proposed, and it was. What was overtaken is asked for again.
        """
        last = self._last.get(forward.source, 0)
        is_same_boot = forward.request_id >> REQUEST_ID_BITS == last >> REQUEST_ID_BITS
        if is_same_boot and forward.request_id <= last:
            return False
        if is_member:  # of whom there are not many
            self._last[forward.source] = forward.request_id
        self._waiting.append(forward)
        return True

    def take(self) -> list[Forward]:
        """All that wait, in the order in which they came."""
        waiting = self._waiting
        if waiting:
            self._waiting = []
        return waiting
