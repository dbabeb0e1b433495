"""`oarlock zoo gallery`: a page for each known bug, with a run of it, the same run repaired, and the explanation."""

import argparse
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

from oarlock.cli.terminal import paint
from oarlock.diagram.gallery import Picture, as_rows, index
from oarlock.diagram.pair import pair_page
from oarlock.diagram.violation import Violated, violations
from oarlock.trace.loaded import Trace, load
from oarlock.trace.reader import TraceError
from oarlock.zoo.catalogue import MUTANTS
from oarlock.zoo.gallery import Exhibit, collect, file_name, fingerprint
from oarlock.zoo.hunting import WorkerFailed
from oarlock.zoo.mutant import Mutant

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


def gallery(options: argparse.Namespace) -> int:
    """Make the gallery; interrupted, the next call goes on.

    Returns:
        0 if every bug has its page, 1 if one has none or the zoo is broken, 2 if the directory cannot be written to.
    """
    mutants = [MUTANTS[id_] for id_ in options.only or MUTANTS]
    try:
        return _Gallery(options.output, mutants, options.seconds, again=options.again).make(options.jobs)
    except WorkerFailed as error:
        print(f"oarlock zoo: {error}", file=sys.stderr)
        return 1
    except (OSError, TraceError) as error:
        print(f"oarlock zoo: {error}", file=sys.stderr)
        return 2


class _Gallery:
    def __init__(self, directory: Path, mutants: Sequence[Mutant], seconds: float, *, again: bool) -> None:
        self._directory = directory
        self._runs = directory / "runs"
        self._mutants = mutants
        self._seconds = seconds
        self._again = again
        self._lock = threading.Lock()
        self._done = 0

    def make(self, jobs: int) -> int:
        self._runs.mkdir(parents=True, exist_ok=True)
        with ThreadPoolExecutor(max(1, jobs)) as pool:
            pictures = list(pool.map(self._picture, self._mutants))
        shown = self._index()
        print(f"{self._directory / 'index.html'}: {shown} bugs")
        return 0 if all(picture.file for picture in pictures) else 1

    def _picture(self, mutant: Mutant) -> Picture:
        held = self._held(mutant)
        picture = held or self._make(mutant)
        with self._lock:
            self._done += 1
            print(self._line(picture, is_new=held is None), file=sys.stderr, flush=True)
            self._index()
        return picture

    def _held(self, mutant: Mutant) -> Picture | None:
        """What an earlier call made of the same source."""
        name = file_name(mutant.id)
        noted, exhibit = self._runs / f"{name}.picture.json", self._runs / f"{name}.exhibit.json"
        if self._again or not noted.exists() or not exhibit.exists():
            return None
        picture = msgspec.json.decode(noted.read_bytes(), type=Picture)
        if msgspec.json.decode(exhibit.read_bytes(), type=Exhibit).code != fingerprint(mutant):
            return None
        return picture if picture.file and (self._directory / picture.file).exists() else None

    def _make(self, mutant: Mutant) -> Picture:
        exhibit = collect(mutant, self._runs, self._seconds)
        picture = self._draw(mutant, exhibit)
        name = file_name(mutant.id)
        for kind, noted in (("exhibit", exhibit), ("picture", picture)):
            (self._runs / f"{name}.{kind}.json").write_bytes(msgspec.json.format(msgspec.json.encode(noted)))
        return picture

    def _draw(self, mutant: Mutant, exhibit: Exhibit) -> Picture:
        picture = Picture(
            id=mutant.id, bug=mutant.bug, breaks=mutant.breaks, property="", sentence=f"{exhibit.problem}."
        )
        if not exhibit.broken:
            return picture
        broken, repaired = load(self._runs / exhibit.broken), load(self._runs / exhibit.repaired)
        found = violations(broken)
        name = f"{file_name(mutant.id)}.html"
        shorter = _up_to_the_end_of(broken, repaired)
        page = pair_page(
            broken,
            shorter,
            title=mutant.id,
            names=_NAMES,
            question=_question(mutant, exhibit, len(repaired) - len(shorter)),
            back="index.html",
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
            noted = self._runs / f"{file_name(mutant.id)}.picture.json"
            if noted.exists():
                pictures.append(msgspec.json.decode(noted.read_bytes(), type=Picture))
        (self._directory / "index.html").write_text(index(pictures), encoding="utf-8")
        (self._directory / "gallery.json").write_text(as_rows(pictures), encoding="utf-8")
        return len(pictures)

    def _line(self, picture: Picture, *, is_new: bool) -> str:
        count = f"[{self._done}/{len(self._mutants)}] {picture.id}"
        if not picture.file:
            return paint(f"{count}: {picture.sentence}", "red")
        return f"{count}: {picture.property}, {picture.events:,} events{'' if is_new else ' (kept)'}"


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
