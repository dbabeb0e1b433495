"""A token bucket for each client, the same on all servers."""

from oarlock import ReplicatedObject, replicated

MAX_CLIENTS = 100_000


class RateLimiter(ReplicatedObject):
    """So many requests at once, and so many a minute."""

    def __init__(self, name: str, burst: int, per_minute: int) -> None:
        super().__init__(name)
        self.full = burst * 60_000  # counted in a request's 60,000th parts, so that whole numbers are enough
        self.per_minute = per_minute
        self.buckets: dict[str, tuple[int, int]] = {}  # client: what is left, when; whoever asked last stands last

    @replicated
    def take(self, client: str) -> int:
        """Let a request through: 0; or not: the milliseconds to wait."""
        left, before_ms = self.buckets.pop(client, (self.full, self.now_ms))
        left = min(self.full, left + (self.now_ms - before_ms) * self.per_minute)
        wait_ms = 0 if left >= 60_000 else -(-(60_000 - left) // self.per_minute)
        self.buckets[client] = (left if wait_ms else left - 60_000, self.now_ms)
        if len(self.buckets) > MAX_CLIENTS:
            del self.buckets[next(iter(self.buckets))]
        return wait_ms

    def snapshot(self) -> object:
        return self.buckets

    def restore(self, image: dict[str, list[int]]) -> None:
        self.buckets = {client: (left, at_ms) for client, (left, at_ms) in image.items()}
