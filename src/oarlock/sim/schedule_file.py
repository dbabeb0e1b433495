"""Schedules in files: `oarlock-schedule/1`. A file that was written by hand is looked over before it is run."""

from pathlib import Path
from typing import Any, Final

import msgspec

from oarlock.sim.cluster import Simulation
from oarlock.sim.faults import KINDS
from oarlock.sim.operations import KINDS as OPERATIONS
from oarlock.sim.schedule import FORMAT, ClientOperation, Fault, MessageEdit, Schedule
from oarlock.trace.schema import parse_id

_LONGEST_S: Final = 1e6
_HIGHEST_NUMBER: Final = 1000
"""Of servers and clients; a number that no server has means some other one."""


class ScheduleError(ValueError):
    """A file that is no schedule; says what and where."""


def read_schedule(path: Path | str) -> Schedule:
    """Read a schedule from a file.

    Raises:
        ScheduleError: It is none, or asks for what there is not.
        OSError: The file cannot be read.
    """
    try:
        schedule = msgspec.json.decode(Path(path).read_bytes(), type=Schedule)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ScheduleError(f"{path}: {error}") from None
    if schedule.format != FORMAT:
        raise ScheduleError(f'{path}: format: expected "{FORMAT}", got "{schedule.format}"')
    try:
        check_schedule(schedule)
    except ScheduleError as error:
        raise ScheduleError(f"{path}: {error}") from None
    return schedule


def write_schedule(schedule: Schedule, path: Path | str) -> None:
    """Write a schedule to a file, replacing it."""
    plain: dict[str, Any] = msgspec.to_builtins(schedule)
    Path(path).write_bytes(msgspec.json.format(msgspec.json.encode(plain), indent=1) + b"\n")


def check_schedule(schedule: Schedule) -> None:
    """Look a schedule over.

    Raises:
        ScheduleError: It cannot be run; says where and why.
    """
    _check_settings(schedule)
    for number, fault in enumerate(schedule.faults):
        _check_fault(fault, f"faults[{number}]")
    for number, operation in enumerate(schedule.operations):
        _check_operation(operation, f"operations[{number}]")
    for number, edit in enumerate(schedule.edits):
        _check_edit(edit, f"edits[{number}]")


def _check_settings(schedule: Schedule) -> None:
    settings = schedule.settings
    for name in ("duration_s", "link_delay_s", "link_jitter_s", "link_tail", "disk_mean_s", "max_clock_drift"):
        value = getattr(settings, name)
        _require(0 <= value <= _LONGEST_S, f"settings.{name}", f"{value:g} is not between 0 and {_LONGEST_S:g}")
    _require(settings.disk_mean_s > 0, "settings.disk_mean_s", "must be positive")
    for name, most in (("servers", 15), ("clients", _HIGHEST_NUMBER)):
        value = getattr(settings, name)
        _require(1 <= value <= most, f"settings.{name}", f"{value} is not between 1 and {most}")
    try:
        Simulation(schedule).close()  # makes every server's configuration
    except (ValueError, TypeError, AttributeError) as error:
        raise ScheduleError(f"settings: {error}") from None


def _check_fault(fault: Fault, where: str) -> None:
    kind = KINDS.get(fault.kind)
    if kind is None:
        raise ScheduleError(f'{where}.kind: there is no fault "{fault.kind}"; there are {", ".join(sorted(KINDS))}')
    _check_moment(fault.at, f"{where}.at")
    _check_moment(fault.seconds, f"{where}.seconds")
    lowest, highest = kind.values
    _require(
        lowest <= fault.value <= highest,
        f"{where}.value",
        f"{fault.value:g} is not between {lowest:g} and {highest:g}, as {fault.kind} needs it",
    )
    count = len(fault.servers)
    _require(
        count >= kind.least_servers,
        f"{where}.servers",
        f"{fault.kind} needs to know {kind.least_servers} of them, not {count}",
    )
    for server in fault.servers:
        _require(0 <= server <= _HIGHEST_NUMBER, f"{where}.servers", f"{server} is not between 0 and {_HIGHEST_NUMBER}")


def _check_operation(operation: ClientOperation, where: str) -> None:
    _check_moment(operation.at, f"{where}.at")
    for name, least in (("client", 1), ("server", 0)):
        number = getattr(operation, name)
        _require(
            least <= number <= _HIGHEST_NUMBER,
            f"{where}.{name}",
            f"{number} is not between {least} and {_HIGHEST_NUMBER}",
        )
    if operation.kind not in OPERATIONS:
        raise ScheduleError(
            f'{where}.kind: there is no operation "{operation.kind}"; there are {", ".join(OPERATIONS)}'
        )


def _check_edit(edit: MessageEdit, where: str) -> None:
    try:
        parse_id(edit.message)
    except ValueError as error:
        raise ScheduleError(f"{where}.message: {error}") from None
    _check_moment(edit.seconds, f"{where}.seconds")
    _require(edit.do == "delay" or not edit.seconds, f"{where}.seconds", f"{edit.do} takes no time")


def _check_moment(seconds: float, where: str) -> None:
    _require(0 <= seconds <= _LONGEST_S, where, f"{seconds:g} is not between 0 and {_LONGEST_S:g} seconds")


def _require(holds: bool, where: str, why: str) -> None:
    if not holds:
        raise ScheduleError(f"{where}: {why}")
