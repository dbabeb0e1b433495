"""The properties that runs are held to, told for people who learn: what each says, and what secures it."""

from typing import Final, NamedTuple

from oarlock.diagram.progress import PROGRESS


class Property(NamedTuple):
    """One property."""

    figure3: str
    """Its name in Figure 3, or that of the property there that falls with it; empty if it is of another kind."""
    means: str
    """What it says."""
    lesson: str
    """What secures it, and what that teaches."""
    rules: tuple[str, ...] = ()
    """The rules that secure it."""


_ELECTION: Final = "Election Safety"
_APPEND: Final = "Leader Append-Only"
_MATCHING: Final = "Log Matching"
_COMPLETENESS: Final = "Leader Completeness"
_MACHINE: Final = "State Machine Safety"

_LIVE: Final = (
    "Safety does not depend on time, but progress does: somebody must time out, win, and be heard by a majority. A "
    "rule that keeps timers or terms from moving never breaks a log; it stops the cluster."
)
_PROMISE: Final = (
    "A reply is a promise, and promises must survive a crash: term, vote and entries are on disk before any message "
    "that depends on them leaves. A majority that only remembers is a majority until the lights go out."
)

PROPERTIES: Final[dict[str, Property]] = {
    "election safety": Property(
        _ELECTION,
        "At most one server leads a term.",
        "Each server votes once a term and remembers that on disk; two majorities share a server; so two leaders of "
        "one term would need one server that voted twice.",
        ("RV-1", "RV-2", "C-2", "P-1"),
    ),
    "one vote a term": Property(
        _ELECTION,
        "A server votes for one candidate a term, across restarts too.",
        "The vote belongs to the term: it is forgotten only with the term, and is on disk before the candidate hears "
        "of it. One server that votes twice is all that two leaders need.",
        ("RV-2", "ALL-2", "P-1"),
    ),
    "leader append-only": Property(
        _APPEND,
        "A leader never deletes or overwrites entries of its own log.",
        "Only followers are corrected. A leader that rewrote its log would break what it counted acknowledgements for.",
        ("L-2", "AE-3"),
    ),
    "log matching": Property(
        _MATCHING,
        "Logs that agree on one entry's index and term agree on everything before it.",
        "A leader makes one entry per index and term, and a follower appends only on top of an entry that matches: by "
        "induction one agreement vouches for the whole prefix. Skip the check once, and the induction is gone for "
        "good.",
        ("AE-1", "AE-2", "AE-3", "AE-4"),
    ),
    "leader completeness": Property(
        _COMPLETENESS,
        "Whoever leads a later term holds every entry that is committed.",
        "A committed entry is on a majority; a leader needs the votes of a majority; the server in both refuses "
        "candidates with an older log. The comparison is last term first, then length: a long log of an old term is "
        "not up to date.",
        ("RV-2", "L-4"),
    ),
    "state machine safety": Property(
        _MACHINE,
        "No two servers apply different commands at one index.",
        "It is what all other properties are for: if terms, votes and logs are right, whatever is applied is the same.",
        ("ALL-1", "L-4", "AE-5"),
    ),
    "committed entries never change": Property(
        _MACHINE,
        "What any server ever took for committed at an index stays there, everywhere.",
        "A follower may believe a leader's commit index only as far as the message has verified its log; what lies "
        "beyond may still be of another history.",
        ("AE-5", "AE-3", "L-4"),
    ),
    "committed on a durable quorum": Property(
        _COMPLETENESS,
        "What is committed is on the disks of a majority of the voters; while joint, of both halves.",
        "Commitment is a fact about disks, not about messages: only what a majority has durably can be found by the "
        "next election. Count too few, count learners, or count what is still in memory, and a crash takes it back.",
        ("L-4", "P-1", "L-3a"),
    ),
    "only the current term is committed": Property(
        _COMPLETENESS,
        "A leader commits by counting only entries of its own term.",
        "Figure 8: an entry of an older term can be on a majority and still be overwritten by a leader that has a "
        "newer entry elsewhere. An entry of the leader's own term on top of it ends that, since nobody without it "
        "can win.",
        ("L-4",),
    ),
    "nothing promised before it is durable": Property(
        "",
        "No message leaves that depends on what is not yet on the sender's disk.",
        _PROMISE,
        ("P-1",),
    ),
    "durability": Property(
        "",
        "What was on a server's disk is there when it starts again.",
        "Raft assumes servers that stop and come back as they were. A disk that forgets turns a crash into a lie.",
        ("P-1",),
    ),
    "applied only what is on disk": Property(
        _MACHINE,
        "A state machine is given only what its server's own disk has.",
        "Otherwise a crash leaves a state further on than the log it is said to follow from.",
        ("P-1", "ALL-1"),
    ),
    "monotone term": Property(
        _ELECTION,
        "A server's term never falls, across restarts either.",
        "Terms are Raft's clock. A server that goes back in time would vote again in a term that it has voted in.",
        ("ALL-2", "P-1"),
    ),
    "monotone commit_index": Property(
        _MACHINE,
        "commit_index never falls within a life.",
        "What is committed stays committed: only knowledge of it may lag behind, and late or repeated messages must "
        "not take it back.",
        ("AE-5", "L-4", "V-1"),
    ),
    "monotone applied_index": Property(
        _MACHINE,
        "applied_index never falls within a life.",
        "A state machine cannot undo: an older snapshot must not replace a newer state.",
        ("ALL-1", "IS-5"),
    ),
    "monotone match_index": Property(
        _COMPLETENESS,
        "What a leader knows a follower to hold never shrinks within its term.",
        "Replies come late and out of order: an old one says what was true then, not that anything was lost since.",
        ("L-3a", "RS-1"),
    ),
    "match_index is durable": Property(
        _COMPLETENESS,
        "What a leader counts on a follower for is on that follower's disk.",
        "match_index is what the follower acknowledged of what was sent, never a guess: not next_index - 1 as it is "
        "today, not the end of the leader's log. The guess is mostly right, which is what makes it dangerous.",
        ("L-3a", "VL-1"),
    ),
    "terms rise along the log": Property(
        _MATCHING,
        "Terms never fall along a log, and none is higher than the server's.",
        "Each leader appends with its own term on top of older ones.",
        ("L-2", "AE-2"),
    ),
    "order of indices": Property(
        _MACHINE,
        "purged <= snapshot <= applied <= committed <= last.",
        "Each step rests on the one before: only what is committed is applied, only what is applied is in a "
        "snapshot, only what a snapshot holds may leave the log.",
        ("ALL-1", "LC-1", "IS-5"),
    ),
    "state not ahead of the log": Property(
        _MACHINE,
        "A crash leaves the state machine no further on than the log.",
        "A machine with a storage of its own must not outrun the log's disk, or a restart finds a state without a "
        "history.",
        ("P-1", "IS-8"),
    ),
    "applied in order, once": Property(
        _MACHINE,
        "Entries are applied in the order of the log, each once.",
        "A replicated state machine is equal everywhere because all start alike and take the same steps in the same "
        "order. Once twice, or once skipped, and states part without any log showing it.",
        ("ALL-1", "V-1"),
    ),
    "identical states": Property(
        _MACHINE,
        "State machines that stand at one index are equal.",
        "Everything that answers depend on belongs to the replicated state, and to its snapshots: sessions too.",
        ("ALL-1", "IS-8"),
    ),
    "equal hashes": Property(
        _MACHINE,
        "Servers that stand at one index have one content.",
        "A snapshot is of one moment: what is in it and the index it is said to end at must be the same.",
        ("IS-5", "IS-8"),
    ),
    "configuration is the log's": Property(
        _COMPLETENESS,
        "A server acts upon the newest configuration in its log, committed or not.",
        "Who counts is decided by the log like everything else. A server that waits for the commit, or forgets what "
        "was cut off, counts majorities that others do not.",
        ("MC-1",),
    ),
    "one change at a time": Property(
        _ELECTION,
        "At most one change of members is uncommitted.",
        "One step keeps majorities overlapping; two at once need not.",
        ("MC-3", "MC-4"),
    ),
    "majorities overlap": Property(
        _ELECTION,
        "Any majority of a configuration shares a server with any majority of the one before.",
        "That server remembers. Without one in common the old and the new members can each elect and commit on their "
        "own.",
        ("MC-2", "MC-5", "NS-3"),
    ),
    "one lease holder": Property(
        "",
        "At most one server at a time may answer reads by a lease.",
        "A lease is a promise of others not to elect: it begins when the request left, not when the answer came.",
        ("LS-1", "LS-2"),
    ),
    "reads are linearizable": Property(
        "",
        "A read sees everything that had been applied when it was asked.",
        "A leader does not know that it still leads. It knows after a majority has answered something it sent after "
        "the read came; and a new leader does not know what is committed before its own first entry is.",
        ("CL-Q1", "CL-Q2", "CL-Q3", "CL-Q4", "CL-Q5"),
    ),
    "real time": Property(
        "",
        "Whoever asks after another was answered sees what the other was told.",
        "Clients compare clocks through the world, not through the log. A read needs proof that its server still "
        "leads.",
        ("CL-Q3", "CL-Q4"),
    ),
    "right answers": Property(
        "",
        "Each answer is the one that the state machine gives at that place of the log.",
        "A request that is sent again is the same request: it acts once, and is answered as the first time.",
    ),
    "exactly once": Property(
        "",
        "A command acts once, however often it was proposed.",
        "A client that hears nothing must ask again, and cannot know whether it is for the first time. So commands "
        "have names, and the state machine remembers those it has seen.",
    ),
    "no call raises": Property(
        "",
        "Nothing that can come in brings a core to a state that cannot be.",
        "A check left out is rarely wrong at once: it lets in what a later step cannot make sense of.",
    ),
    "invariant": Property(
        "",
        "What a core takes for granted of its own state is true.",
        "A check left out is rarely wrong at once: it lets in what a later step cannot make sense of.",
    ),
    "goes on": Property(
        "",
        "A server goes on, or says that its disk is damaged, in words.",
        "What a crash leaves on the disk is the first thing that the next life reads: every order of writes that a "
        "power loss may leave behind has to be one that a start understands.",
        ("P-1",),
    ),
    "limits hold": Property(
        "", "Whatever can grow has a limit.", "A queue without bound is a crash that waits for load."
    ),
    "leader in time": Property("", "Healthy servers elect a leader within a few timeouts.", _LIVE, ("F-2", "C-1c")),
    "leader after healing": Property("", "Once all works there is a leader soon.", _LIVE, ("F-2", "ALL-2")),
    "laggards catch up": Property(
        "",
        "Once all works every member has what its leader has.",
        "Whatever a follower lacks must be sent again until it says that it has it: by entries as long as the leader "
        "has them, by its snapshot after that.",
        ("L-3", "L-3b", "IS-0"),
    ),
    "leadership settles": Property(
        "",
        "With everything in order a leader stays, and nothing is sent but heartbeats.",
        "Silence makes followers campaign, and anybody's higher term deposes a leader: peace needs heartbeats that are "
        "answered, and servers that do not campaign while they hear one.",
        ("L-1", "PV-1", "CQ-2"),
    ),
    "every request is answered": Property(
        "",
        "Every client gets an answer, though it be that nobody knows.",
        "Who waits must be woken by whatever ends the waiting: the entry applied, another entry in its place, a "
        "leader lost.",
    ),
    "requests are answered promptly": Property(
        "",
        "Who asked before the healing is answered soon after it.",
        "A waiter belongs to an entry and a term: when its leader is deposed somebody must tell it.",
    ),
    "no busy loop": Property(
        "",
        "Time goes on: no event causes itself at once.",
        "A deadline that is due must be moved on by what it causes.",
    ),
    **{name: Property("", *told) for name, told in PROGRESS.items()},
}
"""By the name that violations give."""

_OTHER: Final = Property(
    "",
    "",
    "The rules promise it once everything works. What is missing is found by asking what should have happened next, "
    "and which guard kept it from happening.",
)


def property_of(name: str) -> Property:
    """What is known of a property; of one without a text, what holds for all."""
    return PROPERTIES.get(name, _OTHER)
