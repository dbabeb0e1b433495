"""A copy of a stopped server's data directory, whole and durable before it gets its name."""

import errno
import os
import shutil
from pathlib import Path
from typing import Final

_PIECE_BYTES: Final = 64 << 20
_CANNOT_SHARE: Final = (errno.EXDEV, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)
"""Raised by `copy_file_range` before it has copied anything, where it does not serve these two files."""


class NoRoom(OSError):
    """There is not enough space for the copy; the message says how much is missing and what to do."""


def copy_data(directory: Path, wal_dir: Path | None, target: Path) -> int:
    """Copy a data directory, locks left out. A log that lies elsewhere becomes `wal` in the copy.

    Args:
        directory: The data directory; its lock is held by the caller.
        wal_dir: Of the log, where it is elsewhere.
        target: The copy; must not exist.

    Returns:
        Its size in bytes.

    Raises:
        FileExistsError: `target` is there.
        NoRoom: There is too little space beside it.
        OSError: A file cannot be read or written.
    """
    if target.exists():
        raise FileExistsError(f"{target} exists already")
    sources = [(directory, target.name)]
    if wal_dir is not None:
        sources.append((wal_dir, f"{target.name}/wal"))
    files = [(path, Path(name) / path.relative_to(source)) for source, name in sources for path in _files(source)]
    needed = sum(path.stat().st_size for path, _ in files)
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    free = shutil.disk_usage(target.parent).free
    if needed > free:
        raise NoRoom(
            f"the copy {target} needs {needed >> 20} MiB, but {free >> 20} are free there: name another place with "
            f"--backup-dir"
        )
    aside = target.with_name(f"{target.name}.partial")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(mode=0o700)
    for path, name in files:
        copy = aside / Path(*name.parts[1:])
        copy.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _copy_file(path, copy)
    for made in (*(path for path in aside.rglob("*") if path.is_dir()), aside):
        _sync_directory(made)
    aside.rename(target)
    _sync_directory(target.parent)
    return needed


def _files(directory: Path) -> list[Path]:
    """All files below, but locks: they belong to processes."""
    return sorted(
        path
        for path in directory.rglob("*")
        if path.is_file() and path.name != "lock" and not path.name.endswith("-lock")
    )


def _copy_file(source: Path, target: Path) -> None:
    with source.open("rb") as reader, target.open("xb", buffering=0) as writer:
        os.fchmod(writer.fileno(), 0o600)
        try:
            while os.copy_file_range(reader.fileno(), writer.fileno(), _PIECE_BYTES):
                pass  # file systems that can do so share the blocks instead
        except OSError as error:
            if error.errno not in _CANNOT_SHARE:
                raise
            shutil.copyfileobj(reader, writer)
        os.fsync(writer.fileno())


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
