"""The table of scenarios: each registers itself with its part, what it needs, and the labs' budgets for it."""

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, Final

import msgspec

from oarlock.lab.harness import Harness
from oarlock.lab.interface import Runtime

Prepare = Callable[[Runtime, Any, "Scenario"], Harness]
"""Makes a scenario's world for an implementation, which is mostly `make`."""

SECONDS_PER_SCENARIO: Final = 120.0
"""The labs' limit for each."""
SECONDS_PER_SUITE: Final = 600.0


class Scenario(msgspec.Struct, frozen=True, kw_only=True):
    """One test of the labs."""

    name: str
    part: str
    """As the labs number it since 2023, such as 3A."""
    servers: int
    reliable: bool
    claim: str
    """What it proves, in one sentence."""
    budgets: tuple[str, ...]
    """The labs' own numbers, in words."""
    repaired: str
    """What is checked here and not upstream, or strictly here; empty if nothing."""
    snapshots: bool
    prepare: Prepare
    run: Callable[[Any], None]

    @property
    def id(self) -> str:
        """Names it among all."""
        return f"{self.part}-{self.name}"


SCENARIOS: Final[dict[str, Scenario]] = {}
"""By id, in the labs' order; whole only after `catalogue` was imported."""

OLDER_PARTS: Final = {"2A": "3A", "2B": "3B", "2C": "3C", "2D": "3D"}
"""What the labs called the parts until 2022."""


class NoSuchScenario(ValueError):
    """What was asked for is neither a part nor a scenario; the message lists what there is."""


def scenario(
    part: str,
    name: str,
    *,
    servers: int,
    prepare: Prepare,
    reliable: bool = True,
    budgets: Sequence[str] = (),
    repaired: str = "",
    snapshots: bool = False,
) -> Callable[[Callable[[Any], None]], Callable[[Any], None]]:
    """Register a function of the world that `prepare` makes; the first sentence of its docstring is its claim."""

    def register(run: Callable[[Any], None]) -> Callable[[Any], None]:
        entry = Scenario(
            name=name,
            part=part,
            servers=servers,
            reliable=reliable,
            claim=" ".join((run.__doc__ or "").split()),
            budgets=tuple(budgets),
            repaired=repaired,
            snapshots=snapshots,
            prepare=prepare,
            run=run,
        )
        if entry.id in SCENARIOS:
            raise ValueError(f"two scenarios {entry.id}")
        SCENARIOS[entry.id] = entry
        return run

    return register


def choose(wanted: Sequence[str]) -> list[Scenario]:
    """The scenarios of parts ("3", "3A", or "2A" as it was called once), or of names; all if nothing is wanted.

    Raises:
        NoSuchScenario: One of them is none.
    """
    import_module("oarlock.lab.suite.catalogue")  # which imports this module, and fills the table
    chosen: dict[str, Scenario] = {} if wanted else dict(SCENARIOS)
    for one in wanted:
        part = OLDER_PARTS.get(one.upper(), one.upper())
        found = [
            entry
            for entry in SCENARIOS.values()
            if entry.part.startswith(part) or one.lower() in (entry.name.lower(), entry.id.lower())
        ]
        if not found:
            parts = ", ".join(dict.fromkeys(entry.part for entry in SCENARIOS.values()))
            raise NoSuchScenario(f"no part or scenario {one!r}; parts are {parts}, scenarios {', '.join(SCENARIOS)}")
        chosen.update((entry.id, entry) for entry in found)
    return list(chosen.values())
