"""Programs of the system that tests and benchmarks run: found, or installed with apt where we may."""

import fcntl
import os
import shutil
import subprocess
import tempfile
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
        program: the name looked up on PATH, such as "etcdctl".
        package: the Debian package that brings it, such as "etcd-client".
        service: the systemd unit that the package would start, to be kept off our ports.
    """
    found = find_or_install(program, package=package, service=service)
    if isinstance(found, Absent):
        pytest.skip(found.reason)
    return found


def find_or_install(program: str, *, package: str, service: str | None = None) -> str | Absent:
    """Gives the absolute path of `program`, installing `package` on Debian as root, or says why it is absent."""
    if path := shutil.which(program):
        return path
    if not Path("/etc/debian_version").exists():
        return Absent(f"{program} is not on PATH, and this is not Debian, where the package is {package}")
    if os.geteuid() != 0:
        return Absent(f"{program} is not on PATH; to install it: sudo apt-get install {package}")
    if failure := _install(program, package):
        return Absent(failure)
    if service is not None and Path("/run/systemd/system").exists():
        subprocess.run(["systemctl", "disable", "--now", service], check=False, capture_output=True)
    return shutil.which(program) or Absent(f"package {package} is installed but brings no {program}")


def _install(program: str, package: str) -> str | None:
    """Installs `package`; one process of the test run at a time, as apt itself would refuse the second."""
    with (Path(tempfile.gettempdir()) / "oarlock-apt.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if shutil.which(program):  # another worker was first
            return None
        if failure := _apt_get("install", "--yes", "--no-install-recommends", package):
            # The lists of a fresh machine are empty or too old for the mirror.
            if _apt_get("update"):
                return f"{program}: apt-get update failed, so {package} cannot be installed: {failure}"
            failure = _apt_get("install", "--yes", "--no-install-recommends", package)
        return failure and f"{program}: apt-get install {package} failed: {failure}"


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
