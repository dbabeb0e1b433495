"""Programs of `examples/`, each server a process, whose lines are read as they come."""

import queue
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Self

from tests.support.ports import free_ports
from tests.support.source_tree import ROOT

DEADLINE_S = 60.0
"""For anything that must come true on a busy machine."""


class Program:
    """One process."""

    def __init__(self, script: str, arguments: list[str], directory: Path) -> None:
        self.lines: queue.Queue[str] = queue.Queue()
        self.seen: list[str] = []
        self._errors = (directory / f"errors-{arguments[0]}").open("a+")
        self._process = subprocess.Popen(
            [sys.executable, str(ROOT / "examples" / script), *arguments],
            cwd=directory,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.lines.put(line.rstrip("\n"))

    def say(self, line: str) -> None:
        """Write a line to its standard input."""
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def hear(self) -> str:
        """Its next line."""
        try:
            line = self.lines.get(timeout=DEADLINE_S)
        except queue.Empty:
            self._errors.seek(0)
            raise AssertionError(f"no line within {DEADLINE_S:.0f} s; errors: {self._errors.read()}") from None
        self.seen.append(line)
        return line

    def ask(self, line: str) -> str:
        """Say a line, and hear the answer."""
        self.say(line)
        return self.hear()

    def is_alive(self) -> bool:
        """Whether it runs."""
        return self._process.poll() is None

    def kill(self) -> None:
        """End it without notice."""
        self._process.kill()
        self._end()

    def close(self) -> int:
        """End its standard input, and give its exit status."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        status = self._process.wait(DEADLINE_S)
        self._end()
        return status

    def _end(self) -> None:
        self._process.wait()
        self._reader.join()
        for stream in (self._process.stdin, self._process.stdout, self._errors):
            assert stream is not None
            stream.close()


class Servers:
    """Three processes of one program, each with the list of ports in which its own stands first."""

    def __init__(self, script: str, directory: Path) -> None:
        self.ports = [str(port) for port in free_ports(3)]
        self.directory = directory
        self.running: list[Program] = [self.start(script, number) for number in range(3)]

    def start(self, script: str, number: int) -> Program:
        """Start a process in the place of one server."""
        return Program(script, [self.ports[number], *self.ports[:number], *self.ports[number + 1 :]], self.directory)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        for program in self.running:
            if program.is_alive():
                program.kill()

    def any_line(self) -> str:
        """The next line that any of those that run prints."""
        end = time.monotonic() + DEADLINE_S
        while time.monotonic() < end:
            for program in self.running:
                if not program.lines.empty():
                    return program.hear()
            time.sleep(0.01)
        raise AssertionError(f"no line within {DEADLINE_S:.0f} s")
