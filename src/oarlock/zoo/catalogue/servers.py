"""Figure 2's Rules for Servers, left out or bent."""

from oarlock.zoo.mutant import Edit, Mutant

_RESET = "    if granted:\n        state.voted_for = message.source\n        state.reset_election_timer()\n"

_LOOK = "            self._look_over_term(message)\n"

_LAST_HANDLER = "                on_install_snapshot_reply(state, state.leader, message)\n"

ALL_SERVERS = (
    Mutant(
        id="hands-out-twice",
        breaks=("ALL-1", "G12"),
        bug="Committed entries are handed to the applier again with the next ones.",
        harm="safety",
        edits=(Edit("raft.raft", "        state.handed_to_apply = last\n", ""),),
    ),
    Mutant(
        id="term-adopted-afterwards",
        breaks=("ALL-2", "G4"),
        bug="A message is handled first, and its higher term adopted after.",
        harm="safety",
        edits=(
            Edit("raft.raft", _LOOK + "            if message.term <", "            if message.term <"),
            Edit("raft.raft", _LAST_HANDLER, _LAST_HANDLER + _LOOK),
        ),
    ),
    Mutant(
        id="vote-outlives-its-term",
        breaks=("ALL-2",),
        bug="A higher term is adopted, and the vote of the old one kept.",
        harm="liveness",
        edits=(
            Edit(
                "raft.roles",
                "        state.current_term = term\n        state.voted_for = None\n",
                "        state.current_term = term\n",
            ),
        ),
    ),
    Mutant(
        id="stepping-down-clears-the-vote",
        breaks=("ALL-2", "B1"),
        bug="A server that steps down within a term forgets whom it voted for in it.",
        harm="safety",
        edits=(
            Edit(
                "raft.roles",
                "        state.current_term = term\n        state.voted_for = None\n",
                "        state.current_term = term\n    state.voted_for = None\n",
            ),
        ),
        source="CCF issue 8094",
    ),
    Mutant(
        id="replies-teach-no-term",
        breaks=("ALL-2",),
        bug="A higher term in a reply is not adopted.",
        harm="liveness",
        edits=(
            Edit(
                "raft.raft",
                "        if message.term <= state.current_term:\n            return\n",
                "        if message.term <= state.current_term or isinstance(message, _REPLIES):\n            return\n",
            ),
        ),
    ),
)

