"""Deliberately buggy copies of our Raft in the lab: which bug, and which scenario is expected to fail on it."""

from pathlib import Path

import msgspec

from oarlock.zoo.catalogue import MUTANTS
from oarlock.zoo.mutant import Edit, Mutant, patch

SERVER = "lab.raft.server"

NO_INVARIANTS = Edit(SERVER, "check_invariants=True", "check_invariants=False")
"""The scenarios are to find the bug from outside, as they must in anybody's Raft."""


class Buggy(msgspec.Struct, frozen=True, kw_only=True):
    """A bug and where it shows.

    Args:
        mutant: The patch.
        scenario: The one that fails.
        seed: Of virtual time, with which it does.
    """

    mutant: Mutant
    scenario: str
    seed: int = 1

    @property
    def id(self) -> str:
        """Names it."""
        return self.mutant.id

    @property
    def is_in_core(self) -> bool:
        """Whether it takes a process of its own to patch."""
        return any(edit.module != SERVER for edit in self.mutant.edits)


def facade(id_: str, breaks: tuple[str, ...], bug: str, harm: str, *edits: tuple[str, str]) -> Mutant:
    """A bug in what is around the core: threads, locks, persistence, numbers."""
    return Mutant(id=id_, breaks=breaks, bug=bug, harm=harm, edits=tuple(Edit(SERVER, old, new) for old, new in edits))


FACADE = [
    facade(
        "one-rpc-at-a-time",
        ("T1",),
        "RPCs are made one after the other, so a peer that is away keeps all others waiting.",
        "liveness",
        (
            "        self._dead = False\n",
            "        self._dead = False\n        self._calling = threading.Lock()\n",
        ),
        (
            "        replies: Replies | None = self._peers",
            "        with self._calling:\n            replies: Replies | None = self._peers",
        ),
    ),
    facade(
        "elections-beat-too",
        ("T2",),
        "Heartbeats are sent by the loop for elections, which looks only every second.",
        "liveness",
        ("ELECTION_CHECK_S: Final = 0.025", "ELECTION_CHECK_S: Final = 1.0"),
        ("if time.monotonic() >= self._core.election_deadline():", "if True:"),
        (', ("heartbeats", self._beat)', ""),
    ),
    facade(
        "applier-is-not-kicked",
        ("T4",),
        "Nothing wakes the applier when something commits.",
        "liveness",
        ("        self._delivery_wanted.notify()", "        pass"),
    ),
    facade(
        "two-appliers",
        ("T3", "G12"),
        "Two threads put on the apply channel.",
        "safety",
        ('("applier", self._apply))', '("applier", self._apply), ("second-applier", self._apply))'),
    ),
    facade(
        "saves-nothing",
        ("B1", "P-1"),
        "Nothing is saved.",
        "safety",
        ("            self._persister.save(raft_state, self._snapshot or None)\n", ""),
    ),
    facade(
        "saves-votes-with-entries-only",
        ("B1", "P-1"),
        "Term and vote are saved only together with entries.",
        "safety",
        ("            self._persister.save(", "            if ready.entries: self._persister.save("),
    ),
    facade(
        "saves-no-snapshot-again",
        ("B6",),
        "A server that restarts does not read its snapshot, so its next save erases it.",
        "safety",
        ("self._snapshot = persister.read_snapshot()", 'self._snapshot = b""'),
    ),
    facade(
        "keeps-the-whole-log",
        ("LC-1",),
        "A snapshot does not shorten the log.",
        "bound",
        ("            self._core.compact(at)\n", ""),
    ),
    facade(
        "counts-no-ops",
        ("NO-1",),
        "The no-op of each new leader takes one of the service's indices.",
        "safety",
        ("number_at(index), term, True", "number_at(index) + 1, term, True"),
    ),
    facade(
        "sends-twice",
        ("L-3",),
        "Each AppendEntries is sent twice.",
        "bound",
        ("                threading.Thread(", "                for _ in range(2): threading.Thread("),
    ),
    facade(
        "beats-too-often",
        ("L-1",),
        "Heartbeats leave fifty times a second.",
        "bound",
        ("HEARTBEAT_INTERVAL_MS: Final = 100", "HEARTBEAT_INTERVAL_MS: Final = 20"),
    ),
    facade(
        "applies-what-is-appended",
        ("G23", "L-2"),
        "start puts the command on the apply channel at once.",
        "safety",
        (
            "            self._carry_out()\n            return self._ledger",
            "            self._carry_out()\n            self._deliver_early(command, index)\n            return self._ledger",
        ),
        (
            "    def _hand_over(self",
            """    def _deliver_early(self, command, index):
        number = self._ledger.numbers.number_at(index)
        self._hand_over(Delivery(0, ApplyMsg(command_valid=True, command=command, command_index=number)))

    def _hand_over(self""",
        ),
    ),
]
ALL = {mutant.id: mutant for mutant in FACADE} | {id_: each for id_, each in MUTANTS.items() if each.stage == "core"}

