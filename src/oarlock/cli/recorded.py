"""Traces as the command line names them: one file, the files of a cluster's servers, or the directory they lie in."""

from collections.abc import Sequence
from pathlib import Path

from oarlock.trace.clocks import estimate_clocks
from oarlock.trace.loaded import Trace, load
from oarlock.trace.merge import Merge
from oarlock.trace.reader import TraceError, open_trace, parts_of, read_parts
from oarlock.trace.schema import Event, Header
from oarlock.trace.state import StateMismatch


def load_recorded(paths: Sequence[Path]) -> Trace:
    """Read what was recorded; several files are merged by their messages, then by their clocks.

    Args:
        paths: Files; or directories, which stand for all series of files in them.

    Raises:
        TraceError: One is no trace, or they are of different runs.
        OSError: One cannot be read.
    """
    if len(paths) == 1 and not paths[0].is_dir():
        return load(paths[0])
    series = [each for path in paths for each in (_series_in(path) if path.is_dir() else [[path]])]
    headers: list[Header] = []
    files: list[list[Event]] = []
    for parts in series:
        with open_trace(parts[-1]) as reader:
            headers.append(reader.header)
        files.append(list(read_parts(parts)))
    for header, parts in zip(headers, series, strict=True):
        if header.run != headers[0].run:
            raise TraceError(f"{parts[-1]} is of {header.run}, but {series[0][-1]} of {headers[0].run}")
    return Trace(headers[0], Merge(files, estimate_clocks(event for events in files for event in events)))


def incomplete(error: StateMismatch) -> str:
    """What is said of a record from which something is missing, where an answer needs all of it."""
    return (
        f"{error}: what came before it was not recorded. `oarlock trace check` lists such places; "
        "a page (`oarlock draw RUN -o run.html`) shows what there is"
    )


def _series_in(directory: Path) -> list[list[Path]]:
    """Every series of files in a directory."""
    files = sorted(directory.glob("*.jsonl"))
    numbered = {part for path in files for part in parts_of(path) if part != path}
    found = [parts_of(path) for path in files if path not in numbered]
    if not found:
        raise TraceError(f"{directory} holds no trace (*.jsonl)")
    return found
