"""Losing power or being killed, at any instant, costs nothing that was acknowledged."""

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.storage.crashing_disk import Crash, CrashingDisk
from tests.storage.log_model import (
    DIRECTORY,
    SCRIPT,
    LogModel,
    entries,
    entry,
    image,
    images,
    new_disk,
    open_log,
    snapshot_at,
)

from oarlock.raft.types import Entry, EntryKind, HardState
from oarlock.storage import Batch
from oarlock.storage.records import SECTOR, RecordType, decode_header, encode_record


def run(disk: CrashingDisk, appends: list[list[Batch]], *, prepare: bool = False) -> int:
    """Append until done or crashed; returns how many appends were acknowledged."""
    acknowledged = 0
    try:
        log, _ = open_log(disk)
        for batches in appends:
            if prepare:
                log.prepare()
            log.append_many(batches)
            acknowledged += 1
        log.close()
    except Crash:
        pass
    return acknowledged


def count_operations(appends: list[list[Batch]], **options: bool) -> int:
    disk = new_disk()
    assert run(disk, appends, **options) == len(appends)
    return len(disk.operations)


def check_usable(disk: CrashingDisk, expected: tuple) -> None:
    """The log of a survivor can be appended to, and holds that too when opened once more."""
    log, recovered = open_log(disk)
    assert image(recovered) == expected
    assert recovered.torn_bytes == 0
    hard_state, base, found = expected
    index = (found[-1].index if found else base.last_included_index) + 1
    log.append(entries=[entry(index, 9)])
    log.close()
    _, recovered = open_log(disk.copy())
    assert image(recovered) == (hard_state, base, [*found, entry(index, 9)])


@pytest.mark.parametrize("prepare", [False, True], ids=["inline", "prepared"])
@pytest.mark.parametrize("garbage", [False, True], ids=["torn", "garbage"])
def test_power_loss_at_every_operation(garbage: bool, prepare: bool) -> None:
    """Whatever subset of unsynced sectors and names survives, every acknowledged append is there, and none is halved."""
    rng = random.Random(1)
    held = images(SCRIPT)
    for crash_at in range(count_operations(SCRIPT, prepare=prepare)):
        disk = new_disk()
        disk.crash_at = crash_at
        acknowledged = run(disk, SCRIPT, prepare=prepare)
        allowed = held[acknowledged : acknowledged + 2]
        for survivor in disk.power_losses(rng, most=48, garbage=garbage):
            if not survivor.exists(DIRECTORY.parent):
                continue
            _, recovered = open_log(survivor)
            assert image(recovered) in allowed, f"power lost before operation {crash_at}"
            check_usable(survivor.copy(), image(recovered))


def test_killed_process_then_power_loss() -> None:
    """What a new process read from the cache of a killed one, and so promised, outlives a power loss that follows."""
    rng = random.Random(2)
    held = images(SCRIPT)
    for crash_at in range(count_operations(SCRIPT)):
        disk = new_disk()
        disk.crash_at = crash_at
        acknowledged = run(disk, SCRIPT)
        restarted = disk.killed()
        _, recovered = open_log(restarted)
        assert image(recovered) in held[acknowledged : acknowledged + 2]
        for survivor in restarted.power_losses(rng, most=8):
            check_usable(survivor, image(recovered))


def test_power_loss_during_recovery() -> None:
    """Recovery may itself be cut at any operation: the next one finds the same log."""
    rng = random.Random(3)
    held = images(SCRIPT)
    for crash_at in range(0, count_operations(SCRIPT), 3):
        disk = new_disk()
        disk.crash_at = crash_at
        acknowledged = run(disk, SCRIPT)
        for survivor in disk.power_losses(rng, most=4, garbage=True):
            again = 0
            while True:
                second = survivor.copy()
                second.crash_at = again
                try:
                    open_log(second)
                    break
                except Crash:
                    pass
                for third in second.power_losses(rng, most=6, garbage=True):
                    _, recovered = open_log(third)
                    assert image(recovered) in held[acknowledged : acknowledged + 2]
                again += 1


def test_multi_sector_tear_is_not_corruption() -> None:
    """Later sectors of an unacknowledged append that survive without its first ones are a torn tail, and are cut."""
    disk = new_disk()
    log, _ = open_log(disk)
    log.append(entries=entries(1, 1))
    disk.crash_at = len(disk.operations) + 1
    with pytest.raises(Crash):
        log.append(entries=entries(2, 2, size=600))
    for lost in range(3):
        survivor = disk.after_power_loss(_keep_all_but(lost))
        log_after, recovered = open_log(survivor)
        assert recovered.entries == entries(1, 1)
        assert recovered.torn_bytes > 0
        log_after.append(entries=entries(2, 1))
        assert open_log(survivor.copy())[1].entries == entries(1, 2)


