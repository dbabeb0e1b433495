#!/usr/bin/env python3
"""Writes docs/reference/lab.md: the scenarios with the labs' budgets, our figures, and which bug fails where.

Run it after adding a scenario or a buggy copy: `python scripts/generate_lab.py`. The figures come from
docs/reference/lab-figures.json; measure them anew with `python scripts/generate_lab.py --measure` (Raft, on both
clocks) or `--measure-services` (the rest, on virtual time), which take minutes.
"""

import sys
from pathlib import Path

import msgspec

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT)]

from tests.support.lab_mutants import BUGGY, NOT_SEEN  # noqa: E402 - found by the path above
from tests.support.lab_plain_bugs import PLAIN_BUGS  # noqa: E402

from oarlock.lab.network import (  # noqa: E402
    ABSENT_LONG_MS,
    ABSENT_MS,
    LATE_MS,
    LIVENESS_CHECK_S,
    LOST_PER_MILLE,
    REQUEST_DELAY_MS,
)
from oarlock.lab.suite import catalogue  # noqa: E402
from oarlock.lab.suite.report import Score, score  # noqa: E402
from oarlock.lab.suite.run import Outcome  # noqa: E402
from oarlock.lab.suite.session import Session  # noqa: E402
from oarlock.lab.suite.table import SECONDS_PER_SCENARIO, SECONDS_PER_SUITE, Scenario, choose  # noqa: E402

PAGE = ROOT / "docs" / "reference" / "lab.md"
FIGURES = ROOT / "docs" / "reference" / "lab-figures.json"
TARGET = "oarlock.lab.raft:make"
SEED = 1

HEAD = f"""# The lab

Written by `scripts/generate_lab.py`: do not edit.

How to run it on your own Raft is told in [test your own Raft](../howto/test-your-own-raft.md). Parts are named as the
labs name them since 2023; 2A to 2D are the same.

## The network

| | |
|-|-|
| reliable | no delay, no loss |
| unreliable | each request waits 0 to {REQUEST_DELAY_MS} ms; {LOST_PER_MILLE / 10:g} % are lost before their handler \
runs, and {LOST_PER_MILLE / 10:g} % of the replies after |
| long reordering | two thirds of the replies come {LATE_MS[0]} ms late, and up to {LATE_MS[1]} ms more: drawn below \
what is itself drawn |
| a server that is not there, or cut off | its caller learns of it after 0 to {ABSENT_MS} ms; in the scenarios of \
Raft, with long delays, after 0 to {ABSENT_LONG_MS} ms |
| a server that dies while its handler runs | every {LIVENESS_CHECK_S * 1000:g} ms, and before the reply, it is looked \
whether server and way are there; if not there is no reply |
| a crash | cuts the server off, takes it off the network, copies its disk, and only then calls `kill`: a zombie keeps \
its ends, which lead nowhere, and its persister, which nobody reads |
| a restart | begins a life from the disk, on new ends. Only that server is connected, as upstream has it but in \
2025, when all were |

Counted are the requests that each server handles, all requests, and the bytes of all arguments and of the replies that
arrive.

## What holds in every scenario

Each is over in {SECONDS_PER_SCENARIO:g} s, all of Raft in {SECONDS_PER_SUITE:g} s. Stricter than upstream:

- Every server applies each index once, in order, from 1 or from its snapshot on.
- The command at an index is the same on all servers and in all their lives; upstream forgets what servers applied that
  have since restarted.
- A snapshot must be one that the service made, be delivered under its own index, hold the commands that were agreed on,
  and never take a service back.
- `make` returns within a second.
- An exception that ends a thread, or leaves a handler, fails the scenario.
- What a zombie delivers counts for nothing.

"""


def page() -> str:
    """The whole page."""
    figures = msgspec.json.decode(FIGURES.read_bytes(), type=dict[str, Score])
    parts = [HEAD, *_figures(figures), *_scenarios(), *_services(figures["services"]), *_buggy()]
    return "\n".join(parts).rstrip() + "\n"


FIGURES_HEAD = """## Our figures beside the budgets

Of `oarlock lab run {target}` on virtual time with seed {seed}, and on real time with `--real`. On virtual time
{virtual.passed} of {virtual.total} passed in {virtual.cpu_seconds:g} s of processor time; on real time {real.passed} of
{real.total} in {real.seconds:g} s, of which the processor was busy for {real.cpu_seconds:g} s. The labs' guideline is
six minutes and one minute.

| scenario | virtual: s, RPCs, bytes | real: s, RPCs, bytes | figures on virtual time (and the labs' budgets) |
|-|-|-|-|"""


def _figures(figures: dict[str, Score]) -> list[str]:
    virtual, real = figures["virtual"], figures["real"]
    by_id = [{outcome.scenario: outcome for outcome in total.outcomes} for total in (virtual, real)]
    lines = [FIGURES_HEAD.format(target=TARGET, seed=SEED, virtual=virtual, real=real)]
    for entry in _raft():
        cells = [_cell(each.get(entry.id)) for each in by_id]
        lines.append(f"| {entry.id} | {cells[0]} | {cells[1]} | {_measures(by_id[0].get(entry.id))} |")
    return [*lines, ""]


