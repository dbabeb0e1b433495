"""Flow control, backtracking, transfer and leases, left out or bent."""

from oarlock.zoo.mutant import Edit, Mutant

FLOW = (
    Mutant(
        id="uncommitted-without-bound",
        breaks=("FC-1",),
        bug="A leader without a quorum takes proposals for ever.",
        harm="bound",
        edits=(
            Edit(
                "raft.replication", "    if leader.uncommitted_bytes and ", "    if leader.uncommitted_bytes < 0 and "
            ),
        ),
        source="etcd issue 10167",
    ),
    Mutant(
        id="bound-forgotten-with-the-term",
        breaks=("FC-1",),
        bug="A new leader does not count the uncommitted entries it inherited.",
        harm="bound",
        edits=(Edit("raft.roles", "leader.uncommitted_bytes = sum(", "leader.uncommitted_bytes = 0 * sum("),),
        source="etcd-io/raft issue 11",
    ),
    Mutant(
        id="window-without-bound",
        breaks=("FC-2",),
        bug="Messages are sent ahead without waiting for any answer.",
        harm="bound",
        edits=(
            Edit(
                "raft.progress",
                "            if self.inflight.is_full:\n                return False\n",
                "            if self.inflight.bytes < 0:\n                return False\n",
            ),
        ),
    ),
    Mutant(
        id="message-without-bound",
        breaks=("FC-3",),
        bug="All that a follower lacks goes into one message.",
        harm="bound",
        edits=(Edit("raft.log", "if count and size + entry_size > max_bytes:", "if count and max_bytes < 0:"),),
    ),
    Mutant(
        id="awaited-news-is-not-sent",
        breaks=("FC-5", "AE-5"),
        bug="News of commitment waits for the next heartbeat, also where the follower has a request that awaits it.",
        harm="liveness",
        edits=(
            Edit(
                "raft.progress",
                "            return (all_news or self.sent_commit < self.awaited_index) and (",
                "            return all_news and (",
            ),
        ),
    ),
    Mutant(
        id="lost-entries-are-not-sent-again",
        breaks=("L-3",),
        bug="Entries that were sent ahead and lost are not sent again: progress is never taken back.",
        harm="liveness",
        edits=(
            Edit(
                "raft.replication",
                "                # It answers, but not to what was sent that long ago: that was lost.\n"
                "                progress.become_probe()\n",
                "                progress.probe_outstanding = False\n",
            ),
        ),
    ),
    Mutant(
        id="lost-probe-is-not-sent-again",
        breaks=("L-3",),
        bug="A probe that was lost is waited for without end.",
        harm="liveness",
        edits=(
            Edit(
                "raft.replication",
                "            # It answers heartbeats, but not the probe: that was lost.\n"
                "            progress.probe_outstanding = False\n",
                "            progress.probe_sent_at = state.now\n",
            ),
        ),
    ),
    Mutant(
        id="no-no-op",
        breaks=("NO-1",),
        bug="A new leader waits for a client before it can commit what it inherited.",
        harm="liveness",
        edits=(
            Edit(
                "raft.roles",
                'state.append_to_log([Entry(state.log.last_index + 1, state.current_term, EntryKind.NOOP, b"")])',
                "state.append_to_log([])",
            ),
        ),
    ),
    Mutant(
        id="steps-back-one-by-one",
        breaks=("BT-2", "G20"),
        bug="After a mismatch next_index is lowered by one, whatever the hint says.",
        harm="liveness",
        edits=(
            Edit(
                "raft.replication",
                "    next_index = min(next_index, message.prev_log_index)\n",
                "    next_index = message.prev_log_index\n",
            ),
        ),
    ),
    Mutant(
        id="hint-names-no-term",
        breaks=("BT-1", "G20"),
        bug="A refusal names the entry itself instead of the first of its term.",
        harm="liveness",
        edits=(
            Edit(
                "raft.append_entries",
                "conflict_index = log.first_index_of_term_at(message.prev_log_index)",
                "conflict_index = message.prev_log_index",
            ),
        ),
    ),
    Mutant(
        id="hint-of-a-short-log-is-too-high",
        breaks=("BT-1", "G20"),
        bug="A log that is too short does not say how long it is.",
        harm="liveness",
        edits=(
            Edit(
                "raft.append_entries",
                "conflict_term, conflict_index = 0, log.last_index + 1",
                "conflict_term, conflict_index = 0, message.prev_log_index",
            ),
        ),
    ),
)

