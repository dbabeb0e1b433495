"""`oarlock up`: a cluster on this machine, to try things out and to hurt.

Every server is a process of its own, so one can really be killed; one that dies is started again after a pause. Their
logs go to files; shown is what a person wants to know.
"""

import argparse
import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final, TextIO

from oarlock import __version__
from oarlock.cli.flags import FlagError
from oarlock.cli.local_cluster import (
    STOP_WITH_PARENT,
    LocalCluster,
    LocalServer,
    check_ports,
    command,
    plan,
    remember,
)
from oarlock.cli.terminal import how_it_ended, paint, table

_FIRST_PAUSE_S: Final = 1.0
_LONGEST_PAUSE_S: Final = 30.0
_STEADY_S: Final = 20.0
"""A server that ran for so long starts again after the shortest pause."""
_KILL_AFTER_S: Final = 15.0
_LINE_BYTES: Final = 1 << 20
_SHOWN: Final = ("became leader", "ready to serve client requests", "sending snapshot", "restored snapshot")


def up(arguments: Sequence[str]) -> int:
    """Start a cluster and keep it running until Ctrl-C.

    Args:
        arguments: Those after `up`.

    Returns:
        The exit status.
    """
    options = _parser().parse_args(arguments)
    data_dir = Path(options.data_dir)
    try:
        cluster = plan(data_dir, options.servers, options.port)
        check_ports(cluster, data_dir)
        remember(data_dir, cluster)
        if options.trace is not None:
            options.trace.mkdir(parents=True, exist_ok=True)
    except FlagError as error:
        print(f"oarlock up: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"oarlock up: {error.filename}: {error.strerror}", file=sys.stderr)
        return 1
    return asyncio.run(_Cluster(cluster, data_dir, options).run())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="oarlock up",
        description="Start a cluster on this machine. Data stay in the directory; start again to go on with them.",
        epilog="A server that dies is started again, so `kill -9` of any one is a fair experiment.",
    )
    parser.add_argument("--servers", type=int, metavar="N", help="how many (default: 3)")
    parser.add_argument(
        "--data-dir", default="./oarlock-data", metavar="DIR", help="where data and logs go (default: %(default)s)"
    )
    parser.add_argument(
        "--port", type=int, metavar="P", help="the first server's port; the others follow at +10, +20 (default: 2379)"
    )
    parser.add_argument(
        "--trace", type=Path, metavar="DIR", help="record what each server does to a file there, as raft-trace/1"
    )
    parser.add_argument("--json", action="store_true", help="print events as JSON, one a line")
    parser.add_argument("--verbose", action="store_true", help="show the servers' whole logs")
    return parser


class _Server:
    """One server's process and what is known of it."""

    def __init__(self, plan: LocalServer, log: TextIO) -> None:
        self.plan = plan
        self.log = log
        self.process: asyncio.subprocess.Process | None = None
        self.ready = asyncio.Event()
        self.leads = False
        self.last_error = ""


