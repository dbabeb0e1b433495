"""What a run of cores ends with when something does not hold."""


class Broken(Exception):
    """A property does not hold."""

    def __init__(self, name: str, sentence: str) -> None:
        super().__init__(f"{name}: {sentence}")
        self.name = name
        self.sentence = sentence


def require(holds: object, name: str, sentence: str) -> None:
    """Go on only if a property holds.

    Raises:
        Broken: It does not.
    """
    if not holds:
        raise Broken(name, sentence)
