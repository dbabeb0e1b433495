"""`oarlock zoo gallery`: a page for each known bug, with a run of it, the same run repaired, and the explanation."""

import argparse
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b
from pathlib import Path

import msgspec

from oarlock.cli.terminal import paint
from oarlock.diagram.diff import first_difference
from oarlock.diagram.gallery import Picture, as_rows, index
from oarlock.diagram.pair import pair_page
from oarlock.diagram.violation import Violated, violations
from oarlock.trace.loaded import Trace, load
from oarlock.trace.reader import TraceError
from oarlock.zoo.catalogue import MUTANTS
from oarlock.zoo.gallery import Exhibit, collect, file_name, fingerprint
from oarlock.zoo.hunting import WorkerFailed
from oarlock.zoo.mutant import SOURCE, Mutant
from oarlock.zoo.score import Row, row_of, write

_NAMES = ("with the bug", "repaired")


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of `zoo gallery`."""
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="DIR", help="where to; what is there is kept"
    )
    parser.add_argument("--only", nargs="+", metavar="ID", help="these bugs (default: all)")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="bugs at a time (default: 2)")
    parser.add_argument(
        "--seconds",
        type=float,
        default=60.0,
        metavar="S",
        help="processor time for the search of each, and a third of it for making its run small (default: 60)",
    )
    parser.add_argument("--again", action="store_true", help="make pages anew that are there")
    parser.add_argument(
        "--as-recorded",
        action="store_true",
        help="hunt nothing: draw the runs that are there, though the source is newer",
    )
    parser.add_argument(
        "--write", action="store_true", help="take what was found over into docs/reference/zoo.md, in this directory"
    )


def gallery(options: argparse.Namespace) -> int:
    """Make the gallery; interrupted, the next call goes on.

    Returns:
        0 if every bug has its page, 1 if one has none or the zoo is broken, 2 if the directory cannot be written to.
    """
    mutants = [MUTANTS[id_] for id_ in options.only or MUTANTS]
    wanted = _Wanted(options.seconds, again=options.again, as_recorded=options.as_recorded)
    made = _Gallery(options.output, mutants, wanted)
    try:
        status = made.make(options.jobs)
        if options.write:
            write(made.rows(), Path.cwd())
    except WorkerFailed as error:
        print(f"oarlock zoo: {error}", file=sys.stderr)
        return 1
    except (OSError, TraceError) as error:
        print(f"oarlock zoo: {error}", file=sys.stderr)
        return 2
    return status


class _Wanted(msgspec.Struct, frozen=True):
    """How to go about it; see the options."""

    seconds: float
    again: bool
    as_recorded: bool


class _Gallery:
    def __init__(self, directory: Path, mutants: Sequence[Mutant], wanted: _Wanted) -> None:
        self._directory = directory
        self._runs = directory / "runs"
        self._mutants = mutants
        self._wanted = wanted
        self._drawing = _drawing()
        self._lock = threading.Lock()
        self._began = time.monotonic()
        self._done = 0

    def make(self, jobs: int) -> int:
        self._runs.mkdir(parents=True, exist_ok=True)
        with ThreadPoolExecutor(max(1, jobs)) as pool:
            pictures = list(pool.map(self._picture, self._mutants))
        shown = self._index()
        print(f"{self._directory / 'index.html'}: {shown} bugs, {(time.monotonic() - self._began) / 60:.1f} minutes")
        return 0 if all(picture.file for picture in pictures) else 1

    def rows(self) -> list[Row]:
        """Of what was hunted here, with the length of the smallest run."""
        held = [(mutant, self._recorded(mutant)) for mutant in self._mutants]
        return [
            row_of(mutant, exhibit.verdict, exhibit.length if exhibit.broken else None)
            for mutant, exhibit in held
            if exhibit is not None and exhibit.verdict is not None and exhibit.verdict.caught is not None
        ]

    def _picture(self, mutant: Mutant) -> Picture:
        picture, how = self._made(mutant)
        with self._lock:
            self._done += 1
            print(self._line(picture, how), file=sys.stderr, flush=True)
            self._index()
        return picture

    def _made(self, mutant: Mutant) -> tuple[Picture, str]:
        """A picture, and what it took: nothing where run and page are of this source, drawing where only the run is."""
        exhibit, noted = self._recorded(mutant), self._note(mutant, "drawn")
        is_kept = self._wanted.as_recorded or (
            exhibit is not None and exhibit.broken and exhibit.code == fingerprint(mutant) and not self._wanted.again
        )
        if exhibit is None and self._wanted.as_recorded:
            exhibit = Exhibit(id=mutant.id, code="", problem="no run is recorded")
        elif exhibit is None or not is_kept:
            exhibit = collect(mutant, self._runs, self._wanted.seconds)
            _put(self._note(mutant, "exhibit"), exhibit)
        elif noted.exists():
            drawn = msgspec.json.decode(noted.read_bytes(), type=_Drawn)
            if drawn.code == self._drawing and drawn.picture.file and (self._directory / drawn.picture.file).exists():
                return drawn.picture, "kept"
        picture = self._draw(mutant, exhibit)
        _put(noted, _Drawn(self._drawing, picture))
        return picture, f"{exhibit.seconds:.0f} s"

    def _note(self, mutant: Mutant, kind: str) -> Path:
        return self._runs / f"{file_name(mutant.id)}.{kind}.json"

    def _recorded(self, mutant: Mutant) -> Exhibit | None:
        """What an earlier call found, if its runs are there."""
        note = self._note(mutant, "exhibit")
        if not note.exists():
            return None
        exhibit = msgspec.json.decode(note.read_bytes(), type=Exhibit)
        files = (exhibit.broken, exhibit.repaired) if exhibit.broken else ()
        return exhibit if all((self._runs / name).exists() for name in files) else None

    def _draw(self, mutant: Mutant, exhibit: Exhibit) -> Picture:
        picture = Picture(
            id=mutant.id, bug=mutant.bug, breaks=mutant.breaks, property="", sentence=f"{exhibit.problem}."
        )
        if not exhibit.broken:
            return picture
        broken, repaired = load(self._runs / exhibit.broken), load(self._runs / exhibit.repaired)
        name = f"{file_name(mutant.id)}.html"
        shorter = _up_to_the_end_of(broken, repaired)
        found = violations(broken, first_difference(broken, shorter))
        page = pair_page(
            broken,
            shorter,
            title=mutant.id,
            names=_NAMES,
            question=_question(mutant, exhibit, len(repaired) - len(shorter)),
            back="index.html",
            is_repaired=True,
        )
        (self._directory / name).write_text(page, encoding="utf-8")
        return msgspec.structs.replace(
            picture,
            property=_fallen(found, exhibit),
            sentence=found[0].sentence if found else exhibit.claim,
            file=name,
            events=len(broken),
            how=exhibit.how,
        )

    def _index(self) -> int:
        """The first page, of all bugs that were ever drawn here."""
        pictures = []
        for mutant in MUTANTS.values():
            noted = self._note(mutant, "drawn")
            if noted.exists():
                pictures.append(msgspec.json.decode(noted.read_bytes(), type=_Drawn).picture)
        (self._directory / "index.html").write_text(index(pictures), encoding="utf-8")
        (self._directory / "gallery.json").write_text(as_rows(pictures), encoding="utf-8")
        return len(pictures)

    def _line(self, picture: Picture, how: str) -> str:
        count = f"[{self._done}/{len(self._mutants)}] {picture.id}"
        if not picture.file:
            return paint(f"{count}: {picture.sentence}", "red")
        return f"{count}: {picture.property}, {picture.events:,} events ({how})"


class _Drawn(msgspec.Struct, frozen=True):
    """A page as it was drawn."""

    code: str
    """Of the source that drew it."""
    picture: Picture


def _put(path: Path, noted: msgspec.Struct) -> None:
    """Write a note, whole or not at all."""
    beside = path.with_suffix(".tmp")
    beside.write_bytes(msgspec.json.format(msgspec.json.encode(noted)))
    beside.replace(path)


def _drawing() -> str:
    """Of all source that pages depend on beside the runs: another one means that they must be drawn anew."""
    digest = blake2b(Path(__file__).read_bytes(), digest_size=12)
    for room in ("diagram", "trace"):
        for path in sorted(
            each for each in (SOURCE / room).rglob("*.*") if each.suffix in (".py", ".js", ".css", ".html")
        ):
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _up_to_the_end_of(broken: Trace, repaired: Trace) -> Trace:
    """The repaired run for as long as the other lasted, or everything after it would be a difference."""
    end = broken.events[-1].t if len(broken) else 0
    return Trace(repaired.header, (event for event in repaired.events if event.t <= end))


def _question(mutant: Mutant, exhibit: Exhibit, left_out: int) -> str:
    source = f" Made for real: {mutant.source}." if mutant.source else ""
    more = f" It went on for {left_out:,} events after this, and every property held." if left_out else ""
    return (
        f"The bug: {mutant.bug}{source} It goes against {', '.join(mutant.breaks)}. On the left the smallest run "
        f"that was found in which it does harm ({exhibit.how}); below, the same run with the bug repaired.{more}"
    )


def _fallen(found: list[Violated], exhibit: Exhibit) -> str:
    if found and found[0].figure3:
        same = found[0].figure3.lower() == exhibit.property
        return found[0].figure3 if same else f"{found[0].figure3} ({exhibit.property})"
    return exhibit.property
