"""What a cluster owes once everything works, told for people who learn: name, what it says, and what secures it."""

from typing import Final

PROGRESS: Final[dict[str, tuple[str, str, tuple[str, ...]]]] = {
    "a leader is not deposed without need": (
        "While a leader is heard nobody takes the lead from it.",
        (
            "Any higher term deposes a leader, so raising a term must be hard: a server asks first whether it could "
            "win, and those who hear a leader say no. A candidate that has lost follows whoever has won its term."
        ),
        ("C-3", "PV-2", "CQ-2"),
    ),
    "who cannot win raises no term": (
        "A server that would lose an election does not begin one.",
        (
            "Pre-vote asks the voters' question without its price: neither term nor vote change, so a server that was "
            "cut off comes back without disturbing anybody."
        ),
        ("PV-1", "PV-2", "PV-3"),
    ),
    "who has no vote does not campaign": (
        "Learners, and servers that were removed, do not ask to lead.",
        "They could not win, and their terms would depose whoever leads.",
        ("MC-8",),
    ),
    "who was the leader may lead again": (
        "A leader that has restarted can win at once.",
        (
            "Those that follow it hear no leader but itself: to hold its own silence against it would keep everybody "
            "waiting."
        ),
        ("PV-4",),
    ),
    "the successor leads soon": (
        "A lead that is handed over arrives, or stays where it was.",
        (
            "The successor's log is made complete first, with no new commands meanwhile; then it campaigns at once, "
            "and voters do not hold their live leader against it."
        ),
        ("LT-1", "LT-2", "LT-3", "LT-5"),
    ),
    "takes commands again": (
        "A handing over that does not come about ends by itself.",
        "Waiting for one server must have a limit, or that server's crash stops the cluster.",
        ("LT-4",),
    ),
    "writes are answered promptly": (
        "With nothing in the way a command takes two messages, not a heartbeat.",
        "Heartbeats keep followers quiet; entries are sent when there are entries.",
        ("L-3",),
    ),
    "reads are answered promptly": (
        "With nothing in the way a read takes one round of messages.",
        "Each request that waits must be remembered under its own name until its answer is known.",
        ("RI-1", "RI-2"),
    ),
    "who asked is told promptly": (
        "Whoever waits for a command hears of its commitment without waiting for the next heartbeat.",
        "News that nobody waits for may travel with the next message; news that somebody waits for may not.",
        ("FC-5",),
    ),
    "followers apply promptly": (
        "What is committed reaches every follower with the next heartbeat.",
        "A message without entries has news too: the leader's commit index.",
        ("AE-5",),
    ),
    "one snapshot is enough": (
        "A snapshot arrives once, in parts, and entries follow from where it ends.",
        (
            "Parts come in order, each acknowledged on disk; a part that is lost is sent again, and one that came "
            "twice counts once. What the snapshot covers is then known to match."
        ),
        ("IS-3", "IS-4", "L-3a"),
    ),
    "a snapshot is whole when it is installed": (
        "A server begins from a snapshot only when it has all of it.",
        "The old state stands aside until the new one is complete and on disk: half a state machine is none.",
        ("IS-3", "IS-4"),
    ),
    "logs are compared term by term": (
        "Finding where two logs agree takes as many messages as terms in which they differ, not as many as entries.",
        (
            "A refusal says more than no: which term the follower has there and where that begins, so that the leader "
            "can skip all of it."
        ),
        ("BT-1", "BT-2"),
    ),
    "changes of members end": (
        "A change of members comes to its end without anybody's help.",
        "Joint consensus is a bridge: once both halves have committed it, the leader must step off on the other side.",
        ("MC-6",),
    ),
    "a removed leader makes room": (
        "A leader that a committed change has removed steps down.",
        "It leads until its own removal is committed, and not longer.",
        ("MC-7",),
    ),
    "who is removed is told": (
        "A server that was removed learns of it.",
        "Whoever does not know that it was removed campaigns for ever: the leader goes on serving it until it knows.",
        ("MC-9",),
    ),
    "quiet when idle": (
        "Without requests nothing is sent but heartbeats.",
        (
            "Whatever is sent again must have a reason to be; a reply that causes a request that causes a reply never "
            "ends."
        ),
        ("L-1", "RS-1"),
    ),
}
"""By the name that violations give: what it says, what secures it, and by which rules."""
