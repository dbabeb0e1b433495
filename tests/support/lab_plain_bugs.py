"""Deliberately buggy copies of `plain_raft`: one pitfall each, as a learner makes it, and the scenario it fails in."""

import msgspec

Edits = tuple[tuple[str, str], ...]


class PlainBug(msgspec.Struct, frozen=True):
    """A bug, and where it shows.

    Args:
        pitfalls: By id.
        bug: In words.
        scenario: The one that fails.
        seed: Of virtual time, with which it does.
        edits: Old and new text of `plain_raft/server.py`; each old one occurs once.
    """

    pitfalls: tuple[str, ...]
    bug: str
    scenario: str
    seed: int
    edits: Edits

    @property
    def id(self) -> str:
        """Names it."""
        return f"{'-'.join(self.pitfalls)}: {self.bug}"

    def patch(self, text: str) -> str:
        """The text with the bug.

        Raises:
            ValueError: An old text does not occur once.
        """
        for old, new in self.edits:
            if text.count(old) != 1:
                raise ValueError(f"{text.count(old)} places, not one, hold {old!r}")
            text = text.replace(old, new)
        return text


def bug(pitfalls: str, words: str, scenario: str, *edits: tuple[str, str], seed: int = 1) -> PlainBug:
    """A row of the table."""
    return PlainBug(tuple(pitfalls.split()), words, scenario, seed, edits)