class _Cluster:
    """All of them."""

    def __init__(self, cluster: LocalCluster, data_dir: Path, options: argparse.Namespace) -> None:
        self._cluster = cluster
        self._data_dir = data_dir
        self._trace_dir: Path | None = options.trace
        self._json: bool = options.json
        self._verbose: bool = options.verbose
        self._servers: list[_Server] = []
        self._stop = asyncio.Event()
        self._started = False
        self._exit_status = 0

    async def run(self) -> int:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._on_signal)
        if not self._json:
            count = self._cluster.servers
            print(f"Starting {count} server{'s' if count > 1 else ''}, data in {self._data_dir} ...", flush=True)
        with contextlib.ExitStack() as stack:
            for member in self._cluster.members():
                log = stack.enter_context((self._data_dir / f"{member.name}.log").open("a"))
                self._servers.append(_Server(member, log))
            keepers = [loop.create_task(self._keep(server)) for server in self._servers]
            welcome = loop.create_task(self._welcome())
            await self._stop.wait()
            welcome.cancel()
            await self._stop_all()
            await asyncio.gather(*keepers)
        if not self._json and self._exit_status == 0:
            print(f"Stopped. The data are in {self._data_dir}; `oarlock up` goes on with them.")
        return self._exit_status

    def _on_signal(self) -> None:
        if self._stop.is_set():
            for server in self._servers:
                _signal(server, signal.SIGKILL)
            return
        if not self._json:
            print(" Stopping ...", flush=True)
        self._stop.set()

    # -- one server ----------------------------------------------------------------------------------------------

    async def _keep(self, server: _Server) -> None:
        """Run a server, again and again, until everything stops."""
        loop = asyncio.get_running_loop()
        pause = _FIRST_PAUSE_S
        while not self._stop.is_set():
            began = loop.time()
            status = await self._run_once(server)
            if self._stop.is_set():
                return
            if not self._started and status > 0:
                self._give_up(server, status)
                return
            pause = _FIRST_PAUSE_S if loop.time() - began > _STEADY_S else pause
            reason = how_it_ended(status)
            why = f": {server.last_error}" if server.last_error and status > 0 else ""
            self._tell(
                server,
                "died",
                f"{reason}{why}; starting it again in {pause:.0f} s",
                "red",
                reason=reason,
                pause_s=pause,
            )
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), pause)
            pause = min(2 * pause, _LONGEST_PAUSE_S)

    async def _run_once(self, server: _Server) -> int:
        server.ready.clear()
        server.leads = False
        server.last_error = ""
        server.process = await asyncio.create_subprocess_exec(
            *command(self._cluster, server.plan, self._data_dir, self._trace_flags(server)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            env={key: value for key, value in os.environ.items() if not key.startswith("ETCD_")}
            | {STOP_WITH_PARENT: "1"},
            start_new_session=True,  # Ctrl-C is for this process; it then stops the servers in order
            limit=_LINE_BYTES,
        )
        if self._started:
            self._tell(server, "started", f"started again, pid {server.process.pid}", "dim", pid=server.process.pid)
        await self._follow_log(server, server.process)
        return await server.process.wait()

    def _trace_flags(self, server: _Server) -> list[str]:
        return [] if self._trace_dir is None else ["--trace", str(self._trace_dir / f"{server.plan.name}.jsonl")]

    def _give_up(self, server: _Server, status: int) -> None:
        """It cannot even start: the others would be of little use."""
        why = server.last_error or f"see {server.log.name}"
        print(f"oarlock up: {server.plan.name} {how_it_ended(status)}: {why}", file=sys.stderr)
        self._exit_status = 1
        self._stop.set()

    async def _stop_all(self) -> None:
        for server in self._servers:
            _signal(server, signal.SIGTERM)
        running = [
            asyncio.ensure_future(server.process.wait())
            for server in self._servers
            if server.process is not None and server.process.returncode is None
        ]
        if running:
            _, late = await asyncio.wait(running, timeout=_KILL_AFTER_S)
            if late:
                for server in self._servers:
                    _signal(server, signal.SIGKILL)

    # -- what is shown -------------------------------------------------------------------------------------------

    async def _follow_log(self, server: _Server, process: asyncio.subprocess.Process) -> None:
        """Copy the log into its file, and show what matters."""
        assert process.stderr is not None  # noqa: S101 - it is a pipe
        async for line in process.stderr:
            text = line.decode(errors="replace")
            server.log.write(text)
            server.log.flush()
            try:
                record = json.loads(text)
                level, message = str(record["level"]), str(record["msg"])
            except (ValueError, KeyError, TypeError):
                level, message = "error", text.rstrip()
            self._on_line(server, level, message)

    def _on_line(self, server: _Server, level: str, message: str) -> None:
        if message == "ready to serve client requests":
            server.ready.set()
        if message.startswith("became leader"):
            for other in self._servers:
                other.leads = other is server
        if level in ("error", "fatal"):
            server.last_error = message
        notable = message.startswith(_SHOWN) and self._started
        if self._verbose or notable or (level in ("error", "fatal") and self._started):
            style = {"warn": "yellow", "error": "red", "fatal": "red"}.get(level, "dim" if not notable else "cyan")
            self._tell(server, "log", message, style, level=level)

    def _tell(self, server: _Server, event: str, text: str, style: str, **fields: object) -> None:
        if self._json:
            print(json.dumps({"event": event, "server": server.plan.name, "message": text, **fields}), flush=True)
        else:
            print(f"{paint(server.plan.name, 'bold')}  {paint(text, style)}", flush=True)

    async def _welcome(self) -> None:
        """When all are ready, say what there is and what to do with it."""
        for server in self._servers:
            await server.ready.wait()
        self._started = True
        if self._json:
            print(
                json.dumps({"event": "ready", "data_dir": str(self._data_dir), "servers": self._as_data()}), flush=True
            )
            return
        rows = []
        for server in self._servers:
            pid = server.process.pid if server.process is not None else 0
            rows.append([server.plan.name, server.plan.client_url, f"pid {pid}", "leader" if server.leads else ""])
        victim = next((row[2][4:] for row in rows if row[3]), rows[0][2][4:])
        endpoints = ",".join(f"127.0.0.1:{server.plan.client_port}" for server in self._servers)
        print(f"\n{paint(f'Oarlock {__version__} is up', 'green')}, data and logs in {self._data_dir}\n")
        print("\n".join(f"  {line}" for line in table(rows)))
        print(f"\n  {paint('Try', 'bold')}    etcdctl --endpoints={endpoints} put hello world")
        print(f"         etcdctl --endpoints={endpoints} get hello")
        if len(self._servers) > 2:
            print(f"  {paint('Hurt', 'bold')}   kill -9 {victim}    nothing is lost, and it is started again")
        print(f"  {paint('Stop', 'bold')}   Ctrl-C    the data stay\n", flush=True)

    def _as_data(self) -> list[dict[str, object]]:
        return [
            {
                "name": server.plan.name,
                "pid": server.process.pid if server.process is not None else None,
                "client_url": server.plan.client_url,
                "peer_url": server.plan.peer_url,
                "data_dir": str(self._data_dir / server.plan.name),
                "log": server.log.name,
                "leader": server.leads,
            }
            for server in self._servers
        ]


def _signal(server: _Server, number: signal.Signals) -> None:
    if server.process is not None and server.process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            server.process.send_signal(number)