FOLLOWERS_AND_CANDIDATES = (
    Mutant(
        id="heartbeats-are-not-answered",
        breaks=("F-1",),
        bug="A follower answers an AppendEntries only where entries come with it.",
        harm="liveness",
        edits=(
            Edit(
                "raft.append_entries",
                "    _accept(state, message, last_new_index)",
                "    if message.entries:\n        _accept(state, message, last_new_index)",
            ),
        ),
    ),
    Mutant(
        id="refused-vote-resets-timer",
        breaks=("F-2", "G1"),
        bug="Any RequestVote resets the election timer, granted or not.",
        harm="liveness",
        edits=(Edit("raft.request_vote", _RESET, "    state.reset_election_timer()\n" + _RESET),),
    ),
    Mutant(
        id="newer-term-resets-timer",
        breaks=("F-2", "G1"),
        bug="Learning of a newer term resets the election timer, whoever brings it.",
        harm="liveness",
        edits=(
            Edit(
                "raft.roles",
                "    if deposed is not None:\n        state.reset_election_timer()\n",
                "    state.reset_election_timer()\n    if deposed is not None:\n",
            ),
        ),
    ),
    Mutant(
        id="trusts-a-leader-for-ever",
        breaks=("F-2",),
        bug="A follower that knows a leader never campaigns.",
        harm="liveness",
        edits=(
            Edit(
                "raft.request_vote",
                "state.snapshot_to_install is not None",
                "state.leader_id is not None",
            ),
        ),
    ),
    Mutant(
        id="one-timeout-for-all",
        breaks=("F-2", "B2"),
        bug="Election timeouts are not randomised.",
        harm="liveness",
        edits=(
            Edit(
                "raft.state",
                "self.config.election_timeout * (1 + self.rng.random())",
                "self.config.election_timeout * 1.5",
            ),
        ),
    ),
    Mutant(
        id="campaigns-as-a-leader",
        breaks=("C-1", "C-1a"),
        bug="A campaign that failed is begun again in the same term.",
        harm="safety",
        edits=(
            Edit("raft.roles", "    state.current_term += 1\n", "    state.current_term += state.voted_for is None\n"),
        ),
    ),
    Mutant(
        id="votes-for-nobody",
        breaks=("C-1b",),
        bug="A candidate counts its own vote without recording it, and gives another one away.",
        harm="safety",
        edits=(Edit("raft.roles", "    state.voted_for = state.server_id\n", "    state.voted_for = None\n"),),
    ),
    Mutant(
        id="campaign-leaves-timer-alone",
        breaks=("C-1c", "B4"),
        bug="A campaign does not reset the election timer, so it is begun again at once, and again.",
        harm="liveness",
        edits=(
            Edit(
                "raft.roles",
                '    state.reset_election_timer()\n    state.fire("C-1c"',
                '    state.fire("C-1c"',
            ),
        ),
    ),
    Mutant(
        id="asks-only-one",
        breaks=("C-1d",),
        bug="A candidate asks only one other server for its vote.",
        harm="liveness",
        edits=(
            Edit(
                "raft.request_vote",
                '    for peer in state.others:\n        state.fire("C-1d", peer)',
                '    for peer in state.others[:1]:\n        state.fire("C-1d", peer)',
            ),
        ),
    ),
    Mutant(
        id="half-is-a-majority",
        breaks=("C-2", "L-4"),
        bug="Of an even number of voters half is taken for a majority.",
        harm="safety",
        edits=(Edit("raft.quorum", "return voters // 2 + 1", "return (voters + 1) // 2"),),
    ),
    Mutant(
        id="refusals-count-as-votes",
        breaks=("C-2",),
        bug="A candidate counts every answer as a vote.",
        harm="safety",
        edits=(
            Edit(
                "raft.request_vote",
                "_count_vote(state, candidate, message.source, message.disk_id, granted=message.vote_granted)",
                "_count_vote(state, candidate, message.source, message.disk_id, granted=True)",
            ),
        ),
    ),
    Mutant(
        id="old-votes-count",
        breaks=("C-2", "RS-1", "G18", "K6"),
        bug="A vote counts in whatever campaign it arrives.",
        harm="safety",
        edits=(
            Edit(
                "raft.raft",
                "if message.term < state.current_term and isinstance(message, _REPLIES):",
                "if message.term < state.current_term and isinstance(message, AppendEntriesReply):",
            ),
            Edit("raft.request_vote", " or message.request_id != candidate.request_id:", ":"),
        ),
    ),
    Mutant(
        id="candidate-follows-nobody",
        breaks=("C-3",),
        bug="A candidate refuses the entries and snapshots of the leader that its own term has elected.",
        harm="liveness",
        edits=(
            Edit(
                "raft.append_entries",
                "    if message.term < state.current_term:",
                "    if message.term < state.current_term or state.role is Role.CANDIDATE:",
            ),
            Edit(
                "raft.install_snapshot",
                "    if message.term < state.current_term:",
                "    if message.term < state.current_term or state.role is Role.CANDIDATE:",
            ),
        ),
    ),
    Mutant(
        id="candidate-waits-for-ever",
        breaks=("C-4", "G3"),
        bug="A candidate whose election has no result starts no new one.",
        harm="liveness",
        edits=(
            Edit(
                "raft.request_vote",
                "state.snapshot_to_install is not None",
                "state.role is Role.CANDIDATE",
            ),
        ),
    ),
)

