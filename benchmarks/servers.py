"""Three-server clusters of whatever takes etcd's flags, as real processes on loopback."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.system_programs import Absent, find_or_install

from benchmarks import probe

STOP_TIMEOUT_S = 20
HEARTBEAT_INTERVAL_MS = 100
ELECTION_TIMEOUT_MS = 1000
SNAPSHOT_COUNT = 1_000_000
"""Above what any run writes, so that recovery reads the whole log and no round holds a snapshot by chance."""


@dataclass(frozen=True)
class Product:
    """A server program under test."""

    name: str
    command: tuple[str, ...]
    """What starts one server, before etcd's flags."""
    version: str


def find_product(name: str) -> Product:
    """Finds "etcd" (the system's, installed where we may) or "oarlock" (the one beside this Python)."""
    if name == "etcd":
        path = find_or_install("etcd", package="etcd-server", service="etcd")
        if isinstance(path, Absent):
            raise SystemExit(path.reason)
        command: tuple[str, ...] = (path,)
        version_command = (path, "--version")
    elif name == "oarlock":
        script = Path(sys.executable).with_name("oarlock")
        if not script.exists():
            raise SystemExit("oarlock is not installed beside this Python; `make bench` installs it")
        command = (str(script), "serve")
        version_command = (str(script), "--version")
    else:
        raise SystemExit(f"unknown product {name!r}: etcd or oarlock")
    done = subprocess.run(version_command, capture_output=True, text=True, check=False)
    first_line = (done.stdout.strip() or "unknown").splitlines()[0]
    return Product(name, command, first_line.removeprefix("etcd Version: ").removeprefix("oarlock "))


@dataclass
class Usage:
    """What the servers of a cluster have used so far."""

    cpu_seconds: float
    peak_rss_mib: list[float]
    """A server's highest resident memory so far, files mapped into memory included; one item a server."""
    anonymous_mib: list[float]
    """A server's memory now that no file backs."""


@dataclass
class Cluster:
    """Three servers with data under `root`; a context manager that starts them and leaves nothing running."""

    product: Product
    root: Path
    client_addresses: list[str] = field(init=False)
    _flags: list[list[str]] = field(init=False)
    _processes: list["subprocess.Popen[bytes]"] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        """Chooses ports and writes down each server's command line."""
        ports = free_ports(6)
        self.client_addresses = [f"127.0.0.1:{port}" for port in ports[:3]]
        peers = {f"m{i + 1}": f"http://127.0.0.1:{port}" for i, port in enumerate(ports[3:])}
        everyone = ",".join(f"{name}={url}" for name, url in peers.items())
        self._flags = [
            [
                *("--name", name, "--data-dir", str(self.root / name)),
                *("--listen-client-urls", f"http://{client}", "--advertise-client-urls", f"http://{client}"),
                *("--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer),
                *("--initial-cluster", everyone, "--initial-cluster-state", "new"),
                *("--initial-cluster-token", "benchmark"),
                *("--heartbeat-interval", str(HEARTBEAT_INTERVAL_MS)),
                *("--election-timeout", str(ELECTION_TIMEOUT_MS), "--snapshot-count", str(SNAPSHOT_COUNT)),
            ]
            for (name, peer), client in zip(peers.items(), self.client_addresses, strict=True)
        ]

    def __enter__(self) -> Self:
        """Starts on empty directories and waits until every server answers."""
        if self.root.exists():
            shutil.rmtree(self.root)
        self.root.mkdir(parents=True)
        try:
            self.start()
            self.wait_for_reads()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stops the servers and, unless something failed, deletes their data."""
        self.stop()
        if error is None:
            shutil.rmtree(self.root)

    def start(self) -> None:
        """Starts all servers on whatever their directories hold."""
        # ETCD_* variables of the caller would change the servers behind the flags' back.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ETCD_")}
        for i, flags in enumerate(self._flags):
            with (self.root / f"m{i + 1}.log").open("ab") as log:
                self._processes.append(
                    subprocess.Popen(
                        [*self.product.command, *flags],
                        stdin=subprocess.DEVNULL,
                        stdout=log,
                        stderr=log,
                        env=environment,
                    )
                )

    def wait_for_reads(self, timeout_s: float = 60) -> list[float]:
        """Waits for a linearizable read through every server; gives the seconds that each needed."""
        try:
            return probe.wait_for_reads(self.client_addresses, timeout_s, self.check_alive)
        except TimeoutError as error:
            raise SystemExit(f"{self.product.name}: {error}\n{self._last_log_lines()}") from error

    def check_alive(self) -> None:
        """Ends the benchmark when a server has ended, with what it said last; its directories stay."""
        for i, process in enumerate(self._processes):
            if process.poll() is not None:
                raise SystemExit(
                    f"{self.product.name}: server m{i + 1} ended with status {process.returncode}\n"
                    + self._last_log_lines()
                )

    def _last_log_lines(self) -> str:
        tails = []
        for log in sorted(self.root.glob("*.log")):
            lines = log.read_text(errors="replace").splitlines()[-5:]
            tails.append(f"--- {log.name}\n" + "\n".join(lines))
        return "\n".join(tails)

    def stop(self) -> None:
        """Asks the servers to stop, and kills those that do not within `STOP_TIMEOUT_S`."""
        for process in self._processes:
            process.send_signal(signal.SIGTERM)
        for process in self._processes:
            try:
                process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._processes.clear()

    def kill(self) -> None:
        """Kills all servers at once, as a loss of power would end them."""
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.wait()
        self._processes.clear()

    def usage(self) -> Usage:
        """Reads memory and processor time of the servers and their children."""
        usage = Usage(0.0, [], [])
        for process in self._processes:
            tree = _process_tree(process.pid)
            usage.cpu_seconds += sum(cpu_seconds(pid) for pid in tree)
            usage.peak_rss_mib.append(sum(_status_mib(pid, "VmHWM") for pid in tree))
            usage.anonymous_mib.append(sum(_status_mib(pid, "RssAnon") for pid in tree))
        return usage

    def disk_mib(self) -> float:
        """Bytes allocated on disk under the servers' directories, in MiB for all three."""
        blocks = sum(path.stat().st_blocks for path in self.root.rglob("*") if path.is_file())
        return blocks * 512 / 2**20


def free_ports(count: int) -> list[int]:
    """Chooses `count` different free ports of loopback."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def _process_tree(pid: int) -> list[int]:
    tree = [pid]
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            tree += _process_tree(int(child))
    return tree


def cpu_seconds(pid: int) -> float:
    """Gives the processor time that a process has used."""
    # After the command's name in brackets, which may hold spaces: state is field 0, utime 11, stime 12.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _status_mib(pid: int, name: str) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) / 1024
    raise LookupError(f"/proc/{pid}/status has no {name}")