def _keep_all_but(lost: int):
    position = iter(range(1000))
    return lambda options: 0 if next(position) == lost else options - 1


def test_torn_tail_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """A cut is reported with the number of bytes, the file and the offset."""
    disk = new_disk()
    log, _ = open_log(disk)
    log.append(entries=entries(1, 1))
    disk.crash_at = len(disk.operations) + 1
    with pytest.raises(Crash):
        log.append(entries=entries(2, 2, size=600))
    _, recovered = open_log(disk.after_power_loss(_keep_all_but(0)))
    assert recovered.torn_bytes == 3 * 512
    assert "cut 1536 bytes of a torn write at the log's end: /data/wal/0000000000000001.wal at byte 1024" in caplog.text


@st.composite
def histories(draw: st.DrawFn) -> list[list[Batch]]:
    """Any sequence of batches that a Raft may emit."""
    model = LogModel()
    appends = []
    for _ in range(draw(st.integers(1, 12))):
        batches = []
        for _ in range(draw(st.integers(1, 3))):
            last = model.entries[-1].index if model.entries else model.base.last_included_index
            base_index = model.base.last_included_index
            kind = draw(st.sampled_from(["entries", "entries", "hard", "both", "compact", "install"]))
            hard_state = base = None
            new: list = []
            discard = False
            if kind in ("hard", "both"):
                hard_state = HardState(model.hard_state.current_term + 1, draw(st.sampled_from([None, 1, 2])))
            if kind in ("entries", "both"):
                first = draw(st.integers(max(base_index + 1, last - 3), last + 1))
                size = draw(st.sampled_from([10, 10, 300, 1500, 6000]))
                new = entries(first, draw(st.integers(1, 4)), draw(st.integers(1, 9)), size)
            if kind == "compact":
                base = snapshot_at(draw(st.integers(base_index, last)))
            if kind == "install":
                base = snapshot_at(base_index + draw(st.integers(0, 10)))
                discard = draw(st.booleans())
            batch = Batch(hard_state, new, base, discard)
            model.apply(batch)
            batches.append(batch)
        appends.append(batches)
    return appends


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(histories(), st.randoms(use_true_random=False), st.booleans())
def test_any_history_over_several_lives(appends: list[list[Batch]], rng: random.Random, garbage: bool) -> None:
    """Any sequence of appends, with power lost at random instants and the log opened again each time, is kept."""
    disk = new_disk()
    held = images(appends)
    position = 0
    for _ in range(60):
        disk.crash_at = len(disk.operations) + rng.randrange(1, 25)
        try:
            log, recovered = open_log(disk)
            found = image(recovered)
            assert found in held[position : position + 2]
            if found != held[position]:
                position += 1
            while position < len(appends):
                log.append_many(appends[position])
                position += 1
            break
        except Crash:
            survivors = list(disk.power_losses(rng, most=4, garbage=garbage))
            disk = rng.choice([*survivors, disk.killed()])
    else:
        disk.crash_at = None
    _, recovered = open_log(disk.copy())
    assert image(recovered) in held[position : position + 2]


def test_power_loss_while_several_segments_are_removed() -> None:
    """Removal goes from the oldest on, each durable before the next, so that no crash leaves a gap between files."""
    rng = random.Random(4)
    crash_at = 0
    while True:
        disk = new_disk()
        log, _ = open_log(disk)
        for index in range(1, 7):
            log.append(entries=entries(index, 1, size=3000))
        disk.crash_at = len(disk.operations) + crash_at
        try:
            log.append(base=snapshot_at(5))
            finished = True
        except Crash:
            finished = False
        for survivor in disk.power_losses(rng, most=64):
            _, recovered = open_log(survivor)
            assert [e.index for e in recovered.entries] in ([6], [1, 2, 3, 4, 5, 6])
        if finished:
            assert crash_at > 10
            return
        crash_at += 1


def test_value_that_looks_like_a_log() -> None:
    """Sound records inside a torn append, a copy of a log kept as a value, say nothing about this log."""
    record, _ = encode_record(RecordType.APPEND, b"", sequence=9, segment=1, offset=0, previous=0)
    found = 0
    for shift in range(SECTOR):
        disk = new_disk()
        log, _ = open_log(disk)
        disk.crash_at = len(disk.operations) + 1
        with pytest.raises(Crash):
            log.append(entries=[Entry(1, 1, EntryKind.COMMAND, bytes(SECTOR + shift) + record + b"end")])
        survivor = disk.after_power_loss(_keep_all_but(0))
        content = bytes(survivor.content(DIRECTORY / f"{1:016x}.wal"))
        found += any(decode_header(content[o : o + SECTOR]) is not None for o in range(SECTOR, len(content), SECTOR))
        _, recovered = open_log(survivor)
        assert recovered.entries == []
        assert recovered.torn_bytes > 0
    assert found == 1