TRANSFER = (
    Mutant(
        id="takes-commands-while-handing-over",
        breaks=("LT-1",),
        bug="A leader that hands over takes commands all the time, so that its successor's log is never complete.",
        harm="liveness",
        edits=(
            Edit(
                "raft.replication",
                "    if leader.transfer_to is not None:\n        raise NotLeader(leader.transfer_to)\n",
                "",
            ),
        ),
    ),
    Mutant(
        id="hands-over-too-early",
        breaks=("LT-2",),
        bug="The successor is told to campaign before its log is complete, and cannot win.",
        harm="liveness",
        edits=(
            Edit(
                "raft.state",
                "progress.counts and progress.match_index == self.log.last_index",
                "progress.counts",
            ),
        ),
    ),
    Mutant(
        id="hands-over-once-or-never",
        breaks=("LT-2",),
        bug="A successor whose log is not complete yet when the transfer begins is never told to campaign.",
        harm="liveness",
        edits=(
            Edit(
                "raft.replication",
                "    if message.source == leader.transfer_to:\n        continue_transfer(state)\n",
                "",
            ),
        ),
    ),
    Mutant(
        id="appends-behind-timeout-now",
        breaks=("LT-5",),
        bug="A leader names a disk in its log when its successor may campaign already, who cannot win then.",
        harm="liveness",
        edits=(
            Edit(
                "raft.disks",
                "if is_to_be_named and (successor := state.told_successor) is not None:",
                "if (successor := None) is not None:",
            ),
        ),
    ),
    Mutant(
        id="leaves-joint-behind-timeout-now",
        breaks=("LT-5",),
        bug="A leader leaves joint consensus when its successor may campaign already, who cannot win then.",
        harm="liveness",
        edits=(
            Edit(
                "raft.membership",
                "if (successor := state.told_successor) is not None:",
                "if (successor := None) is not None:",
            ),
        ),
    ),
    Mutant(
        id="stays-joint-after-a-transfer",
        breaks=("LT-5",),
        bug="What waits for the end of a transfer is forgotten when that is given up: a change of members never ends.",
        harm="liveness",
        edits=(
            Edit(
                "raft.replication",
                "    if give_up_late_transfer(state, leader):\n        follow_commit(state)\n",
                "    give_up_late_transfer(state, leader)\n",
            ),
        ),
    ),
    Mutant(
        id="successor-is-refused",
        breaks=("LT-3",),
        bug="The successor's campaign does not say that the leader wants it, and is ignored.",
        harm="liveness",
        edits=(Edit("raft.transfer", "    campaign(state, disrupt_leader=True)", "    campaign(state)"),),
    ),
    Mutant(
        id="hands-over-for-ever",
        breaks=("LT-4",),
        bug="A transfer to a server that is gone is never given up, and commands are refused.",
        harm="liveness",
        edits=(
            Edit(
                "raft.transfer",
                "    leader.transfer_to = None\n",
                "    leader.transfer_deadline = state.now + state.config.election_timeout\n",
            ),
        ),
    ),
    Mutant(
        id="lease-outlives-the-promise",
        breaks=("LS-1",),
        bug="A lease lasts longer than voters refuse another leader.",
        harm="safety",
        edits=(Edit("raft.reads", "(1 - state.config.max_clock_drift)", "(3 - state.config.max_clock_drift)"),),
    ),
    Mutant(
        id="lease-from-the-answer-on",
        breaks=("LS-1",),
        bug="A lease is counted from when the answer came, not from when the question left.",
        harm="safety",
        edits=(Edit("raft.reads", "leader.lease_until = left_at + ", "leader.lease_until = state.now + "),),
    ),
    Mutant(
        id="lease-kept-after-timeout-now",
        breaks=("LS-2",),
        bug="A leader that asked another to campaign still answers reads by its lease.",
        harm="safety",
        edits=(Edit("raft.transfer", '    leader.lease_until = float("-inf")\n', ""),),
        source="etcd issue 12704",
    ),
    Mutant(
        id="lease-renewed-after-timeout-now",
        breaks=("LS-2",),
        bug="A leader that asked another to campaign renews its lease.",
        harm="safety",
        edits=(Edit("raft.reads", "        if leader.transfer_deadline:", "        if leader.transfer_deadline < 0:"),),
        source="etcd issue 12704",
    ),
    Mutant(
        id="forgets-the-promise-too",
        breaks=("FL-1",),
        bug="A follower that is told to forget its leader votes at once, though the leader reads by a lease.",
        harm="safety",
        edits=(Edit("raft.roles", "max(state.promised_until, promised_until)", "state.promised_until"),),
    ),
)

FLOW_AND_TRANSFER = (*FLOW, *TRANSFER)
"""Mutants of the rules on flow, transfer and leases."""
