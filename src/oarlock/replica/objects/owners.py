"""Under which name something is held."""

from oarlock.replica.object import ReplicatedObject


def new_owner(obj: ReplicatedObject) -> str:
    """A name that nobody else has, in this process or any other, now or later."""
    raise NotImplementedError


def owner_name(owner: object, what: str = "owner") -> str:
    """A name as it came with a command.

    Raises:
        TypeError: It is no text.
        ValueError: It is empty.
    """
    if not isinstance(owner, str):
        raise TypeError(f"{what} must be a text, not {type(owner).__name__}")
    if not owner:
        raise ValueError(f"{what} must not be empty")
    return owner
