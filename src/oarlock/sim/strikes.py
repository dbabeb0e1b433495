"""How often each fault did something, not merely was asked for."""

from collections import Counter


class Strikes:
    """Counts by name, such as "frame.drop"."""

    __slots__ = ("_counts",)

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def hit(self, name: str, times: int = 1) -> None:
        """A fault struck."""
        self._counts[name] += times

    def __getitem__(self, name: str) -> int:
        return self._counts[name]

    def as_dict(self) -> dict[str, int]:
        """All that struck, by name."""
        return dict(sorted(self._counts.items()))
