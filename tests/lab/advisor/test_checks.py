"""What the checks do and do not take for a fault, on programs of a few lines."""

from pathlib import Path

import pytest
from tests.support.advised import advise_on

from oarlock.lab.advisor import Advice


def _found(advice: Advice) -> set[tuple[str, str]]:
    return {(finding.check, finding.subject) for finding in advice.findings}


READER = """
def begin(self):
    threading.Thread(target=self.read).start()
def read(self):
    time.sleep(1)
    {read}
"""


@pytest.mark.parametrize(
    ("make", "read", "start"),
    [
        ("self.log = []", "len(self.log)", "self.log.append(1)"),
        ("self.next = {}", "self.next.get(1)", "self.next[1] = 2"),
        ("self.next = [0]", "self.next[0] + 1", "self.next[0] += 1"),
        ("self.log = [1]", "self.log[0:1]", "del self.log[5:]"),
        ("self.grid = [[0]]", "self.grid[0]", "self.grid[0][0] = 1"),
        ("self.heap = []", "len(self.heap)", "import heapq; heapq.heappush(self.heap, 1)"),
        ("self.kept = None", "self.kept", "self.kept = 1"),
    ],
)
def test_changes_of_containers_are_writes(tmp_path: Path, make: str, read: str, start: str) -> None:
    """A container that is changed through the attribute counts as written; reading it without the lock is reported."""
    locked = f"with self.mu:\n    {start}"
    advice = advise_on(tmp_path, make=make, start=locked, rest=READER.format(read=read))
    name = make.partition("self.")[2].partition(" ")[0]
    assert ("shared-data", f"Raft.{name}") in _found(advice)
    finding = advice.findings[0]
    assert sorted(place.locks for place in finding.places) == [(), ("Raft.mu",)]


@pytest.mark.parametrize(
    ("make", "start", "rest"),
    [
        ("", "pass", "def begin(self):\n    threading.Thread(target=lambda: self.value).start()"),
        (
            "",
            "pass",
            (
                "def begin(self):\n    self.value = 1\n    t = threading.Thread(target=self.work)\n    t.start()\n    t.join()\n"
                "    self.value += 1\ndef work(self):\n    self.value += 1"
            ),
        ),
        (
            "self.jobs = queue.Queue()",
            "pass",
            (
                "def begin(self):\n    threading.Thread(target=self.work).start()\n    self.value = 7\n    self.jobs.put(1)\n"
                "def work(self):\n    self.jobs.get()\n    self.value += 1"
            ),
        ),
        (
            "self.ready = threading.Event()",
            "pass",
            (
                "def begin(self):\n    threading.Thread(target=self.work).start()\n    self.value = 7\n    self.ready.set()\n"
                "def work(self):\n    self.ready.wait()\n    self.value += 1"
            ),
        ),
        (
            "self.dead = False",
            "self.dead = True",
            (
                "def begin(self):\n    threading.Thread(target=self.work).start()\n"
                "def work(self):\n    while not self.dead:\n        time.sleep(0.5)"
            ),
        ),
        (
            "self.changed = threading.Condition(self.mu)",
            "with self.changed:\n    self.value += 1\n    self.changed.notify()",
            (
                "def begin(self):\n    threading.Thread(target=self.work).start()\n"
                "def work(self):\n    with self.mu:\n        while self.value < 5:\n            self.changed.wait()"
            ),
        ),
    ],
    ids=["read only", "start and join", "queue", "event", "flag", "condition"],
)
def test_what_is_in_order_is_not_reported(tmp_path: Path, make: str, start: str, rest: str) -> None:
    """Data that is handed over by a thread's start or join, a queue or an event needs no lock."""
    assert _found(advise_on(tmp_path, make=make, start=start, rest=rest)) == set()


def test_a_thread_that_make_has_started_already_is_no_order(tmp_path: Path) -> None:
    """What `make` writes after it has started a thread is shared with that thread."""
    advice = advise_on(
        tmp_path,
        rest="def begin(self):\n    threading.Thread(target=self.work).start()\n    self.value = 7\n"
        "def work(self):\n    self.value += 1",
    )
    assert ("shared-data", "Raft.value") in _found(advice)


@pytest.mark.parametrize(
    ("make", "wait", "doing"),
    [
        ("", "time.sleep(0.01)", "sleeps"),
        ("self.q = queue.Queue()", "self.q.put(1); self.q.get()", "gets from a queue"),
        ("self.q = queue.Queue(9999)", "self.q.put(1)", "puts into a queue that may be full"),
        ("self.e = threading.Event()", "self.e.wait(0.01)", "waits for an event"),
        ("self.s = threading.Semaphore()", "self.s.acquire(); self.s.release()", "waits for an event"),
        ("self.c = threading.Condition()", "with self.c: self.c.wait(0.01)", "waits for a condition of another lock"),
    ],
)
def test_waits_with_a_lock(tmp_path: Path, make: str, wait: str, doing: str) -> None:
    """Whatever might wait is reported when a lock is held, whether or not it waits this time."""
    advice = advise_on(tmp_path, make=make, start=f"with self.mu:\n    {wait}", rest="def begin(self):\n    pass")
    assert ("waits-with-lock", f"Raft.mu: {doing}") in _found(advice)


def test_putting_into_a_queue_without_bound_is_no_wait(tmp_path: Path) -> None:
    """A queue without bound, and a condition's own lock, are nothing to wait for with the lock."""
    advice = advise_on(
        tmp_path,
        make="self.q = queue.Queue()\nself.c = threading.Condition(self.mu)",
        start="with self.mu:\n    self.q.put(1)",
        rest="def begin(self):\n    threading.Thread(target=self.wait).start()\n"
        "def wait(self):\n    with self.mu:\n        self.c.wait(0.01)",
    )
    assert _found(advice) == set()


def test_three_locks_in_a_circle(tmp_path: Path) -> None:
    """A circle of three is found, though no run of it has come to a standstill."""
    advice = advise_on(
        tmp_path,
        make="self.a, self.b, self.c = threading.Lock(), threading.Lock(), threading.Lock()",
        rest="def begin(self):\n"
        "    for one, other in ((self.a, self.b), (self.b, self.c), (self.c, self.a)):\n"
        "        thread = threading.Thread(target=self.take, args=(one, other))\n"
        "        thread.start()\n        thread.join()\n"
        "def take(self, one, other):\n    with one:\n        with other:\n            pass",
    )
    (finding,) = advice.findings
    assert finding.check == "lock-order"
    assert finding.subject == "Raft.a and Raft.b and Raft.c"
    assert len(finding.places) == 3


def test_exceptions_and_deadlocks_are_told(tmp_path: Path) -> None:
    """What goes wrong in a run is told beside the advice, with the stacks, and the run goes on or ends."""
    advice = advise_on(tmp_path, start="1 / 0", rest="def begin(self):\n    pass")
    assert advice.errors[0] == "start raised ZeroDivisionError: division by zero"
    assert "no server ever took a command as the leader" in advice.errors[1]
    advice = advise_on(tmp_path, start="self.mu.acquire()", rest="def begin(self):\n    pass")
    assert any("every thread waits" in error and "in start" in error for error in advice.errors)
