"""The storage's simulation accepts the code as it is, and notices what is broken on purpose."""

import random
from collections.abc import Callable
from functools import partial

import pytest

from oarlock.raft.types import SnapshotMetadata
from oarlock.sim.disk import SimFile
from oarlock.storage import WriteAheadLog
from oarlock.storage.records import decode_batches
from oarlock.storage.snapshots import SnapshotStore
from oarlock.zoo.storage import log
from oarlock.zoo.storage.log import LogRun
from oarlock.zoo.storage.run import run_seed
from oarlock.zoo.storage.snapshots import SnapshotRun
from oarlock.zoo.trials import attempt

SEEDS = range(1, 26)


def test_seeds_accept_the_code_and_reach_every_trouble() -> None:
    """Random runs of the production storage break nothing, while every kind of trouble there is strikes in them."""
    struck = set()
    for seed in SEEDS:
        run_seed(seed)
    for seed in range(1, 81):
        run = LogRun(random.Random(seed))
        run.run()
        struck |= run.disk.strikes.as_dict().keys()
    assert struck >= {
        "disk.creation_lost",
        "disk.full",
        "disk.growth_lost",
        "disk.read_error",
        "disk.removal_lost",
        "disk.sync_error",
        "disk.torn_prefix",
        "disk.unsynced_sector_lost",
        "disk.write_error",
        "rot.hard_state",
        "rot.log_body",
        "rot.log_header",
        "rot.log_tail",
    }


def _log_run(seed: int) -> None:
    LogRun(random.Random(seed)).run()


def _snapshot_run(seed: int) -> None:
    SnapshotRun(random.Random(seed)).run()


def _no_sync(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(SimFile, "fdatasync", lambda self: None)


def _no_order(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("oarlock.storage.recovery.decode_batches", lambda body: decode_batches(body)[::-1])


def _no_refusal(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(WriteAheadLog, "_check_usable", lambda self: None)


def _no_removal(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(WriteAheadLog, "_remove_obsolete", lambda self: None)


def _no_resumption(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("oarlock.storage.partial.Partial.resume", lambda disk, path: None)


def _no_next_offset(patch: pytest.MonkeyPatch) -> None:
    def next_offset(self: SnapshotStore, metadata: SnapshotMetadata) -> int:
        return 0

    patch.setattr(SnapshotStore, "next_offset", next_offset)


@pytest.mark.parametrize(
    ("broken", "run", "name"),
    [
        (_no_sync, _log_run, "recovers"),
        (_no_order, _log_run, "recovers"),
        (_no_refusal, _log_run, "after a failure nothing is taken"),
        (_no_removal, _log_run, "room is given back"),
        (_no_sync, _snapshot_run, "a snapshot stays as it is"),
        (_no_resumption, _snapshot_run, "what was noted is resumed"),
        (_no_next_offset, _snapshot_run, "bytes count once"),
    ],
)
def test_what_is_broken_is_found(
    monkeypatch: pytest.MonkeyPatch,
    broken: Callable[[pytest.MonkeyPatch], None],
    run: Callable[[int], None],
    name: str,
) -> None:
    """Each kind of defect breaks the property that stands against it, within a few seeds."""
    broken(monkeypatch)
    found = [attempt(partial(run, seed), 60.0) for seed in SEEDS]
    names = {each[0] for each in found if each is not None}
    assert name in names


def test_the_model_of_the_log_is_figure_by_figure() -> None:
    """What a log must hold after a batch is worked out here as the batch's documentation says: base, state, entries."""
    run = LogRun(random.Random(1))
    for _ in range(200):
        batches, image = run._batches()
        assert log.after(run.image, batches[0])[0].current_term <= image[0].current_term
        run.wal.append_many(batches)
        run.image = image
        run._check_bounds()
