"""Flags as etcd takes them: one or two dashes, `--flag value` or `--flag=value`, or `ETCD_FLAG` in the environment.

A flag on the command line wins over the environment. The table says of each of etcd's flags whether it is used, does
not apply here (accepted, so that a script that starts etcd starts Oarlock), or asks for something we do not do.
"""

import difflib
import re
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Final

import msgspec

FlagValue = str | int | bool | float


class FlagError(ValueError):
    """The command line or environment cannot be used; the message is one line that says what and where."""


class Kind(Enum):
    """What a flag's value is."""

    TEXT = "text"
    SWITCH = "true|false"
    NUMBER = "number"
    DURATION = "duration"
    """Go's: 100ms, 5s, 1h30m; kept in seconds."""


class Use(Enum):
    """What becomes of a flag."""

    USED = "used"
    IGNORED = "ignored"
    """Does not apply here, and leaving it out changes no promise."""
    REFUSED = "refused"
    """Asks for something that is not done; only its default is accepted."""


class Flag(msgspec.Struct, frozen=True):
    """One flag."""

    name: str
    default: FlagValue
    help: str
    kind: Kind = Kind.TEXT
    use: Use = Use.USED

    @property
    def variable(self) -> str:
        """Its name in the environment."""
        return "ETCD_" + self.name.upper().replace("-", "_")


class ParsedFlags(msgspec.Struct, frozen=True):
    """All flags' values."""

    values: dict[str, FlagValue]
    given: frozenset[str]
    """Which of them were set, by flag or environment."""
    warnings: list[str]

    def text(self, name: str) -> str:
        """A flag of kind TEXT."""
        return str(self.values[name])

    def number(self, name: str) -> int:
        """A flag of kind NUMBER."""
        return int(self.values[name])

    def seconds(self, name: str) -> float:
        """A flag of kind DURATION."""
        return float(self.values[name])

    def switch(self, name: str) -> bool:
        """A flag of kind SWITCH."""
        return bool(self.values[name])


_SWITCHES: Final = {
    **dict.fromkeys(("1", "t", "T", "true", "TRUE", "True"), True),
    **dict.fromkeys(("0", "f", "F", "false", "FALSE", "False"), False),
}
_DURATION_PART: Final = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)")
_UNIT_S: Final = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


def parse(flags: Sequence[Flag], arguments: Sequence[str], environment: Mapping[str, str]) -> ParsedFlags:
    """Read command line and environment.

    Args:
        flags: All there are.
        arguments: Those after the command.
        environment: Only names that begin with `ETCD_` matter.

    Raises:
        FlagError: An unknown flag, a value of the wrong kind, a value missing, or something asked that is not done.
    """
    known = {flag.name: flag for flag in flags}
    given = _from_environment(known, environment)
    warnings = [
        f"environment variable {name} names no flag and is ignored"
        for name in sorted(environment)
        if name.startswith("ETCD_") and name not in {flag.variable for flag in flags}
    ]
    given.update(_from_arguments(known, arguments))
    values = {flag.name: given.get(flag.name, flag.default) for flag in flags}
    refused = [name for name in given if known[name].use is Use.REFUSED and values[name] != known[name].default]
    if refused:
        raise FlagError(f"--{refused[0]} is not supported: {known[refused[0]].help}")
    ignored = sorted(name for name in given if known[name].use is Use.IGNORED)
    if ignored:
        warnings.append(f"these flags do not apply here and are ignored: --{', --'.join(ignored)}")
    return ParsedFlags(values, frozenset(given), warnings)


def _from_environment(known: Mapping[str, Flag], environment: Mapping[str, str]) -> dict[str, FlagValue]:
    return {
        flag.name: _convert(flag, environment[flag.variable], flag.variable)
        for flag in known.values()
        if environment.get(flag.variable, "") != ""
    }


def _from_arguments(known: Mapping[str, Flag], arguments: Sequence[str]) -> dict[str, FlagValue]:
    given: dict[str, FlagValue] = {}
    rest = list(arguments)
    while rest:
        argument = rest.pop(0)
        if argument == "--":
            if rest:
                raise FlagError(f"{rest[0]!r} is not a flag")
            break
        if not argument.startswith("-") or argument == "-":
            raise FlagError(f"{argument!r} is not a flag")
        name, equals, text = argument.removeprefix("-").removeprefix("-").partition("=")
        flag = known.get(name)
        if flag is None:
            raise FlagError(f"unknown flag --{name}{_suggestion(name, known)}")
        if not equals and flag.kind is Kind.SWITCH:
            text = "true"
        elif not equals:
            if not rest:
                raise FlagError(f"--{name} needs a value")
            text = rest.pop(0)
        given[name] = _convert(flag, text, f"--{name}")
    return given


def _suggestion(name: str, known: Mapping[str, Flag]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean --{close[0]}?" if close else ""


def _convert(flag: Flag, text: str, where: str) -> FlagValue:
    match flag.kind:
        case Kind.TEXT:
            return text
        case Kind.SWITCH:
            if text not in _SWITCHES:
                raise FlagError(f"{where} must be true or false, not {text!r}")
            return _SWITCHES[text]
        case Kind.NUMBER:
            try:
                return int(text, 0)
            except ValueError:
                raise FlagError(f"{where} must be a whole number, not {text!r}") from None
        case Kind.DURATION:
            return _duration(text, where)


def _duration(text: str, where: str) -> float:
    if text == "0":
        return 0.0
    parts = _DURATION_PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise FlagError(f"{where} must be a duration such as 100ms, 5s or 1h30m, not {text!r}")
    return float(sum(float(number) * _UNIT_S[unit] for number, unit in parts))
