"""Reads, pre-vote, check-quorum, flow control, transfer and leases: what practice added, left out or bent."""

from oarlock.zoo.mutant import Edit, Mutant

_LIVE_LEADER = "        and (is_own_leader or not state.has_live_leader)\n"
_OUTGOING_VOTES = (
    "    if configuration.voters_outgoing:\n        results.add(_vote(configuration.voters_outgoing, votes))\n"
)

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
                "elif state.config.lease_reads and state.now < leader.lease_until:",
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
                "raft.transfer",
                "to in leader.peers and leader.peers[to].match_index == state.log.last_index:",
                "to in leader.peers:",
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
                "    if message.source == leader.transfer_to:\n        continue_transfer(state, leader)\n",
                "",
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
                "        leader.transfer_to = None\n",
                "        leader.transfer_deadline = state.now + state.config.election_timeout\n",
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
)

MEMBERSHIP = (
    Mutant(
        id="members-change-when-committed",
        breaks=("MC-1",),
        bug="A configuration counts from when it is known to be committed, not from when it is in the log.",
        harm="safety",
        edits=(
            Edit(
                "raft.state",
                "        return self._configurations[-1][1]\n",
                "        return self.configuration_at(max(self.commit_index, self.log.base_index))\n",
            ),
        ),
        source="etcd issues 11284, 7625",
    ),
    Mutant(
        id="truncated-members-stay",
        breaks=("MC-1", "AE-3"),
        bug="A configuration outlives the truncation of its entry.",
        harm="safety",
        edits=(
            Edit(
                "raft.state",
                "        while self._configurations[-1][0] >= index:\n            self._configurations.pop()\n",
                "",
            ),
        ),
    ),
    Mutant(
        id="restart-forgets-members",
        breaks=("MC-1",),
        bug="A restarted server knows the members of its base, and not those in its log.",
        harm="safety",
        edits=(
            Edit(
                "raft.state", "        self._track_configurations(log.slice(log.base_index + 1, log.last_index))\n", ""
            ),
        ),
    ),
    Mutant(
        id="joint-commit-by-one-half",
        breaks=("MC-2",),
        bug="While joint, the new half alone commits.",
        harm="safety",
        edits=(
            Edit(
                "raft.quorum",
                "    if configuration.voters_outgoing:\n        agreed = min(",
                "    if configuration.voters_outgoing and not configuration.voters:\n        agreed = min(",
            ),
        ),
    ),
    Mutant(
        id="joint-election-by-one-half",
        breaks=("MC-2",),
        bug="While joint, the new half alone elects.",
        harm="safety",
        edits=(Edit("raft.quorum", _OUTGOING_VOTES, ""),),
    ),
    Mutant(
        id="changes-members-at-once",
        breaks=("MC-3",),
        bug="A new leader changes members before it has committed anything in its term.",
        harm="safety",
        edits=(
            Edit(
                "raft.membership",
                "    if state.log.term(state.commit_index) != state.current_term:",
                "    if state.log.term(state.commit_index) is None:",
            ),
        ),
        source="raft-dev, single-server changes (2015)",
    ),
    Mutant(
        id="changes-overlap",
        breaks=("MC-4",),
        bug="A change of members begins while another is under way.",
        harm="safety",
        edits=(
            Edit(
                "raft.membership",
                "    if state.configuration_index > state.commit_index or current.is_joint:",
                "    if current.is_joint:",
            ),
        ),
    ),
    Mutant(
        id="two-at-a-time",
        breaks=("MC-5",),
        bug="Two voters are changed at a time without joint consensus.",
        harm="safety",
        edits=(
            Edit(
                "raft.membership",
                "if len(current.voters ^ target.voters) > 1:",
                "if len(current.voters ^ target.voters) > 2:",
            ),
        ),
    ),
    Mutant(
        id="stuck-in-joint",
        breaks=("MC-6",),
        bug="Nobody leaves joint consensus.",
        harm="liveness",
        edits=(
            Edit(
                "raft.membership",
                "        _append(state, msgspec.structs.replace(state.configuration, voters_outgoing=frozenset()))\n",
                "        return\n",
            ),
        ),
        source="etcd issue 12136",
    ),
    Mutant(
        id="leaves-joint-too-early",
        breaks=("MC-6", "MC-4"),
        bug="Joint consensus is left before it is committed.",
        harm="safety",
        edits=(
            Edit(
                "raft.membership",
                "    if state.configuration_index <= state.commit_index and state.configuration.is_joint:",
                "    if state.configuration.is_joint:",
            ),
        ),
    ),
    Mutant(
        id="removed-leader-stays",
        breaks=("MC-7",),
        bug="A leader that was removed goes on leading.",
        harm="liveness",
        edits=(
            Edit(
                "raft.membership",
                "        hand_over(state, best)\n    become_follower(state, state.current_term, None)\n",
                "        return\n",
            ),
        ),
        source="etcd issue 11038",
    ),
    Mutant(
        id="non-voters-campaign",
        breaks=("MC-8",),
        bug="Learners and removed servers campaign.",
        harm="liveness",
        edits=(
            Edit(
                "raft.request_vote",
                "    if not state.is_voter and state.configuration_index <= state.commit_index:",
                "    if not state.is_voter and state.commit_index < 0:",
            ),
        ),
        source="etcd issue 9241",
    ),
    Mutant(
        id="removed-is-not-told",
        breaks=("MC-9",),
        bug="A removed server is sent nothing from the moment its removal is in the leader's log.",
        harm="liveness",
        edits=(
            Edit(
                "raft.replication",
                "        if knows or state.now - progress.leaving_since > 2 * state.config.election_timeout:",
                "        if knows or state.now >= progress.leaving_since:",
            ),
        ),
    ),
)

NEW_DISKS = (
    Mutant(
        id="votes-on-a-new-disk",
        breaks=("NS-1",),
        bug="A server whose disk was replaced votes as if it had never acknowledged anything.",
        harm="safety",
        edits=(
            Edit(
                "raft.request_vote",
                "if state.is_new and last_log_index > 0:",
                "if state.is_new and last_log_index < 0:",
            ),
        ),
    ),
    Mutant(
        id="new-for-ever",
        breaks=("NS-2",),
        bug="A server on a new disk never counts again.",
        harm="liveness",
        edits=(Edit("raft.append_entries", "        state.is_new = False\n", "        state.is_new = True\n"),),
    ),
    Mutant(
        id="lost-data-is-a-late-reply",
        breaks=("DL-1",),
        bug="A follower that lost what it acknowledged is taken for one whose refusal comes late, and not served.",
        harm="liveness",
        edits=(
            Edit(
                "raft.replication",
                "message.request_id > progress.known_at_request_id:",
                "message.request_id < 0:",
            ),
        ),
    ),
)

EXTENSIONS = (*READS, *PRE_VOTE, *CHECK_QUORUM, *FLOW, *TRANSFER, *MEMBERSHIP, *NEW_DISKS)
"""Mutants of the rules that are not in the paper's figures."""
