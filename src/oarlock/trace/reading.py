"""From rules that acted to the variables they read, and from messages to those they were composed of."""

import re
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, Final, Protocol

from oarlock.trace.flows import FLOWS, MESSAGES, PER_SERVER, SERVER_OPERANDS
from oarlock.trace.payloads import Fields
from oarlock.trace.schema import server_name
from oarlock.trace.writers import LastWriters

Expand = Callable[[tuple[object, ...]], list[str]]
"""Operands to variables."""


class Looks(Protocol):
    """What must be asked of the core at the very moment a rule acts."""

    def reached(self, index: int) -> list[str]:
        """The followers whose match_index is at least `index`."""

    def granted(self) -> list[str]:
        """The servers that granted their vote."""


_PATTERN: Final = re.compile(r"(\w+)\.\{(\w+)\}(-1)?")


def variables_read(rule: str, operands: tuple[object, ...], looks: Looks) -> list[str]:
    """The variables that a rule read, those of messages excepted."""
    fixed, templates, stars = _plan(rule)
    if not templates and not stars:
        return fixed
    found = list(fixed)
    for head, position, before in templates:
        operand = operands[position] if position < len(operands) else None
        if isinstance(operand, int):
            found.append(f"{head}.{server_name(operand) if head in PER_SERVER else operand - before}")
    for head in stars:
        if head == "votes":
            found += [f"votes.{server}" for server in looks.granted()]
        elif operands and isinstance(operands[0], int):
            found += [f"match.{server}" for server in looks.reached(operands[0])]
    return found


@cache
def _plan(rule: str) -> tuple[list[str], list[tuple[str, int, int]], list[str]]:
    """The reads of a rule: fixed ones, those of an operand, those of many servers."""
    fixed, templates, stars = [], [], []
    for read in FLOWS[rule].reads if rule in FLOWS else ():
        if read.startswith("m."):
            continue
        if match := _PATTERN.fullmatch(read):
            templates.append((match[1], int(match[2]), 1 if match[3] else 0))
        elif read.endswith(".*"):
            stars.append(read.removesuffix(".*"))
        else:
            fixed.append(read)
    return fixed, templates, stars


def message_reads(message: Any, writers: LastWriters) -> Iterator[tuple[str, str]]:  # noqa: ANN401 - any message
    """The variables that a message's fields were copied from, with who last wrote each."""
    for field, variable in _message_plan(type(message).__name__):
        value = getattr(message, field)
        if not value and value is not False and field != "term":
            continue  # such as a match_index of 0: nothing is claimed
        if variable == "log.{entries}":
            yield from writers.of_entries(value[0].index, value[-1].index)
            continue
        head, brace, _ = variable.partition(".{")
        name = f"{head}.{value}" if brace else variable
        writer = writers.get(name)
        if writer is not None:
            yield name, writer


@cache
def _message_plan(kind: str) -> list[tuple[str, str]]:
    """Pairs of a field and a variable that it depends on."""
    fields = MESSAGES[kind].fields if kind in MESSAGES else {}
    return [(field, variable) for field, variables in fields.items() for variable in variables]


def shown_operands(rule: str, operands: tuple[object, ...], fields: Fields) -> tuple[Any, ...]:
    """Operands as the trace has them: servers by name."""
    servers = _servers_among_operands(rule)
    shown = [fields.plain(operand) for operand in operands]
    for position in servers:
        operand = operands[position] if position < len(operands) else None
        if isinstance(operand, int):
            shown[position] = server_name(operand)
    return tuple(shown)


@cache
def _servers_among_operands(rule: str) -> list[int]:
    names = FLOWS[rule].operands if rule in FLOWS else ()
    return [position for position, name in enumerate(names) if name in SERVER_OPERANDS]
