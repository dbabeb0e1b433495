"""Changes of members, joint consensus and replaced disks, left out or bent."""

from oarlock.zoo.mutant import Edit, Mutant

_OUTGOING_VOTES = (
    "    if configuration.voters_outgoing:\n        results.add(_vote(configuration.voters_outgoing, votes))\n"
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
                "        state.append_configuration(left.with_disks({}))\n",
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

DISKS = (
    Mutant(
        id="any-disk-elects",
        breaks=("NS-1",),
        bug="A candidate counts votes from whatever disk, also one that has forgotten what it acknowledged.",
        harm="safety",
        edits=(
            Edit(
                "raft.request_vote",
                "    if not state.configuration.counts(voter, disk_id):",
                "    if not state.configuration.counts(voter, disk_id) and disk_id < 0:",
            ),
        ),
    ),
    Mutant(
        id="any-disk-commits",
        breaks=("NS-1",),
        bug="A leader counts acknowledgements from whatever disk, also one that has forgotten a newer leader.",
        harm="safety",
        edits=(
            Edit(
                "raft.replication",
                "for peer, progress in leader.peers.items() if progress.counts}\n    match_index[",
                "for peer, progress in leader.peers.items()}\n    match_index[",
            ),
        ),
    ),
    Mutant(
        id="admits-no-disk",
        breaks=("NS-2",),
        bug="No log says which disk counts, so any does, for ever.",
        harm="safety",
        edits=(Edit("raft.disks", "    if unnamed:\n", "    if unnamed and not configuration.voters:\n"),),
    ),
    Mutant(
        id="replaces-a-disk-at-once",
        breaks=("NS-3",),
        bug="A new disk is admitted in the place of the old one by one entry, which it may itself help to commit.",
        harm="safety",
        edits=(
            Edit(
                "raft.disks",
                "is_withdrawn = state.configuration.disk_of(peer) == NO_DISK",
                "is_withdrawn = state.configuration.disk_of(peer) != progress.disk_id",
            ),
        ),
    ),
    Mutant(
        id="replaced-for-ever",
        breaks=("NS-3",),
        bug="A server on a new disk never counts again.",
        harm="liveness",
        edits=(
            Edit(
                "raft.disks",
                "        if not progress.counts and _may_replace(",
                "        if progress.counts and _may_replace(",
            ),
        ),
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

MEMBERS = (*MEMBERSHIP, *DISKS)
"""Mutants of the rules on membership and disks."""
