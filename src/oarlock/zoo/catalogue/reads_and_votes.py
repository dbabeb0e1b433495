"""Reads, pre-vote and check-quorum: what practice added, left out or bent."""

from oarlock.zoo.mutant import Edit, Mutant

_LIVE_LEADER = "        and (is_own_leader or not state.has_live_leader)\n"

READS = (
    Mutant(
        id="reads-where-it-is",
        breaks=("CL-Q1", "RI-1", "G24"),
        bug="A follower answers a read from what it knows to be committed.",
        harm="safety",
        edits=(
            Edit(
                "raft.reads",
                '    state.fire("CL-Q1", state.leader_id)\n    if state.leader_id is None:\n',
                "    if state.leader_id is not None:\n"
                "        _release_when_applied(state, ReadState(context, state.commit_index))\n"
                "        return\n"
                "    if state.leader_id is None:\n",
            ),
        ),
    ),
    Mutant(
        id="reads-before-its-no-op",
        breaks=("CL-Q2",),
        bug="A new leader answers reads at the commit_index that it inherited.",
        harm="safety",
        edits=(
            Edit(
                "raft.reads",
                "elif state.log.term(state.commit_index) != state.current_term:",
                "elif state.log.term(state.commit_index) is None:",
            ),
        ),
        source="etcd issue 7331",
    ),
    Mutant(
        id="reads-at-what-is-applied",
        breaks=("CL-Q3",),
        bug="The read index is what the leader has applied, less than what is committed.",
        harm="safety",
        edits=(
            Edit(
                "raft.reads",
                "    read.read_index = state.commit_index\n    read.confirmed_by",
                "    read.read_index = state.last_applied\n    read.confirmed_by",
            ),
        ),
    ),
    Mutant(
        id="leader-believes-itself",
        breaks=("CL-Q4", "LS-1", "G24"),
        bug="A leader answers reads without asking whether it still leads.",
        harm="safety",
        edits=(
            Edit(
                "raft.reads",
                "elif read.may_use_lease and state.config.lease_reads and state.now < leader.lease_until:",
                "elif state.now < float('inf'):",
            ),
        ),
    ),
    Mutant(
        id="read-does-not-wait",
        breaks=("CL-Q5",),
        bug="A confirmed read runs before its index is applied.",
        harm="safety",
        edits=(
            Edit(
                "raft.reads",
                "if read.read_index is not None and read.read_index <= state.last_applied:",
                "if read.read_index is not None:",
            ),
        ),
    ),
    Mutant(
        id="old-acknowledgement-confirms-read",
        breaks=("RI-2", "CL-Q4"),
        bug="Any answer of this term confirms a read, also one to a request that left before the read came.",
        harm="safety",
        edits=(
            Edit(
                "raft.reads",
                "read.confirmed_by = state.next_request_id()",
                "read.confirmed_by = leader.first_request_id + 1",
            ),
        ),
        source="etcd issue 20418",
    ),
    Mutant(
        id="refused-read-is-answered",
        breaks=("RI-1",),
        bug="A follower whose read the leader refuses is told an index all the same.",
        harm="safety",
        edits=(
            Edit(
                "raft.reads",
                "state.current_term, message.request_id, message.context, 0)",
                "state.current_term, message.request_id, message.context, state.commit_index)",
            ),
        ),
    ),
    Mutant(
        id="forwarded-read-gets-no-answer",
        breaks=("RI-1",),
        bug="A leader confirms a follower's read, and does not tell.",
        harm="liveness",
        edits=(
            Edit(
                "raft.reads",
                "        state.send_when_true(read.source, reply)",
                "        state.send_when_true(state.server_id, reply)",
            ),
        ),
    ),
    Mutant(
        id="reads-without-bound",
        breaks=("FC-4",),
        bug="A leader that cannot confirm reads keeps taking them.",
        harm="bound",
        edits=(
            Edit(
                "raft.reads",
                "if len(leader.reads) + len(leader.reads_before_commit) >= state.config.max_pending_reads:",
                "if state.config.max_pending_reads < 0:",
            ),
        ),
    ),
)

