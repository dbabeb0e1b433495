"""Seeds: some that are the same in every session, some that nobody has run before, and the same in every process."""

import os
import subprocess
import sys

import pytest
from tests.support.seeds import VARIABLE, seed_base
from tests.support.source_tree import ROOT

from oarlock.sim import generate, run_seed
from oarlock.sim.faults import CONNECTIONS

BATCH = 10
FIXED = range(0, 60, BATCH)
FRESH = range(0, 2 * BATCH, BATCH)  # `oarlock hunt` is for many: about one in a thousand still fails
REPEATED = (3, 5, 20, 31, 44, 71, 113)
OVER_HTTP2 = 113  # with faults of connections, too

_PRINT_HASHES = (
    "import sys; from oarlock.sim import run_seed\nfor s in sys.argv[1:]: print(run_seed(int(s)).trace_hash)"
)


def _must_hold(seeds: range) -> None:
    for seed in seeds:
        report = run_seed(seed)
        assert report.ok, f"oarlock sim --seed {seed}: {report.violations}"


@pytest.mark.parametrize("first", FIXED)
def test_fixed_seeds_are_clean(first: int) -> None:
    """Every property holds in every one of these runs, with whatever faults they draw."""
    _must_hold(range(first, first + BATCH))


@pytest.mark.parametrize("first", FRESH)
def test_fresh_seeds_are_clean(first: int) -> None:
    """So it does in runs that are other ones in every session; the head of the session says how to have them again."""
    print(f"{VARIABLE}={seed_base()}")
    first += seed_base()
    _must_hold(range(first, first + BATCH))


def _hashes(hash_seed: str, seeds: tuple[int, ...]) -> list[str]:
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(
        [sys.executable, "-c", _PRINT_HASHES, *map(str, seeds)],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()


def test_runs_repeat_in_other_processes() -> None:
    """A seed gives the same events, times and states in processes that hash strings differently, in any order."""
    seeds = (*REPEATED, seed_base())
    schedule = generate(OVER_HTTP2)
    assert OVER_HTTP2 in seeds
    assert schedule.settings.client_protocol == "http2"
    assert {fault.kind for fault in schedule.faults} & set(CONNECTIONS)
    first = _hashes("1", seeds)
    assert first == _hashes("random", seeds[::-1])[::-1]
    assert len(set(first)) == len(seeds)