def _cell(outcome: Outcome | None) -> str:
    if outcome is None:
        return "-"
    return f"{outcome.seconds:.1f}, {outcome.rpcs:,}, {outcome.bytes:,}" if outcome.passed else "failed"


SERVICES_HEAD = """## The later labs

On our services, which stand on the Raft that is tested; 4A to 4C and 5A to 5C are numbered as in 2025, SC and SK are
the shard controller and the sharded service of 2021 to 2024. Figures are of virtual time with seed {seed}:
{services.passed} of {services.total} passed in {services.cpu_seconds:g} s of processor time. A client pauses up to
30 ms (200 ms in part 5) between operations, as virtual time has no other bound on them.

| scenario | s, RPCs, bytes | what it shows | budgets | figures | repaired |
|-|-|-|-|-|-|"""


def _services(services: Score) -> list[str]:
    by_id = {outcome.scenario: outcome for outcome in services.outcomes}
    lines = [SERVICES_HEAD.format(seed=SEED, services=services)]
    for entry in _later():
        outcome = by_id.get(entry.id)
        figures = _measures(outcome)
        budgets = "; ".join(entry.budgets) or "-"
        lines.append(
            f"| {entry.id} | {_cell(outcome)} | {entry.claim} | {budgets} | {figures} | {entry.repaired or '-'} |"
        )
    return [*lines, ""]


def _measures(outcome: Outcome | None) -> str:
    measures = outcome.measures if outcome is not None else []
    return "; ".join(f"{each.what} {each.figure:g} ({each.budget})" for each in measures) or "-"


def _scenarios() -> list[str]:
    lines = ["## Scenarios\n\n| scenario | servers | network | what it shows | budgets | repaired |\n|-|-|-|-|-|-|"]
    for entry in _raft():
        network = "reliable" if entry.reliable else "unreliable"
        budgets = "; ".join(entry.budgets) or "-"
        lines.append(
            f"| {entry.id} | {entry.servers} | {network} | {entry.claim} | {budgets} | {entry.repaired or '-'} |"
        )
    return [*lines, ""]


def _raft() -> list[Scenario]:
    return choose([entry.id for entry in catalogue.SCENARIOS.values() if entry.part.startswith("3")])


def _later() -> list[Scenario]:
    return choose([entry.id for entry in catalogue.SCENARIOS.values() if not entry.part.startswith("3")])


BUGGY_HEAD = """## Which bug fails where

Copies of our Raft, each with one bug: a mutant of [the zoo](zoo.md), or one in the threads around the core; and without
the checks that our servers make of themselves. Named are the pitfalls by id (see [the rules](rules.md); G is the
Students' Guide, K and T the Locking and Structure Advice, B the labs and the paper), the scenario that fails, and a
seed with which it does. `tests/lab/test_buggy.py` sees that it does so.

| bug | pitfalls | what is wrong | scenario | seed |
|-|-|-|-|-|"""


PLAIN_HEAD = """
The same on `tests/support/plain_raft`, a first Raft as a learner writes it: dataclasses, one lock, and heartbeats that
carry whatever is missing. It knows nothing of our core, and passes every scenario.

| pitfalls | what is wrong | scenario | seed |
|-|-|-|-|"""
NOT_SEEN_HEAD = """
Not every pitfall shows from outside in these scenarios, neither here nor upstream:
"""


def _buggy() -> list[str]:
    lines = [BUGGY_HEAD]
    lines += [
        f"| {each.id} | {' '.join(each.mutant.breaks)} | {each.mutant.bug} | {each.scenario} | {each.seed} |"
        for each in BUGGY
    ]
    lines.append(PLAIN_HEAD)
    lines += [
        f"| {' '.join(each.pitfalls)} | {each.bug[:1].upper()}{each.bug[1:]}. | {each.scenario} | {each.seed} |"
        for each in PLAIN_BUGS
    ]
    lines += [NOT_SEEN_HEAD, *(f"- {pitfalls}: {reason}." for pitfalls, reason in NOT_SEEN.items())]
    return lines


def measure(entries: list[Scenario], seeds: dict[str, int | None]) -> None:
    """Run scenarios, on virtual time with a seed or on real time without, and keep the figures by name."""
    figures = msgspec.json.decode(FIGURES.read_bytes(), type=dict[str, Score])
    for name, seed in seeds.items():
        session = Session(TARGET, seed)
        outcomes = session.run_all(entries, lambda outcome: print(outcome.scenario, outcome.passed, flush=True))  # noqa: T201
        bare = [msgspec.structs.replace(each, last_rpcs=[], began=0.0) for each in outcomes]
        figures[name] = score(TARGET, seed, bare)
    FIGURES.write_bytes(msgspec.json.format(msgspec.json.encode(figures), indent=1) + b"\n")


if __name__ == "__main__":
    if sys.argv[1:] == ["--measure"]:
        measure(_raft(), {"virtual": SEED, "real": None})
    elif sys.argv[1:] == ["--measure-services"]:
        measure(_later(), {"services": SEED})
    PAGE.write_text(page(), encoding="utf-8")