_SHOWN = {
    "one-rpc-at-a-time": "3B-FollowerFailure",
    "elections-beat-too": "3C-UnreliableAgree",
    "applier-is-not-kicked": "3B-BasicAgree",
    "two-appliers": "3B-ConcurrentStarts",
    "saves-nothing": "3C-Persist1",
    "saves-no-snapshot-again": "3D-SnapshotInit",
    "keeps-the-whole-log": "3D-SnapshotBasic",
    "counts-no-ops": "3B-BasicAgree",
    "sends-twice": "3B-RPCBytes",
    "beats-too-often": "3B-Count",
    "applies-what-is-appended": "3B-BasicAgree",
    "term-adopted-afterwards": "3A-InitialElection",
    "candidate-waits-for-ever": "3A-ReElection",
    "gap-is-no-mismatch": "3B-FailAgree",
    "commits-what-was-not-verified": "3B-Rejoin",
    "longer-log-wins": "3B-Rejoin",
    "newer-term-wins": "3C-Persist2",
    "hands-out-twice": "3B-BasicAgree",
    "commits-when-it-appends": "3B-FollowerFailure",
    "match-from-todays-next": "3C-Figure8Unreliable",
    "match-from-the-log's-end": "3C-Figure8Unreliable",
    "steps-back-one-by-one": "3C-Figure8Unreliable",
    "machine-stays-as-it-was": "3D-SnapshotInstallCrash",
}
BUGGY = [Buggy(mutant=ALL[id_], scenario=scenario) for id_, scenario in _SHOWN.items()]

_HUNTED = "it needs a schedule that these scenarios meet by chance alone; the zoo hunts it"
_ADVISED = "what is seen half done is gone before a scenario looks; the advisor watches the accesses themselves"
NOT_SEEN = {
    "G1 G2": "elections take longer, but a leader is found within the five seconds that the labs allow",
    "G14 G19 B9": "retries repair it within the time that the labs allow",
    "G15": f"Figure 8 itself: {_HUNTED}",
    "G16": "what is counted wrongly is of older terms, and so waits for an entry of the own term (L-4) all the same",
    "G21 B5": f"a delayed snapshot must be overtaken by what follows it: {_HUNTED}",
    "G22": f"the crash must fall between the two saves: {_HUNTED}",
    "B3": "repeated elections come to an end within the five seconds that the labs allow",
    "K1 K2 K3 K5": _ADVISED,
}
"""Pitfalls of a Raft without services that no scenario shows for certain, and why."""


def write_server(mutant: Mutant, directory: Path) -> str:
    """Write the threads around the core, with what the mutant changes in them and without invariants, as a target."""
    edits = tuple(edit for edit in mutant.edits if edit.module == SERVER)
    file = directory / "buggy_server.py"
    file.write_text(patch(NO_INVARIANTS.path.read_text(), (*edits, NO_INVARIANTS)))
    return f"{file}:make"


def of_core(mutant: Mutant) -> Mutant:
    """What the mutant changes in the core, for `zoo.patching`."""
    return msgspec.structs.replace(mutant, edits=tuple(edit for edit in mutant.edits if edit.module != SERVER))
