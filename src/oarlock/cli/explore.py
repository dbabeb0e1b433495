"""`oarlock explore`: every state of a small cluster, model-checked."""

import argparse
import subprocess
import sys
from collections.abc import Sequence
from importlib import import_module
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from oarlock.cli.terminal import table

if TYPE_CHECKING:  # what runs is imported once a mutant is in place
    from oarlock.explore import Bounds, Found, Progress, Result

_NUMBERS = {
    "servers": "servers in the cluster",
    "voters": "how many of them vote at first (default: all)",
    "terms": "the last term that anybody campaigns for",
    "entries": "commands that clients propose",
    "crashes": "crashes, each with every outcome for the disk",
    "changes": "changes of membership",
    "snapshots": "snapshots that are taken",
    "writes": "writes that a disk may have under way at a time (default: none, it ends them at once)",
}
_SWITCHES = {
    "cover": "leave out states that differ from another only in less that is under way",
    "heartbeats": "leaders send heartbeats and news of commitment at any time",
    "pre-vote": "servers ask first whether they would be voted for",
    "check-quorum": "leaders step down without a majority, and voters keep to a live leader",
    "late": "leaders may take what they sent for lost at any time",
    "one-entry-messages": "each command travels alone",
    "symmetry": "count states that differ only in names as one",
    "eager": "take steps that only send at once, for whoever has more under way can do more",
}


