"""All mutants of some rooms, their stable names, and samples of them."""

import ast
import math
import random
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import CodeType
from typing import Final

import msgspec

from oarlock.zoo.mutant import SOURCE
from oarlock.zoo.mutation.operators import changes_of

ROOMS: Final = ("raft", "storage")
LEFT_OUT: Final = {
    "raft.rules": "holds the rules' texts",
    "raft.invariants": "is a check itself, which no property of a run can miss",
}
"""Modules without mutants, and why."""
_CERTAINTY: Final = 1.96
"""Standard deviations that hold 95% of a normal distribution."""


class General(msgspec.Struct, frozen=True, kw_only=True):
    """One change of one place.

    Args:
        id: "module:line:operator", with ".2" and so on for further ones of a line.
        module: Dotted, without the package.
        number: Among all changes of the module's present text, from 0.
        line: Where.
        operator: In what way.
        function: In which function or class.
        before: The part that is changed; only its first line.
        after: What it becomes.
        place: What stays the same when lines move: function, change, and which of several that are alike.
    """

    id: str
    module: str
    number: int
    line: int
    operator: str
    function: str
    before: str
    after: str
    place: str

    @property
    def room(self) -> str:
        """The module's package."""
        return self.module.partition(".")[0]


def path_of(module: str) -> Path:
    """The module's file."""
    return SOURCE.joinpath(*module.split(".")).with_suffix(".py")


def mutants_of(rooms: Iterable[str] = ROOMS) -> list[General]:
    """Every mutant of every module of some rooms.

    Raises:
        ValueError: There is no such room.
    """
    found: list[General] = []
    for room in rooms:
        if room not in ROOMS:
            raise ValueError(f"no room {room!r} to mutate: {', '.join(ROOMS)}")
        for path in sorted((SOURCE / room).glob("*.py")):
            module = f"{room}.{path.stem}"
            if module not in LEFT_OUT:
                found += _mutants_of_module(module, path.read_text())
    return found


def _mutants_of_module(module: str, text: str) -> list[General]:
    seen: Counter[str] = Counter()
    return [
        General(
            id=_distinct(f"{module}:{change.line}:{change.operator}", seen),
            module=module,
            number=number,
            line=change.line,
            operator=change.operator,
            function=change.function,
            before=change.before,
            after=change.after,
            place=_distinct(f"{module} {change.function}: {change.before} -> {change.after}", seen),
        )
        for number, change in enumerate(changes_of(ast.parse(text)))
    ]


def _distinct(name: str, seen: Counter[str]) -> str:
    seen[name] += 1
    return name if seen[name] == 1 else f"{name}.{seen[name]}"


def mutate(number: int, text: str, path: str) -> CodeType:
    """The code of a module with one of its changes made."""
    tree = ast.parse(text)
    changes_of(tree)[number].do()
    code = compile(tree, path, "exec", dont_inherit=True)
    assert isinstance(code, CodeType), path  # noqa: S101 - a tree gives code
    return code


def sample(mutants: Sequence[General], count: int, seed: int) -> list[General]:
    """A random part, from each module in proportion to its number of mutants, in the order of the source."""
    if count >= len(mutants):
        return list(mutants)
    rng = random.Random(f"zoo/mutation/{seed}")  # noqa: S311
    by_module: dict[str, list[General]] = {}
    for mutant in mutants:
        by_module.setdefault(mutant.module, []).append(mutant)
    # Largest remainders: shares are whole, and add up.
    shares = {module: count * len(each) / len(mutants) for module, each in by_module.items()}
    taken = {module: math.floor(share) for module, share in shares.items()}
    short = sorted(shares, key=lambda module: (taken[module] - shares[module], module))
    for module in short[: count - sum(taken.values())]:
        taken[module] += 1
    chosen = {each.id for module, held in by_module.items() for each in rng.sample(held, taken[module])}
    return [mutant for mutant in mutants if mutant.id in chosen]


def interval(hits: int, tries: int) -> tuple[float, float]:
    """Wilson's interval, 95%, of a share of which a sample was seen."""
    if not tries:
        return 0.0, 1.0
    share = hits / tries
    square = _CERTAINTY**2
    middle = (share + square / (2 * tries)) / (1 + square / tries)
    spread = _CERTAINTY * math.sqrt(share * (1 - share) / tries + square / (4 * tries**2)) / (1 + square / tries)
    return max(0.0, middle - spread), min(1.0, middle + spread)
