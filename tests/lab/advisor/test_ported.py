"""A Raft of quite another style than the examples: nothing is said of it, and each fault put into it is found."""

from pathlib import Path

import pytest
from tests.support import ported_raft

from oarlock.lab.advisor import advise

SOURCE = Path(ported_raft.__file__).read_text()

FAULTS = {
    "state asked for without the lock": (
        "shared-data",
        (
            "        with self.mu:\n            return self.current_term, self.state is State.Leader",
            "        return self.current_term, self.state is State.Leader",
        ),
    ),
    "log measured without the lock": (
        "shared-data",
        (
            "        while not self.killed():\n            self.mu.acquire()\n",
            "        while not self.killed():\n            length = len(self.rlog.entries)\n            self.mu.acquire()\n",
        ),
    ),
    "role and term apart": (
        "half-changed",
        (
            "        self.current_term += 1\n",
            "        self.mu.release()\n        self.mu.acquire()\n        self.current_term += 1\n",
        ),
    ),
    "term compared in another region": (
        "check-then-act",
        (
            "            if args.term > self.current_term:\n                self.step_down(args.term)\n            li",
            (
                "            newer = args.term > self.current_term\n        with self.mu:\n            if newer:\n"
                "                self.current_term, self.voted_for, self.state = args.term, -1, State.Follower\n            li"
            ),
        ),
    ),
    "vote counted in any term": (
        "unchecked-reply",
        ("if self.state is not State.Candidate or self.current_term != term:", "if self.state is not State.Candidate:"),
    ),
    "success believed in any term": (
        "unchecked-reply",
        ("if args.term != self.current_term or self.state != State.Leader:", "if self.state != State.Leader:"),
    ),
    "arguments made in the thread": (
        "later-arguments",
        (
            "target=self.send_append, args=(p, self.make_args(p)), daemon",
            "target=self.make_and_send, args=(p,), daemon",
        ),
        (
            "    def make_args(self, p):",
            (
                "    def make_and_send(self, p):\n        with self.mu:\n            args = self.make_args(p)\n"
                "        self.send_append(p, args)\n\n    def make_args(self, p):"
            ),
        ),
    ),
    "one loop for both timers": (
        "combined-timers",
        ("        threading.Thread(target=self.heartbeat, daemon=True).start()\n", ""),
        (
            "                if self.state is not State.Leader and time",
            (
                "                if self.state is State.Leader:\n                    self.broadcast()\n"
                "                if self.state is not State.Leader and time"
            ),
        ),
    ),
    "followers' applier not woken": (
        "applier-not-woken",
        (
            "                self.apply_cond.notify_all()\n            return AppendEntriesReply",
            "                pass\n            return AppendEntriesReply",
        ),
    ),
}
"""By what is wrong: the check that finds it, and the changes of the source."""


def test_nothing_is_said_of_it() -> None:
    """Dataclasses that travel, entries that are shared once made, votes in a closure and properties are no faults."""
    advice = advise(f"{ported_raft.__file__}:Raft", seeds=(1, 2))
    assert advice.findings == []
    assert advice.errors == []


@pytest.mark.parametrize("fault", FAULTS)
def test_fault_is_found(fault: str, tmp_path: Path) -> None:
    """The check of the rule that is broken reports it, and others at most beside it."""
    check, *edits = FAULTS[fault]
    text = SOURCE
    for old, new in edits:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    file = tmp_path / "faulty_raft.py"
    file.write_text(text)
    assert check in {finding.check for finding in advise(f"{file}:Raft", seeds=(1,)).findings}