PRE_VOTE = (
    Mutant(
        id="asking-costs-a-term",
        breaks=("PV-1",),
        bug="A pre-vote raises the asker's term.",
        harm="liveness",
        edits=(
            Edit(
                "raft.request_vote",
                "    candidate = become_pre_candidate(state)\n",
                "    candidate = become_pre_candidate(state)\n"
                "    state.current_term += 1\n    state.voted_for = None\n",
            ),
        ),
    ),
    Mutant(
        id="pre-vote-against-a-live-leader",
        breaks=("PV-2",),
        bug="A pre-vote is granted although a leader was just heard.",
        harm="liveness",
        edits=(Edit("raft.request_vote", _LIVE_LEADER, ""),),
        source="etcd issue 9241",
    ),
    Mutant(
        id="pre-vote-for-any-log",
        breaks=("PV-2",),
        bug="A pre-vote is granted to a server that could not win.",
        harm="liveness",
        edits=(
            Edit(
                "raft.request_vote",
                "        and state.log.is_up_to_date(message.last_log_index, message.last_log_term)\n        and",
                "        and",
            ),
        ),
    ),
    Mutant(
        id="campaigns-without-asking",
        breaks=("PV-3",),
        bug="The campaign begins without waiting for a majority of pre-votes.",
        harm="liveness",
        edits=(Edit("raft.request_vote", "    if state.config.pre_vote:", "    if state.config.pre_vote < 0:"),),
    ),
    Mutant(
        id="own-leader-is-refused",
        breaks=("PV-4",),
        bug="A leader that lost touch, or restarted, is refused the pre-vote because it was just heard itself.",
        harm="liveness",
        edits=(Edit("raft.request_vote", _LIVE_LEADER, "        and not state.has_live_leader\n"),),
        source="hashicorp/raft issue 606",
    ),
    Mutant(
        id="lower-term-is-not-answered",
        breaks=("PV-5",),
        bug="A pre-vote of a lower term is ignored, so its sender never learns the newer one.",
        harm="liveness",
        edits=(
            Edit(
                "raft.request_vote",
                'state.fire("PV-5", message.term, state.current_term)\n',
                'state.fire("PV-5", message.term, state.current_term)\n        return\n',
            ),
        ),
        source="etcd issues 8501, 8243",
    ),
)

CHECK_QUORUM = (
    Mutant(
        id="leads-without-a-majority",
        breaks=("CQ-1",),
        bug="A leader that hears nobody goes on, and its heartbeats keep others from leading.",
        harm="liveness",
        edits=(
            Edit(
                "raft.replication",
                'state.fire("CQ-1", len(heard))\n        become_follower(state, state.current_term, None)\n',
                'state.fire("CQ-1", len(heard))\n',
            ),
        ),
    ),
    Mutant(
        id="anybody-deposes",
        breaks=("CQ-2", "LS-1"),
        bug="A RequestVote of a higher term is heeded although a leader is alive.",
        harm="safety",
        edits=(
            Edit(
                "raft.raft",
                "            and state.has_live_leader\n",
                "            and message.term < 0\n",
            ),
        ),
        source="etcd issue 9241",
    ),
    Mutant(
        id="stale-leader-is-not-told",
        breaks=("CQ-3", "AE-1"),
        bug="A leader of an older term gets no answer, so neither it nor the server that ignores it comes back.",
        harm="liveness",
        edits=(
            Edit(
                "raft.append_entries",
                '        state.fire("CQ-3", message.source, message.term)\n        _refuse(state, message)\n',
                "",
            ),
        ),
        source="etcd issues 8501, 8243",
    ),
    Mutant(
        id="leads-on-a-stalled-disk",
        breaks=("CQ-4",),
        bug="A leader whose disk stalls goes on sending heartbeats.",
        harm="liveness",
        edits=(
            Edit(
                "raft.state",
                "        if not self.disk_writes:\n            return math.inf\n",
                "        if self.config.election_timeout:\n            return math.inf\n",
            ),
        ),
        source="hashicorp/raft issues 503, 683",
    ),
)

READS_AND_VOTES = (*READS, *PRE_VOTE, *CHECK_QUORUM)
"""Mutants of the rules on reads, pre-vote and check-quorum."""
