"""What a result must say about where it was measured, and nothing that names the machine."""

import os
import platform
import statistics
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any

SYNC_WRITES = 200


def facts(data_directory: Path) -> dict[str, Any]:
    """Processor, memory, kernel, Python, and the disk below `data_directory` with its synced writes."""
    return {
        "processor": _field("/proc/cpuinfo", "model name"),
        "processors": os.cpu_count(),
        "memory_gib": round(int(_field("/proc/meminfo", "MemTotal").split()[0]) / 2**20, 1),
        "kernel": platform.release(),
        "system": platform.freedesktop_os_release().get("PRETTY_NAME", platform.system()),
        "python": platform.python_version(),
        "file_system": _file_system(data_directory),
        "load_average_before": round(os.getloadavg()[0], 2),
        "fdatasync_512_b_p50_ms": round(_sync_write_ms(data_directory, 512), 3),
        "fdatasync_4_kib_p50_ms": round(_sync_write_ms(data_directory, 4096), 3),
    }


def packages() -> dict[str, str]:
    """Versions of the packages that bound our speed."""
    names = ("uvloop", "msgspec", "lmdb", "hpack", "protobuf", "google-crc32c", "pysyncobj")
    return {name: metadata.version(name) for name in names}


def commit() -> str:
    """The commit that is measured, with "+" when files differ from it."""
    here = Path(__file__).parent
    command = ["git", "rev-parse", "--short", "HEAD"]
    head = subprocess.run(command, cwd=here, capture_output=True, text=True, check=False)
    if head.returncode != 0:
        return "unknown"
    changed = subprocess.run(["git", "diff", "--quiet", "HEAD", "--", "../src"], cwd=here, check=False)
    return head.stdout.strip() + ("+" if changed.returncode else "")


def command_line(module: str) -> str:
    """The command that was given; of a path only the last part, as results name no directory of a machine."""
    arguments = [Path(argument).name if os.sep in argument else argument for argument in sys.argv[1:]]
    return " ".join(["python", "-m", module, *arguments])


def _field(file: str, name: str) -> str:
    for line in Path(file).read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return "unknown"


def _file_system(directory: Path) -> str:
    """The type of the mount that holds `directory`: the longest mount point above it."""
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    above = [(point, kind) for _, point, kind, *_ in mounts if directory.resolve().is_relative_to(point)]
    return max(above, key=lambda mount: len(mount[0]), default=("", "unknown"))[1]


def _sync_write_ms(directory: Path, size: int) -> float:
    """Median of `pwrite` and `fdatasync` of `size` bytes, one after the other, on a preallocated file."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "sync-probe"
    data = b"x" * size
    taken = []
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        os.posix_fallocate(file, 0, SYNC_WRITES * size)
        os.fsync(file)
        for i in range(SYNC_WRITES):
            start = time.perf_counter()
            os.pwrite(file, data, i * size)
            os.fdatasync(file)
            taken.append(time.perf_counter() - start)
    finally:
        os.close(file)
        path.unlink()
    return statistics.median(taken) * 1e3
