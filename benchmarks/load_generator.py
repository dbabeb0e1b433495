"""Builds and runs the load generator, `load/main.go`: etcd's own Go client."""

import json
import os
import resource
import subprocess
from pathlib import Path
from typing import Any

from tests.support.system_programs import Absent, find_or_install, install

HERE = Path(__file__).parent
SOURCE = HERE / "load" / "main.go"
PROGRAM = HERE / "build" / "load"
GOPATH = Path("/usr/share/gocode")
"""Where Debian's -dev packages put Go sources."""
CLIENT_SOURCE = GOPATH / "src" / "go.etcd.io" / "etcd" / "clientv3"
SPARE_TIME_S = 60
"""Beyond the measured seconds: connecting, the last operations, or a server that has stopped answering."""


def build() -> None:
    """Compiles the load generator where its source is newer; installs compiler and client where we may."""
    if PROGRAM.exists() and PROGRAM.stat().st_mtime >= SOURCE.stat().st_mtime:
        return
    go = find_or_install("go", package="golang-go")
    if isinstance(go, Absent):
        raise SystemExit(go.reason)
    if not CLIENT_SOURCE.exists():
        absent = install("etcd's Go client", package="golang-etcd-server-dev", is_there=CLIENT_SOURCE.exists)
        if absent:
            raise SystemExit(absent.reason)
    PROGRAM.parent.mkdir(parents=True, exist_ok=True)
    # Debian's packages are sources below GOPATH, from before modules.
    environment = {**os.environ, "GO111MODULE": "off", "GOPATH": str(GOPATH), "GOFLAGS": ""}
    done = subprocess.run(
        [go, "build", "-o", str(PROGRAM), str(SOURCE)],
        env=environment,
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        raise SystemExit(f"building the load generator failed:\n{done.stderr}")


def run(addresses: list[str], operation: str, clients: int, **options: float) -> dict[str, Any]:
    """Runs one measurement; gives what the load generator reports, and the processor time that it took.

    A load generator that fails is a measurement without operations and with an error: the comparison goes on.

    Args:
        addresses: the servers' client addresses.
        operation: put, get, sget, mix or fill, as `load -help` explains.
        clients: operations in flight.
        **options: more flags of the load generator: secs, warmup, keys, size, conns.
    """
    command = [str(PROGRAM), "-json", "-endpoints", ",".join(addresses), "-op", operation]
    for name, value in {"clients": clients, **options}.items():
        command += [f"-{name}", str(value)]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    # Filling takes as long as it takes; a single operation is limited by the generator itself.
    limit = None if operation == "fill" else options["secs"] + options["warmup"] + SPARE_TIME_S
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=limit)
        result: dict[str, Any] = json.loads(done.stdout)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        complaint = str(error.stderr or error).strip().splitlines()[-1]
        result = {"op": operation, "clients": clients, "ops": 0, "errors": 1, "first_error": complaint}
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    result["load_cpu_seconds"] = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return result
