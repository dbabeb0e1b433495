"""How a scenario fails: with one sentence, from whatever thread."""


class LabFailure(AssertionError):
    """An implementation does not do what a scenario requires; the message says what, and who did what instead."""