LEADERS = (
    Mutant(
        id="no-idle-heartbeats",
        breaks=("L-1",),
        bug="A leader with nothing to send sends nothing.",
        harm="liveness",
        edits=(
            Edit(
                "raft.replication",
                "heartbeat_interval:\n        leader.heartbeat_due = True",
                "heartbeat_interval:\n        leader.last_heartbeat = state.now",
            ),
        ),
    ),
    Mutant(
        id="entries-wait-for-the-heartbeat",
        breaks=("L-1", "L-3", "G13", "B3"),
        bug="What is new is sent with the next heartbeat, a new leader's first message too.",
        harm="liveness",
        edits=(
            Edit("raft.state", "self.heartbeat_due = True", "self.heartbeat_due = False"),
            Edit(
                "raft.replication",
                "        _send_entries(state, leader, peer, progress)\n    if",
                "        if leader.heartbeat_due:\n            _send_entries(state, leader, peer, progress)\n    if",
            ),
        ),
    ),
    Mutant(
        id="commits-when-it-appends",
        breaks=("L-2", "G23"),
        bug="A leader takes a command for done when it is in its own log.",
        harm="safety",
        edits=(
            Edit(
                "raft.replication",
                "    state.append_to_log(entries)\n",
                "    state.append_to_log(entries)\n    state.commit_to(state.log.last_index)\n",
            ),
        ),
    ),
    Mutant(
        id="skips-an-entry",
        breaks=("L-3",),
        bug="Entries are sent from next_index + 1 on.",
        harm="liveness",
        edits=(
            Edit(
                "raft.replication",
                "log.batch(progress.next_index, state.config.max_message_bytes)",
                "log.batch(progress.next_index + 1, state.config.max_message_bytes)",
            ),
        ),
    ),
    Mutant(
        id="match-from-todays-next",
        breaks=("L-3a", "G17"),
        bug="On success match_index becomes today's next_index - 1, not what the request held.",
        harm="safety",
        edits=(
            Edit(
                "raft.replication",
                "progress.raise_match(message.match_index",
                "progress.raise_match(progress.next_index - 1",
            ),
        ),
    ),
    Mutant(
        id="match-from-the-log's-end",
        breaks=("L-3a", "G17"),
        bug="On success match_index becomes the leader's last index.",
        harm="safety",
        edits=(
            Edit(
                "raft.replication",
                "progress.raise_match(message.match_index",
                "progress.raise_match(state.log.last_index",
            ),
        ),
    ),
    Mutant(
        id="match-index-falls",
        breaks=("L-3a", "RS-1", "G19"),
        bug="A late answer lowers match_index.",
        harm="safety",
        edits=(
            Edit(
                "raft.progress", "        is_news = match_index > self.match_index", "        is_news = match_index > 0"
            ),
        ),
    ),
    Mutant(
        id="retries-the-same",
        breaks=("L-3b",),
        bug="After a mismatch the same AppendEntries is sent again.",
        harm="liveness",
        edits=(
            Edit("raft.replication", "    progress.lower_next(next_index)", "    progress.probe_outstanding = False"),
        ),
    ),
    Mutant(
        id="counts-older-terms",
        breaks=("L-4", "G15"),
        bug="Entries of older terms are committed by counting replicas: Figure 8.",
        harm="safety",
        edits=(
            Edit(
                "raft.replication",
                "if index <= state.commit_index or state.log.term(index) != state.current_term:",
                "if index <= state.commit_index:",
            ),
        ),
    ),
    Mutant(
        id="one-copy-commits",
        breaks=("L-4",),
        bug="An entry commits as soon as any voter has it.",
        harm="safety",
        edits=(Edit("raft.quorum", "return values[majority(len(voters)) - 1]", "return values[0]"),),
    ),
    Mutant(
        id="learners-count",
        breaks=("L-4",),
        bug="Learners count for commitment.",
        harm="safety",
        edits=(
            Edit(
                "raft.quorum",
                "agreed = _agreed(configuration.voters, value_of)",
                "agreed = _agreed(configuration.voters | configuration.learners, value_of)",
            ),
        ),
    ),
    Mutant(
        id="old-acknowledgements-count",
        breaks=("RS-1", "G14", "G18"),
        bug="Answers to AppendEntries of an earlier term count in this one.",
        harm="safety",
        edits=(
            Edit(
                "raft.raft",
                "if message.term < state.current_term and isinstance(message, _REPLIES):",
                "if message.term < state.current_term and isinstance(message, RequestVoteReply | PreVoteReply):",
            ),
            Edit(
                "raft.replication",
                "if not leader.first_request_id < message.request_id <= state.request_counter:",
                "if message.request_id > state.request_counter:",
            ),
        ),
        source="openraft cecb5de8",
    ),
)

SERVERS = (*ALL_SERVERS, *FOLLOWERS_AND_CANDIDATES, *LEADERS)
"""Mutants of the Rules for Servers."""
