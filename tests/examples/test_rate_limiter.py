"""The rate limiter: three processes of a FastAPI service behind nginx, which share one count."""

import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from tests.support.example_processes import DEADLINE_S
from tests.support.ports import free_ports
from tests.support.source_tree import ROOT
from tests.support.system_programs import require

pytestmark = pytest.mark.cluster

EXAMPLE = ROOT / "examples" / "rate_limiter"
BURST = 10


class Answer(NamedTuple):
    """What a request got."""

    status: int
    body: str
    retry_after: str | None


def ask(port: int, client: str = "") -> Answer:
    """One request; as a proxy would for a client, where one is named."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}/", headers={"X-Forwarded-For": client} if client else {})
    try:
        with urllib.request.urlopen(request, timeout=DEADLINE_S) as response:  # noqa: S310 - our own, on 127.0.0.1
            return Answer(response.status, response.read().decode(), None)
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, error.read().decode(), error.headers["Retry-After"])


def _wait_until(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + DEADLINE_S
    while time.monotonic() < end:
        try:
            if condition():
                return
        except (urllib.error.URLError, ConnectionError):
            pass
        time.sleep(0.05)
    raise AssertionError(f"not within {DEADLINE_S:.0f} s: {what}")


@contextmanager
def _process(command: list[str], directory: Path) -> "Iterator[subprocess.Popen[bytes]]":
    with (directory / "errors").open("ab") as errors:
        process = subprocess.Popen(command, cwd=directory, stdout=errors, stderr=errors)
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def test_all_processes_share_one_limit(tmp_path: Path) -> None:
    """Whichever process a request comes to, a client has its burst once, also after a process was killed."""
    nginx = require("nginx", package="nginx-light", service="nginx")
    listen, *ports = free_ports(7)
    http, raft = ports[:3], [str(port) for port in ports[3:]]
    servers = "".join(f"server 127.0.0.1:{port};\n" for port in http)
    configuration = (EXAMPLE / "nginx.conf").read_text().replace("LISTEN", str(listen)).replace("SERVERS", servers)
    (tmp_path / "nginx.conf").write_text(configuration)
    with ExitStack() as stack:
        services = [
            stack.enter_context(
                _process(
                    [sys.executable, str(EXAMPLE / "service.py"), str(http[n]), raft[n], *raft[:n], *raft[n + 1 :]],
                    tmp_path,
                )
            )
            for n in range(3)
        ]
        stack.enter_context(_process([nginx, "-e", "stderr", "-p", str(tmp_path), "-c", "nginx.conf"], tmp_path))
        for number, port in enumerate(http):
            _wait_until(lambda p=port, n=number: ask(p, f"probe {n}").status == 200, f"an answer of server {number}")

        began = time.monotonic()
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _: ask(listen), range(3 * BURST)))
        passed = [answer for answer in answers if answer.status == 200]
        refused = [answer for answer in answers if answer.status == 429]
        regained = time.monotonic() - began  # one a second
        assert len(passed) + len(refused) == len(answers)
        assert BURST <= len(passed) <= BURST + regained + 1
        assert len({json.loads(answer.body)["served by"] for answer in passed}) > 1
        assert all(int(answer.retry_after or 0) >= 1 for answer in refused)

        services[0].kill()
        began = time.monotonic()
        _wait_until(lambda: ask(http[1], "probe after").status == 200, "an answer of those that are left")
        others = [ask(http[1 + n % 2], "another client").status for n in range(2 * BURST)]
        assert BURST <= others.count(200) <= BURST + (time.monotonic() - began) + 1
