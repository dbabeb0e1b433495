"""Advice on small programs that tests write."""

from pathlib import Path

from oarlock.lab.advisor import Advice, advise

PROGRAM = """
import threading, time, queue
class Raft:
    def __init__(self, peers, me, persister, apply_ch):
        self.mu = threading.Lock()
        self.value = 0
{make}
        self.begin()
    def start(self, command):
{start}
        return -1, 0, False
    def get_state(self):
        return 0, False
    def kill(self):
        pass
{rest}
"""


def advise_on(folder: Path, *, rest: str, make: str = "", start: str = "pass") -> Advice:
    """Advice on a server that has no peers' handlers, a lock `mu` and a `value`.

    Args:
        folder: Where to write it.
        rest: Its further methods, `begin` among them, as lines without indentation.
        make: Further lines of its constructor.
        start: What `start` does.
    """

    def indented(text: str, by: int) -> str:
        return "\n".join(" " * by + line for line in text.strip("\n").splitlines())

    text = PROGRAM.format(make=indented(make, 8), start=indented(start, 8), rest=indented(rest, 4))
    file = folder / "program.py"
    file.write_text(text)
    return advise(f"{file}:Raft", seeds=(1,))
