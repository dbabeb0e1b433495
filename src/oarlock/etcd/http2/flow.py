"""The receiving half of flow control: how many bytes may come, and when to say that more may (section 6.9)."""


class ReceiveWindow:
    """What the peer may still send on a stream or a connection.

    Credit is returned in halves of the window: a WINDOW_UPDATE for each frame would cost more than it gives.
    """

    __slots__ = ("available", "credit", "size")

    def __init__(self, size: int) -> None:
        self.size = size
        self.available = size
        self.credit = 0

    def receive(self, length: int) -> bool:
        """Account for a DATA frame of that length, padding included; False when it exceeds the window."""
        self.available -= length
        return self.available >= 0

    def release(self, length: int) -> int:
        """Bytes were consumed.

        Returns:
            The increment to announce now, or 0 while less than half of the window would be returned.
        """
        self.credit += length
        if self.credit * 2 < self.size:
            return 0
        increment, self.credit = self.credit, 0
        self.available += increment
        return increment
