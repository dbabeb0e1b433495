"""A number that is added to."""

from oarlock.replica.codec import Value
from oarlock.replica.object import ReplicatedObject, replicated
from oarlock.replica.objects.values import whole


class ReplicatedCounter(ReplicatedObject):
    """A whole number of 64 bits, 0 at first.

    What would take it out of that range is refused with `OverflowError` and changes nothing.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._value = 0

    @property
    def value(self) -> int:
        """The number, as far as this server knows."""
        return self._value

    def get(self) -> int:
        """The number, as far as this server knows; for `read`."""
        return self._value

    def __int__(self) -> int:
        return self._value

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}: {self._value}>"

    @replicated
    def add(self, amount: int = 1) -> int:
        """Add to the number; the new one."""
        self._value = whole(self._value + whole(amount, "amount"), "the sum")
        return self._value

    @replicated
    def subtract(self, amount: int = 1) -> int:
        """Take from the number; the new one."""
        self._value = whole(self._value - whole(amount, "amount"), "the difference")
        return self._value

    @replicated
    def set(self, value: int) -> int:
        """Replace the number; the old one."""
        old, self._value = self._value, whole(value, "value")
        return old

    @replicated
    def compare_and_set(self, expected: int, value: int) -> bool:
        """Replace the number if it is the expected one; whether it was."""
        whole(value, "value")
        if self._value != expected:
            return False
        self._value = value
        return True

    def snapshot(self) -> object:
        """The number."""
        return self._value

    def restore(self, image: Value) -> None:
        """Take over the number."""
        self._value = whole(image, "the image")
