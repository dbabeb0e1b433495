"""The command itself: what it prints, and how it ends."""

import json
import logging
import socket
import sys
from pathlib import Path

import pytest
from tests.support.ports import free_ports

from oarlock import __version__
from oarlock.cli import logs
from oarlock.cli.flags import FlagError
from oarlock.cli.local_cluster import LocalCluster, check_ports, plan, remember
from oarlock.cli.main import main
from oarlock.cli.serve import describe
from oarlock.cli.terminal import how_it_ended, paint, table

pytestmark = pytest.mark.usefixtures("keep_logging")


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        ([], 0, "usage: oarlock COMMAND"),
        (["--help"], 0, "usage: oarlock COMMAND"),
        (["--version"], 0, f"oarlock {__version__}"),
        (["version"], 0, f"oarlock {__version__}"),
        (["serve", "--help"], 0, "usage: oarlock serve [flags]"),
        (["serve", "--version"], 0, f"oarlock {__version__}"),
    ],
)
def test_information(arguments: list[str], status: int, says: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Help and version go to standard output, and are no failure."""
    assert main(arguments) == status
    assert says in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["sevre"], 2, "oarlock: unknown command 'sevre'; `oarlock --help` lists all\n"),
        (["serve", "--nmae=a"], 2, "oarlock serve: unknown flag --nmae; did you mean --name?\n"),
        (["serve", "--log-outputs=/nowhere/at/all"], 2, "--log-outputs: /nowhere/at/all: No such file or directory\n"),
        (["up", "--servers=0", "--data-dir=/nowhere/x"], 2, "oarlock up: --servers must be between 1 and 9, not 0\n"),
        (["up", "--port=65530", "--data-dir=/nowhere/x"], 2, "must lie between 1 and 65535\n"),
        (["status", "--endpoints= , "], 2, "oarlock status: --endpoints names none\n"),
        (["status", "--endpoints=http://[::1"], 2, "--endpoints: 'http://[::1' is not a URL: Invalid IPv6 URL\n"),
        (["status", "--endpoints=somewhere"], 2, "'http://somewhere' must have the form http://HOST:PORT\n"),
        (["status", "--cacert=/nowhere/x"], 2, "oarlock status: --cacert: there is no file /nowhere/x\n"),
        (["status", "--key=/nowhere/x"], 2, "oarlock status: --key needs --cert\n"),
    ],
)
def test_misuse(arguments: list[str], status: int, says: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What is not understood gives one line on standard error and status 2."""
    assert main(arguments) == status
    complaint = capsys.readouterr().err
    assert complaint.endswith(says)
    assert complaint.count("\n") == 1


def test_status_of_nobody(capsys: pytest.CaptureFixture[str]) -> None:
    """Servers that do not answer are shown as such, in a table or as JSON, and the command fails."""
    endpoint = f"127.0.0.1:{free_ports(1)[0]}"
    assert main(["status", "--endpoints", endpoint]) == 1
    table_text = capsys.readouterr().out
    assert "connection refused" in table_text
    assert "\x1b" not in table_text
    assert main(["status", "--endpoints", endpoint, "--json"]) == 1
    (answer,) = json.loads(capsys.readouterr().out)
    assert not answer["healthy"]
    assert answer["endpoint"] == f"http://{endpoint}"


def test_unusable_files_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A start that fails ends with one line that names the files: certificates that are none, a damaged database."""
    rubbish = tmp_path / "rubbish.pem"
    rubbish.write_text("none\n")
    client, peer = free_ports(2)
    data_dir = tmp_path / "data"

    def start(scheme: str, *more: str) -> str:
        url = f"{scheme}://127.0.0.1:{client}"
        urls = [f"--listen-client-urls={url}", f"--advertise-client-urls={url}"]
        peers = f"http://127.0.0.1:{peer}"
        urls += [f"--listen-peer-urls={peers}", f"--initial-advertise-peer-urls={peers}"]
        assert main(["serve", "--log-format=console", f"--data-dir={data_dir}", *urls, *more]) == 1
        output = capsys.readouterr().err
        assert "Traceback" not in output
        return output.splitlines()[-1]

    assert str(rubbish) in start("https", f"--cert-file={rubbish}", f"--key-file={rubbish}")
    (data_dir / "db").mkdir(parents=True)
    (data_dir / "db" / "CURRENT").write_text("nothing")
    assert str(data_dir / "db" / "CURRENT") in start("http")


def test_busy_port_is_named(tmp_path: Path) -> None:
    """A port that is taken is named, with what it was needed for and what to do: a cluster that was there keeps its."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        busy = f"port {port}, which s1 needs for clients: address already in use; "
        with pytest.raises(FlagError, match=busy + "choose another with --port"):
            check_ports(LocalCluster(1, port), tmp_path)
        remember(tmp_path, LocalCluster(1, port))
        with pytest.raises(FlagError, match=busy + "is the cluster of .* running already?"):
            check_ports(LocalCluster(1, port), tmp_path)


def test_directory_remembers_its_cluster(tmp_path: Path) -> None:
    """A directory goes on with the cluster it holds, and refuses to be another one."""
    data_dir = tmp_path / "data"
    assert plan(data_dir, None, None) == LocalCluster(3, 2379)
    assert not data_dir.exists()
    remember(data_dir, LocalCluster(5, 4000))
    assert plan(data_dir, None, None) == plan(data_dir, 5, 4000) == LocalCluster(5, 4000)
    with pytest.raises(FlagError, match="holds a cluster of 5 at port 4000"):
        plan(data_dir, 3, None)
    (data_dir / "cluster.json").write_text("{")
    with pytest.raises(FlagError, match="damaged"):
        plan(data_dir, None, None)


def test_log_as_json(tmp_path: Path) -> None:
    """One JSON object a line, with etcd's field names; an error brings its trace."""
    file = tmp_path / "log"
    logs.set_up("info", [str(file)], "json")
    logger = logging.getLogger("oarlock.test")
    logger.debug("not shown")
    logger.warning("hello %s", "world")
    logger.error("it is", exc_info=ValueError("broken"))
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert [(line["level"], line["logger"], line["msg"]) for line in lines] == [
        ("warn", "oarlock.test", "hello world"),
        ("error", "oarlock.test", "it is"),
    ]
    assert "ValueError: broken" in lines[1]["stacktrace"]
    assert lines[0]["ts"].endswith("Z")


def test_log_for_people(tmp_path: Path) -> None:
    """Time, level and message; no colour codes in a file."""
    file = tmp_path / "log"
    logs.set_up("debug", [str(file)], "console")
    logging.getLogger("oarlock.test").warning("hello")
    (line,) = file.read_text().splitlines()
    assert line.endswith(" warn  hello")
    assert "\x1b" not in line


def test_colours_are_opt_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Colours only on a terminal, and never against NO_COLOR."""
    assert paint("x", "red") == "x"
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert paint("x", "red") == "\x1b[31mx\x1b[0m"
    monkeypatch.setenv("NO_COLOR", "1")
    assert paint("x", "red") == "x"


def test_words() -> None:
    """Tables align, exit statuses are put in words, and errors in one line."""
    assert table([["a", "bbb"], ["cc", "d"]]) == ["a   bbb", "cc  d"]
    assert how_it_ended(1) == "ended with status 1"
    assert how_it_ended(-9) == "was killed by SIGKILL"
    busy = OSError(98, "error while attempting to bind on address ('127.0.0.1', 2379): address already in use")
    assert describe(busy) == "cannot listen on 127.0.0.1:2379: address already in use"
    assert describe(PermissionError(13, "Permission denied", "/data")) == "/data: Permission denied"
