"""The fewest faults with which a library's run fails as it does with all."""

from collections.abc import Sequence
from typing import Any

from oarlock.sim.shrink import NotFailing, least
from oarlock.testing.simulated import RunFailed, simulate


def shrink(seed: int, *, faults: int = 10, **arguments: Any) -> RunFailed:  # noqa: ANN401 - of `simulate`
    """Make a failing run again and again, with fewer faults each time, as long as the same property is broken.

    Whatever `work` and `objects` keep outside themselves is kept from run to run.

    Args:
        seed: Of the run.
        faults: How many it has.
        arguments: See `simulate`; `record` gets the run with the fewest.

    Returns:
        How that run fails: the text tells the `only` with which `simulate` repeats it.

    Raises:
        NotFailing: The run does not fail.
    """
    record = arguments.pop("record", None)

    def attempt(only: Sequence[int] | None) -> RunFailed | None:
        try:
            simulate(seed, faults=faults, only=only, **arguments)
        except RunFailed as failed:
            return failed
        return None

    whole = attempt(None)
    if whole is None:
        raise NotFailing(f"the run of seed {seed} breaks nothing")
    broken = whole.violations[0].name

    def fails(only: Sequence[int]) -> bool:
        found = attempt(only)
        return found is not None and found.violations[0].name == broken

    left = tuple(least(list(range(1, faults + 1)), fails))
    try:
        simulate(seed, faults=faults, only=left, record=record, **arguments)
    except RunFailed as failed:
        return failed
    raise NotFailing(f"the run of seed {seed} does not fail each time: `work` keeps something from run to run")
