"""The short programs of `examples/`, run as their first lines say."""

import ast
import re
from pathlib import Path

import pytest
from tests.support.example_processes import Servers
from tests.support.source_tree import ROOT

pytestmark = pytest.mark.cluster


def test_replicated_dictionary(tmp_path: Path) -> None:
    """What is set through one server is seen by the next command through another; killing one loses nothing."""
    with Servers("replicated_dict.py", tmp_path) as servers:
        first, second, third = servers.running
        assert ast.literal_eval(first.ask("colour=red")) == {"colour": "red"}
        assert ast.literal_eval(second.ask("size=large")) == {"colour": "red", "size": "large"}
        first.kill()
        assert ast.literal_eval(third.ask("colour=blue")) == {"colour": "blue", "size": "large"}
        assert [second.close(), third.close()] == [0, 0]


def test_replicated_dictionary_is_ten_lines() -> None:
    """The function that replicates, serves and changes a dictionary has ten lines at most."""
    tree = ast.parse((ROOT / "examples" / "replicated_dict.py").read_text())
    function = next(node for node in tree.body if isinstance(node, ast.AsyncFunctionDef))
    assert (function.end_lineno or 0) - function.lineno + 1 <= 10


def test_job_scheduler(tmp_path: Path) -> None:
    """Each due time is run for once, on one server, before and after another one was killed."""
    due: list[int] = []
    tokens: list[int] = []

    def hear() -> None:
        match = re.fullmatch(r"server (\d+) runs report for (\d+), run (\d+)", servers.any_line())
        assert match is not None
        due.append(int(match[2]))
        tokens.append(int(match[3]))

    with Servers("job_scheduler.py", tmp_path) as servers:
        for _ in range(2):
            hear()
        servers.running.pop().kill()
        for _ in range(2):
            hear()
    assert len(set(due)) == len(due)
    assert len(set(tokens)) == len(tokens)


def test_elected_worker(tmp_path: Path) -> None:
    """One works; when it is killed another takes over, under a higher token."""
    works = re.compile(r"worker (\d+) takes step 1 under token (\d+)")
    with Servers("elected_worker.py", tmp_path) as servers:
        first = works.fullmatch(servers.any_line())
        assert first is not None
        servers.running.pop(servers.ports.index(first[1])).kill()
        second = works.fullmatch(servers.any_line())
        assert second is not None
        assert second[1] != first[1]
        assert int(second[2]) > int(first[2])


def test_rolling_upgrade(tmp_path: Path) -> None:
    """Servers are exchanged one by one while payments go on; new commands work once all are new, and not before."""
    with Servers("rolling_upgrade/account_1.py", tmp_path) as servers:
        balance = 0
        for number in range(3):
            for program in servers.running:
                balance += 5
                assert program.ask("5") == str(balance)
            assert servers.running[number].close() == 0
            servers.running[number] = servers.start("rolling_upgrade/account_2.py", number)
            if number < 2:
                balance += 5
                assert servers.running[number].ask("5") == str(balance)
                assert "is not understood by every server yet" in servers.running[number].ask("5 for tea")
        new = servers.running[0]
        while "not understood" in (answer := new.ask("7 for tea")):
            assert "account" in answer
        assert answer == str(balance + 7)
        assert servers.running[1].ask("1") == str(balance + 8)
        assert servers.running[2].ask("forget") == "2"
