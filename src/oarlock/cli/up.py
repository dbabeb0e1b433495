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
from oarlock.cli.up_dashboard import Outside

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
        check_ports(cluster, data_dir, dashboard=options.dashboard)
        remember(data_dir, cluster)
        if options.trace is not None:
            options.trace.mkdir(parents=True, exist_ok=True)
    except FlagError as error:
        print(f"oarlock up: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"oarlock up: {error.filename}: {error.strerror}", file=sys.stderr)
        return 1
    try:
        return asyncio.run(_Cluster(cluster, data_dir, options).run())
    except OSError as error:
        print(f"oarlock up: {error.strerror or error}", file=sys.stderr)
        return 1


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
    parser.add_argument(
        "--dashboard", action="store_true", help="serve a page that shows what happens, and can hurt and heal"
    )
    parser.add_argument(
        "--dashboard-port", type=int, metavar="P", help="where that page is (default: the first server's port + 5)"
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
        self.is_paused = False
        self.stays_down = False
        """Whether it was killed through the page, and is to be started by it too."""
        self.is_hurried = False
        """Whether it is to be started again at once."""
        self.wanted = asyncio.Event()

    @property
    def runs(self) -> bool:
        """Whether there is a process."""
        return self.process is not None and self.process.returncode is None


class _Cluster:
    """All of them; the supervisor of the dashboard."""

    def __init__(self, cluster: LocalCluster, data_dir: Path, options: argparse.Namespace) -> None:
        self._cluster = cluster
        self._data_dir = data_dir
        self._trace_dir: Path | None = options.trace
        self._has_dashboard: bool = options.dashboard
        port: int | None = options.dashboard_port
        self._dashboard_port = cluster.dashboard_port if port is None else port
        self._outside = Outside(cluster, self._trace_dir)
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
            if self._has_dashboard:
                self._dashboard_port = await self._outside.open(self, self._dashboard_port)
            keepers = [loop.create_task(self._keep(server)) for server in self._servers]
            welcome = loop.create_task(self._welcome())
            await self._stop.wait()
            welcome.cancel()
            await self._stop_all()
            await asyncio.gather(*keepers)
            await self._outside.close()
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
            self._ended(server, reason)
            if server.stays_down:
                await self._wait_for(server, None)
                continue
            if server.is_hurried:
                server.is_hurried = False
                continue
            why = f": {server.last_error}" if server.last_error and status > 0 else ""
            self._tell(
                server,
                "died",
                f"{reason}{why}; starting it again in {pause:.0f} s",
                "red",
                reason=reason,
                pause_s=pause,
            )
            await self._wait_for(server, pause)
            pause = min(2 * pause, _LONGEST_PAUSE_S)

    async def _wait_for(self, server: _Server, pause_s: float | None) -> None:
        """Until it is wanted again, or the pause is over, or everything stops."""
        waits = [asyncio.ensure_future(each.wait()) for each in (self._stop, server.wanted)]
        await asyncio.wait(waits, timeout=pause_s, return_when=asyncio.FIRST_COMPLETED)
        for each in waits:
            each.cancel()

    def _ended(self, server: _Server, reason: str) -> None:
        server.wanted.clear()
        server.is_paused = False
        self._outside.ended(server.plan, reason)

    async def _run_once(self, server: _Server) -> int:
        server.ready.clear()
        server.leads = False
        server.last_error = ""
        server.process = await asyncio.create_subprocess_exec(
            *command(
                self._cluster,
                server.plan,
                self._data_dir,
                self._trace_flags(server),
                dashboard=self._has_dashboard,
            ),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            env={key: value for key, value in os.environ.items() if not key.startswith("ETCD_")}
            | {STOP_WITH_PARENT: "1"},
            start_new_session=True,  # Ctrl-C is for this process; it then stops the servers in order
            limit=_LINE_BYTES,
        )
        server.stays_down = False
        self._outside.started(server.plan)
        if self._started:
            self._tell(server, "started", f"started again, pid {server.process.pid}", "dim", pid=server.process.pid)
        await self._follow_log(server, server.process)
        return await server.process.wait()

    def _trace_flags(self, server: _Server) -> list[str]:
        return [] if self._trace_dir is None else ["--trace", str(self._trace_dir / f"{server.plan.name}.jsonl")]

    # -- orders of the dashboard ---------------------------------------------------------------------------------

    def state(self, name: str) -> str:
        """How a server is: `running`, `paused`, `down` or `starting`."""
        server = self._find(name)
        if not server.runs:
            return "down"
        if server.is_paused:
            return "paused"
        return "running" if server.ready.is_set() else "starting"

    def act(self, action: str, name: str) -> None:
        """Kill, pause, resume or restart a server."""
        server = self._find(name)
        if action == "restart":
            server.is_hurried = server.runs
            server.wanted.set()
            self._resume(server)
            _signal(server, signal.SIGTERM)
        elif action == "kill" and server.runs:
            server.stays_down = True
            server.is_hurried = False
            _signal(server, signal.SIGKILL)
        elif action == "pause" and server.runs and not server.is_paused:
            server.is_paused = True
            _signal(server, signal.SIGSTOP)
            self._outside.paused(server.plan)
        elif action == "resume":
            self._resume(server)
        self._tell(server, "order", f"{action}, by the dashboard", "yellow", action=action)

    def _resume(self, server: _Server) -> None:
        if server.is_paused:
            server.is_paused = False
            _signal(server, signal.SIGCONT)
            self._outside.resumed(server.plan)

    def _find(self, name: str) -> _Server:
        return next(server for server in self._servers if server.plan.name == name)

    def _give_up(self, server: _Server, status: int) -> None:
        """It cannot even start: the others would be of little use."""
        why = server.last_error or f"see {server.log.name}"
        print(f"oarlock up: {server.plan.name} {how_it_ended(status)}: {why}", file=sys.stderr)
        self._exit_status = 1
        self._stop.set()

    async def _stop_all(self) -> None:
        for server in self._servers:
            self._resume(server)
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
            self._outside.changed()
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
                json.dumps(
                    {"event": "ready", "data_dir": str(self._data_dir), "servers": self._as_data()} | self._page()
                ),
                flush=True,
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
        if self._has_dashboard:
            print(f"  {paint('Watch', 'bold')}  {self._page()['dashboard']}")
        print(f"  {paint('Stop', 'bold')}   Ctrl-C    the data stay\n", flush=True)

    def _page(self) -> dict[str, str]:
        return {"dashboard": self._outside.address(self._dashboard_port)} if self._has_dashboard else {}

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