def explore(arguments: Sequence[str]) -> int:
    """Explore all states within bounds.

    Args:
        arguments: Those after `explore`.

    Returns:
        0 when every property holds in all states found, 1 when one does not, 2 for bounds that cannot be explored or a
        trace that cannot be written.
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.mutant is not None and (status := _install(options.mutant, arguments)) is not None:
        return status
    room = import_module("oarlock.explore")
    if options.list:
        print("\n".join(table([["NAME", "BOUNDS"], *[[name, _words(held)] for name, held in _named(room).items()]])))
        return 0
    try:
        bounds = _bounds(room, options)
    except (ValueError, LookupError) as error:
        print(f"oarlock explore: {error}", file=sys.stderr)
        return 2
    limits = room.Limits(
        depth=options.depth,
        states=options.states,
        memory_bytes=options.memory << 20 if options.memory is not None else None,
        seconds=options.seconds,
    )
    trace = BytesIO() if options.trace is not None else None
    result: Result = room.explore(bounds, limits, None if options.quiet else _show, trace)
    print(msgspec.json.format(msgspec.json.encode(result)).decode() if options.json else describe(result))
    if trace is not None and not _written(options.trace, trace.getvalue()):
        return 2
    return 0 if result.found is None else 1


def _written(path: str, trace: bytes) -> bool:
    if not trace:
        print("oarlock explore: nothing was violated, so there is no way to trace", file=sys.stderr)
        return True
    try:
        Path(path).write_bytes(trace)
    except OSError as error:
        print(f"oarlock explore: {error}", file=sys.stderr)
        return False
    print(f"the way there: oarlock draw {path}", file=sys.stderr)
    return True


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="oarlock explore",
        description="Try everything that can happen to a small cluster of production cores, and check every state.",
    )
    parser.add_argument("name", nargs="?", metavar="NAME", help="bounds with a name, which options then change")
    parser.add_argument("--list", action="store_true", help="name all bounds that have a name")
    for name, help_ in _NUMBERS.items():
        parser.add_argument(f"--{name}", type=int, metavar="N", help=help_)
    for name, help_ in _SWITCHES.items():
        parser.add_argument(f"--{name}", action=argparse.BooleanOptionalAction, help=help_)
    parser.add_argument(
        "--candidates", nargs="*", type=int, metavar="ID", help="who alone may campaign for term 1, 2..."
    )
    parser.add_argument(
        "--proposed-in", nargs="*", type=int, metavar="TERM", help="in which term alone command 1, 2... is proposed"
    )
    parser.add_argument("--crashing", nargs="*", type=int, metavar="ID", help="who alone may crash")
    parser.add_argument("--ignore", nargs="*", dest="ignored", metavar="PROPERTY", help="do not check these properties")
    parser.add_argument("--depth", type=int, metavar="N", help="stop after this many steps")
    parser.add_argument("--states", type=int, metavar="N", help="stop at about this many states")
    parser.add_argument("--memory", type=int, metavar="MIB", help="stop at about this much memory")
    parser.add_argument("--seconds", type=float, metavar="S", help="stop after about this much processor time")
    parser.add_argument(
        "--mutant", metavar="ID", help="explore the code with a known bug; `oarlock zoo list` names all"
    )
    parser.add_argument(
        "--trace",
        metavar="FILE",
        help="where a property breaks, write the way there as raft-trace/1, for `oarlock draw`",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--quiet", action="store_true", help="show no progress")
    return parser


def _install(id_: str, arguments: Sequence[str]) -> int | None:
    """Put a mutant in place; where the code is in use already, explore in another process, and give its status."""
    mutants: dict[str, Any] = import_module("oarlock.zoo.catalogue").MUTANTS
    if id_ not in mutants:
        print(f"oarlock explore: no mutant {id_!r}; `oarlock zoo list` names all", file=sys.stderr)
        return 2
    if any(name.startswith(("oarlock.raft.", "oarlock.check.", "oarlock.explore.")) for name in sys.modules):
        command = [sys.executable, "-m", "oarlock.cli.main", "explore", *arguments]
        return subprocess.run(command, check=False).returncode  # noqa: S603 - this very command
    import_module("oarlock.zoo.patching").install(mutants[id_])
    return None


def _named(room: Any) -> "dict[str, Bounds]":  # noqa: ANN401 - a module
    named: dict[str, Bounds] = room.CONFIGURATIONS
    return named


def _bounds(room: Any, options: argparse.Namespace) -> "Bounds":  # noqa: ANN401
    named = _named(room)
    if options.name is not None and options.name not in named:
        raise LookupError(f"no bounds {options.name!r}; `oarlock explore --list` names all")
    given: dict[str, Any] = {
        name.replace("-", "_"): getattr(options, name.replace("-", "_")) for name in (*_NUMBERS, *_SWITCHES)
    }
    given = {name: value for name, value in given.items() if value is not None}
    for name in ("candidates", "proposed_in", "crashing", "ignored"):
        if getattr(options, name) is not None:
            given[name] = tuple(getattr(options, name))
    bounds: Bounds = msgspec.structs.replace(named[options.name] if options.name else room.Bounds(), **given)
    return bounds


def _words(bounds: "Bounds") -> str:
    """Bounds where they differ from none."""
    parts = [f"{bounds.servers} servers", f"{bounds.terms} terms", f"{bounds.entries} entries"]
    counted = ("voters", "crashes", "changes", "snapshots", "writes")
    parts += [f"{getattr(bounds, name)} {name}" for name in counted if getattr(bounds, name)]
    parts += [
        name
        for name in _SWITCHES
        if getattr(bounds, name.replace("-", "_")) and name not in ("symmetry", "eager", "cover")
    ]
    for name in ("candidates", "proposed_in", "crashing"):
        if named := getattr(bounds, name):
            parts.append(f"{name.replace('_', ' ')} {' '.join(map(str, named))}")
    return ", ".join(parts)


def _show(progress: "Progress") -> None:
    rate = progress.states / max(progress.seconds, 1e-9)
    line = (
        f"depth {progress.depth}: {progress.states:,} states, {progress.waiting:,} waiting, {progress.steps:,} steps, "
        f"{rate:,.0f} states/s"
    )
    print(line, file=sys.stderr, flush=True)


def describe(result: "Result") -> str:
    """What an exploration came to, for people."""
    lines = [_words(result.bounds)]
    if result.found is not None:
        lines += ["", *_way(result.found), ""]
    reach = f"{result.states:,} distinct states, {result.steps:,} steps between them, depth {result.depth}"
    if result.is_complete:
        lines.append(f"complete: {reach}; every property holds in each")
    elif result.found is None:
        lines.append(
            f"NOT complete, stopped by the limit on {result.stopped_by}: {reach}; every property holds in each"
        )
    else:
        lines.append(f"found among {reach}")
    lines.append(
        f"{result.server_states:,} states of single servers, {result.core_steps:,} runs of the core, "
        f"{result.seconds:.1f} s, {result.peak_bytes / (1 << 20):,.0f} MiB"
    )
    return "\n".join(lines)


def _way(found: "Found") -> list[str]:
    lines = []
    for number, step in enumerate(found.steps, 1):
        lines.append(f"{number:>3}. server {step.server} {step.what}")
        if step.rules:
            lines.append(f"       by {' '.join(step.rules)}")
        if step.after:
            lines.append(f"       {step.after}")
    return [*lines, "", f"VIOLATED {found.property}: {found.sentence}"]
