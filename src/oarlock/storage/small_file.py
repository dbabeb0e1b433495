"""Small files that are replaced as a whole: what they held before, or what they hold now, and never a part."""

from pathlib import Path

from oarlock.storage.disk import Disk, make_directory, sync_directory, sync_file
from oarlock.storage.errors import ReadFailed, write_error


def read_small_file(disk: Disk, path: Path, limit_bytes: int) -> bytes | None:
    """The first bytes of a file; None where there is none.

    Raises:
        ReadFailed: the disk refuses.
    """
    if not disk.exists(path):
        return None
    try:
        file = disk.open(path)
        try:
            return file.pread(limit_bytes, 0)
        finally:
            file.close()
    except OSError as error:
        raise ReadFailed(path, 0, error) from error


def replace_small_file(disk: Disk, path: Path, data: bytes) -> None:
    """Write a file aside, sync it, and give it its name; durable on return. Its directory is made if missing.

    Raises:
        DiskFull, WriteFailed: it could not be written.
    """
    aside = path.with_name(f"{path.name}.tmp")
    try:
        make_directory(disk, path.parent)
        file = disk.open(aside, create=True)
        try:
            file.truncate(0)
            file.pwrite(data, 0)
            sync_file(file, aside)
        finally:
            file.close()
        disk.rename(aside, path)
        sync_directory(disk, path.parent)
    except OSError as error:
        raise write_error(error, path) from error
