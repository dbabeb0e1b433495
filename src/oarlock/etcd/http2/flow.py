"""The receiving half of flow control: what may come, and when to say that more may (RFC 9113, section 5.2)."""


class ReceiveWindow:
    """What the peer may still send on a stream or a connection.

    Attributes:
        size: Its usual size.
        available: What may still come; negative when the peer has sent too much.
    """

    __slots__ = ("available", "size")

    def __init__(self, size: int) -> None:
        self.size = size
        self.available = size

    def raise_to(self, length: int) -> int:
        """So many bytes may come from now on.

        Returns:
            The increment to announce: 0 if as many may come already, or while more than half of the usual size is
            left, because an update for each frame would cost more than it gives.
        """
        missing = length - self.available
        if missing <= 0 or (self.available * 2 > self.size and missing < self.size):
            return 0
        self.available = length
        return missing
