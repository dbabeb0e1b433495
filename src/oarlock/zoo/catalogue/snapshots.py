"""Figure 13 and compaction: snapshots installed wrongly, and logs that begin where they should not."""

from oarlock.zoo.mutant import Edit, Mutant

_IS_1 = (
    "        _reply(state, message.source, message.request_id, metadata, next_offset=0, done=False)\n        return\n"
)

SNAPSHOTS = (
    Mutant(
        id="never-sends-a-snapshot",
        breaks=("IS-0",),
        bug="A follower whose next entry is compacted gets nothing.",
        harm="liveness",
        edits=(
            Edit(
                "raft.replication",
                "            begin_snapshot(state, peer, progress)\n            return",
                "            return",
            ),
        ),
    ),
    Mutant(
        id="stale-snapshot-resets-timer",
        breaks=("IS-1", "G2"),
        bug="A snapshot's chunk of an older term is taken for a sign of a live leader.",
        harm="liveness",
        edits=(
            Edit(
                "raft.install_snapshot",
                _IS_1,
                "        state.hear_from_leader(message.source)\n        return\n",
            ),
        ),
    ),
    Mutant(
        id="snapshot-of-strangers-is-refused",
        breaks=("IS-5", "MC-1"),
        bug="A server does not take a snapshot whose configuration lacks it: whoever joins later never catches up.",
        harm="liveness",
        edits=(
            Edit(
                "raft.install_snapshot",
                "    if metadata.last_included_index <= state.commit_index:\n        # Delayed",
                "    if state.server_id not in metadata.configuration.members:\n        return\n"
                "    if metadata.last_included_index <= state.commit_index:\n        # Delayed",
            ),
        ),
        source="raft-rs issue 472",
    ),
    Mutant(
        id="every-chunk-is-the-first",
        breaks=("IS-3",),
        bug="The sender never moves on: each chunk is that at offset 0.",
        harm="liveness",
        edits=(
            Edit(
                "raft.install_snapshot",
                "progress.snapshot_offset = message.next_offset",
                "progress.snapshot_offset = 0",
            ),
        ),
    ),
    Mutant(
        id="one-chunk-is-all",
        breaks=("IS-4",),
        bug="A snapshot is installed after its first chunk.",
        harm="safety",
        edits=(Edit("raft.install_snapshot", "    if not chunk.done:\n", "    if chunk.term < 0:\n"),),
    ),
    Mutant(
        id="one-chunk-is-asked-for",
        breaks=("IS-4",),
        bug="After a chunk that is not the last the receiver answers nothing, and is sent it again.",
        harm="liveness",
        edits=(
            Edit(
                "raft.install_snapshot",
                "        on_more_wanted(state, chunk, next_offset)\n        return\n",
                "        return\n",
            ),
        ),
    ),
    Mutant(
        id="rolls-back",
        breaks=("IS-5", "V-1", "B5"),
        bug="A delayed snapshot is installed although everything in it was committed here long ago.",
        harm="safety",
        edits=(
            Edit(
                "raft.install_snapshot",
                "    if metadata.last_included_index <= state.commit_index:",
                "    if metadata.last_included_index <= state.log.base_index:",
            ),
            Edit(
                "raft.install_snapshot",
                "    if chunk.metadata.last_included_index > state.commit_index:",
                "    if chunk.metadata.last_included_index > state.log.base_index:",
            ),
        ),
    ),
    Mutant(
        id="drops-the-suffix",
        breaks=("IS-6",),
        bug="A snapshot replaces the whole log, also where the log goes on past it, and what it held was acknowledged.",
        harm="safety",
        edits=(
            Edit(
                "raft.install_snapshot",
                "    if state.log.term(index) == metadata.last_included_term:",
                "    if state.log.term(index) is metadata:",
            ),
        ),
    ),
    Mutant(
        id="keeps-another-history",
        breaks=("IS-7",),
        bug="What follows a snapshot's index is kept although the log has another entry there.",
        harm="safety",
        edits=(
            Edit(
                "raft.install_snapshot",
                "    if state.log.term(index) == metadata.last_included_term:",
                "    if state.log.term(index) is not None:",
            ),
        ),
        source="hashicorp/raft issue 697",
    ),
    Mutant(
        id="old-log-stays-on-disk",
        breaks=("IS-7",),
        bug="The log that a snapshot replaces is dropped in memory, and stays on the disk.",
        harm="safety",
        edits=(
            Edit(
                "raft.install_snapshot",
                "        state.reset_log(metadata)\n        state.discard_log = True\n",
                "        state.reset_log(metadata)\n",
            ),
        ),
        source="hashicorp/raft issue 85",
    ),
    Mutant(
        id="unsaved-entries-under-a-snapshot",
        breaks=("IS-6", "IS-7"),
        bug="What a snapshot covers had been replaced in memory only; the disk keeps what it had, behind the new base.",
        harm="safety",
        edits=(
            Edit(
                "raft.install_snapshot",
                "        state.discard_log = state.first_unsaved <= index\n",
                "        state.discard_log = state.first_unsaved < 0\n",
            ),
        ),
    ),
    Mutant(
        id="machine-stays-as-it-was",
        breaks=("IS-8", "B6"),
        bug="A snapshot replaces the log, but is not loaded into the state machine.",
        harm="safety",
        edits=(Edit("raft.install_snapshot", "    state.snapshot_to_install = metadata\n", ""),),
    ),
    Mutant(
        id="snapshot-brings-no-members",
        breaks=("IS-8", "MC-1"),
        bug="The configuration stays as it was when a snapshot replaces the log.",
        harm="safety",
        edits=(
            Edit(
                "raft.state",
                "            write.last_index = 0\n        self.rebase_configurations()\n",
                "            write.last_index = 0\n",
            ),
        ),
    ),
    Mutant(
        id="snapshot-names-todays-members",
        breaks=("LC-1", "MC-1"),
        bug="A compacted log's base names the newest configuration instead of the one in force there.",
        harm="safety",
        edits=(
            Edit(
                "raft.install_snapshot",
                "SnapshotMetadata(index, term, state.configuration_at(index))",
                "SnapshotMetadata(index, term, state.configuration)",
            ),
        ),
    ),
    Mutant(
        id="base-has-term-zero",
        breaks=("AE-2", "B7"),
        bug="The term of the last compacted entry is taken for 0.",
        harm="liveness",
        edits=(
            Edit(
                "raft.log",
                "return self.base.last_included_term if offset == 0 else None",
                "return 0 if offset == 0 else None",
            ),
        ),
    ),
    Mutant(
        id="below-the-base-is-refused",
        breaks=("AE-2", "B9"),
        bug="AppendEntries that begins below the log's base is refused, though it ends above it.",
        harm="liveness",
        edits=(
            Edit(
                "raft.append_entries",
                "    if message.prev_log_index >= base_index:",
                "    if message.prev_log_index >= 0:",
            ),
        ),
        source="openraft issue 511, willemt/raft issue 37",
    ),
    Mutant(
        id="below-the-base-is-not-cut",
        breaks=("AE-4", "B7", "B9"),
        bug="Of an AppendEntries that begins below the base, the entries that the base covers are not skipped.",
        harm="safety",
        edits=(Edit("raft.append_entries", "message.entries[covered:]", "message.entries[covered - 1 :]"),),
    ),
    Mutant(
        id="snapshot-without-end",
        breaks=("L-3a", "IS-0"),
        bug="That a follower has the whole snapshot does not raise its match_index, so it is sent one again.",
        harm="liveness",
        edits=(
            Edit("raft.install_snapshot", "progress.raise_match(message.last_included_index", "progress.raise_match(0"),
        ),
    ),
    Mutant(
        id="waits-for-the-lost-chunk",
        breaks=("IS-4",),
        bug="A chunk that got lost is not sent again.",
        harm="liveness",
        edits=(
            Edit(
                "raft.replication",
                "        request_chunk(state, peer, progress, progress.snapshot)\n",
                "        progress.chunk_sent_at = state.now\n",
            ),
        ),
    ),
)
"""Mutants of Figure 13's rules and of compaction."""