PLAIN_BUGS = [
    bug(
        "G3",
        "a candidate whose election has no result starts no new one",
        "3A-ReElection",
        ('if self.role != "leader" and time', 'if self.role == "follower" and time'),
    ),
    bug(
        "G4",
        "a higher term is adopted after the request is handled",
        "3A-InitialElection",
        (
            "            self.look_at_term(args.term)\n            mine",
            (
                "            if args.term > self.current_term:\n"
                "                self.look_at_term(args.term)\n"
                "                return RequestVoteReply(self.current_term, False)\n"
                "            mine"
            ),
        ),
    ),
    bug(
        "G5 G9",
        "an AppendEntries without entries is answered with success, unchecked",
        "3C-Figure8Unreliable",
        (
            "            if args.prev_log_index > self.last_index():",
            (
                "            if not args.entries:\n"
                "                self.take(args)\n"
                "                return AppendEntriesReply(self.current_term, True)\n"
                "            if args.prev_log_index > self.last_index():"
            ),
        ),
    ),
    bug(
        "G6",
        "whatever follows prev_log_index is deleted, conflict or not",
        "3C-UnreliableChurn",
        (
            "        for index, entry in enumerate(args.entries, args",
            (
                "        del self.log[max(args.prev_log_index + 1 - self.base, 1) :]\n"
                "        for index, entry in enumerate(args.entries, args"
            ),
        ),
    ),
    bug(
        "G7",
        "an AppendEntries of an older term is refused, and carried out all the same",
        "3B-Rejoin",
        (
            "            if args.term < self.current_term:\n                return AppendEntriesReply(self.current_term, False)\n            self.role",
            "            if args.term < self.current_term and args.prev_log_index <= self.last_index():\n                self.take(args)\n                return AppendEntriesReply(self.current_term, False)\n            self.role",
        ),
    ),
    bug(
        "G8",
        "prev_log_index past the log's end is taken for a match",
        "3B-FailAgree",
        (
            "            if args.prev_log_index > self.last_index():\n                return AppendEntriesReply(self.current_term, False, self.last_index() + 1)\n",
            "",
        ),
        (
            "            if args.prev_log_index >= self.base and",
            "            if self.base <= args.prev_log_index <= self.last_index() and",
        ),
    ),
    bug(
        "G11",
        "logs are compared by their length alone",
        "3B-Rejoin",
        ("and (args.last_log_term, args.last_log_index) >= mine", "and args.last_log_index >= mine[1]"),
    ),
    bug(
        "G12 T3",
        "two threads put on the apply channel",
        "3B-ConcurrentStarts",
        ("self.heartbeats, self.applier)", "self.heartbeats, self.applier, self.applier)"),
    ),
    bug(
        "G13",
        "it is looked only when sending whether anything commits",
        "4B-Speed",
        ("match + 1)\n                self.advance()", "match + 1)"),
        (
            '                if self.role == "leader":\n                    for peer',
            '                if self.role == "leader":\n                    self.advance()\n                    for peer',
        ),
    ),
    bug(
        "G18 K6",
        "a vote counts in whatever campaign it arrives",
        "3C-Persist2",
        ('self.role != "candidate" or self.current_term != args.term or not', 'self.role != "candidate" or not'),
        (
            "        votes = [self.me]\n",
            "        votes = self.votes = getattr(self, 'votes', [])\n        votes.append(self.me)\n",
        ),
        seed=2,
    ),
    bug(
        "G23",
        "a leader applies what it has appended",
        "3B-FollowerFailure",
        (
            "            self.append_wanted.notify()\n            return self.last_index()",
            "            self.commit_index = self.last_index()\n            self.commit_moved.notify()\n            self.append_wanted.notify()\n            return self.last_index()",
        ),
    ),
    bug(
        "K4",
        "the applier holds the lock while it puts on the channel",
        "3D-SnapshotBasic",
        (
            "            self.apply_ch.put(message)\n        self",
            "                self.apply_ch.put(message)\n        self",
        ),
    ),
    bug(
        "T1",
        "RPCs are made one after the other",
        "3B-FollowerFailure",
        (
            "        threading.Thread(target=function, args=args, daemon=True).start()",
            "        self.jobs.put((function, args))",
        ),
        (
            "        self.heard()\n        for work in (",
            "        self.heard()\n        self.jobs = queue.Queue()\n        threading.Thread(target=self.sender, daemon=True).start()\n        for work in (",
        ),
        ("import random\n", "import queue\nimport random\n"),
        (
            "    def elections(self):",
            "    def sender(self):\n        while not self.dead:\n            function, args = self.jobs.get()\n            function(*args)\n\n    def elections(self):",
        ),
    ),
    bug(
        "T2",
        "elections and heartbeats share one slow loop",
        "3C-UnreliableAgree",
        ("self.elections, self.heartbeats,", "self.elections,"),
        ("            time.sleep(0.02)\n", "            time.sleep(1.0)\n"),
        (
            "                    self.campaign()\n\n",
            '                    self.campaign()\n                if self.role == "leader":\n                    for peer in range(len(self.peers)):\n                        if peer != self.me:\n                            self.replicate(peer)\n\n',
        ),
    ),
    bug(
        "T4",
        "nothing wakes the applier when commit_index moves",
        "3B-BasicAgree",
        (
            "            self.commit_index = commit\n            self.commit_moved.notify()",
            "            self.commit_index = commit",
        ),
    ),
    bug(
        "B2",
        "timeouts are not randomised",
        "3C-UnreliableAgree",
        ("random.uniform(*ELECTION_S)", "ELECTION_S[0]"),
    ),
    bug(
        "B4",
        "heartbeats leave as fast as they can",
        "3B-Count",
        ("HEARTBEAT_S = 0.1", "HEARTBEAT_S = 0.005"),
    ),
    bug(
        "B6",
        "a restarted server does not read its snapshot, and erases it",
        "3D-SnapshotInit",
        ("self.snapshot_data = persister.read_snapshot()", 'self.snapshot_data = b""'),
    ),
    bug(
        "B7",
        "the base is not saved with the log that begins there",
        "3D-SnapshotAllCrash",
        ("[self.current_term, self.voted_for, self.base, log]", "[self.current_term, self.voted_for, 0, log]"),
    ),
    bug(
        "B8",
        "commit_index and last_applied begin at 0 after a restart",
        "3D-SnapshotAllCrash",
        ("self.commit_index = self.last_applied = self.base", "self.commit_index = self.last_applied = 0"),
    ),
    bug(
        "B10",
        "a snapshot does not shorten the log",
        "3D-SnapshotBasic",
        (
            "            if index > self.base:\n                self.log = [",
            "            if index > self.base + 1000:\n                self.log = [",
        ),
    ),
]
