"""A hunt's record: a line for each seed, so that a long campaign can go on where it stopped."""

import hashlib
import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import IO, Final, Literal

import msgspec

import oarlock
from oarlock.sim.run import Report

FORMAT: Final = "oarlock-hunt/1"
_LONGEST_LINE_BYTES: Final = 1 << 16


class Result(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="line", tag="run"):
    """What a hunt keeps of a run."""

    seed: int
    ok: bool
    broken: str = ""
    """Which property, and how."""
    servers: int = 0
    events: int = 0
    """Deliveries of the scheduler and callbacks of loops."""
    simulated_s: float = 0.0
    run_s: float = 0.0
    elections: int = 0
    committed: int = 0
    lives: int = 0
    snapshots_installed: int = 0
    strikes: dict[str, int] = {}
    """How often each fault did something."""
    rules: dict[str, int] = {}
    """How often each rule of the core acted."""


def result_of(report: Report) -> Result:
    """The essentials of a report."""
    return Result(
        seed=report.seed,
        ok=report.ok,
        broken=str(report.violations[0]) if report.violations else "",
        servers=report.servers,
        events=report.events + report.callbacks,
        simulated_s=round(report.simulated_s, 3),
        run_s=round(report.wall_s, 4),
        elections=report.elections,
        committed=report.committed,
        lives=report.lives,
        snapshots_installed=report.snapshots_installed,
        strikes=report.strikes,
        rules=report.rules,
    )


class Begun(msgspec.Struct, frozen=True, kw_only=True, tag_field="line", tag="begun"):
    """The line with which each hunt of a record begins: results after it are of this source."""

    format: Literal["oarlock-hunt/1"] = FORMAT
    source: str


class RecordError(ValueError):
    """A file that is no record; says where."""


@cache
def source_digest() -> str:
    """Of all modules of this package: a seed's run is the same only while they are."""
    root = Path(oarlock.__file__).parent
    digest = hashlib.blake2b(digest_size=8)
    for path in sorted(root.rglob("*.py")):
        digest.update(str(path.relative_to(root)).encode() + b"\0")
        digest.update(path.read_bytes() + b"\0")
    return digest.hexdigest()


def read_record(path: Path) -> list[Result]:
    """The results that hunts of this very source have written, one for each seed; none where there is no file.

    Raises:
        RecordError: It is no record.
        OSError: It cannot be read.
    """
    if not path.exists():
        return []
    source = source_digest()
    results: dict[int, Result] = {}
    is_ours = False
    decoder = msgspec.json.Decoder(Begun | Result)
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.endswith(b"\n"):
                break  # the hunt was killed in the middle of it
            try:
                found = decoder.decode(line)
            except msgspec.DecodeError as error:
                raise RecordError(f"{path}:{number}: {error}") from None
            if isinstance(found, Begun):
                is_ours = found.source == source
            elif is_ours:
                results[found.seed] = found
    return list(results.values())


class Recorder:
    """Appends to a record.

    Args:
        path: Made if it is not there.

    Raises:
        OSError: It cannot be written.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file: IO[bytes] = path.open("a+b")
        self._drop_half_a_line()
        self._write([Begun(source=source_digest())])

    def _drop_half_a_line(self) -> None:
        """What a hunt left that was killed while it wrote."""
        file = self._file
        end = file.seek(0, os.SEEK_END)
        start = max(0, end - _LONGEST_LINE_BYTES)
        file.seek(start)
        tail = file.read()
        if tail and not tail.endswith(b"\n"):
            file.truncate(start + tail.rfind(b"\n") + 1)

    def add(self, results: Sequence[Result]) -> None:
        """Some runs have ended."""
        self._write(results)

    def close(self) -> None:
        """No more comes."""
        self._file.close()

    def _write(self, lines: Sequence[Begun | Result]) -> None:
        self._file.write(msgspec.json.Encoder().encode_lines(lines))
        self._file.flush()
