"""What surrounds the core: the runtime's tasks, the log on disk, recovery, exactly-once application."""

from oarlock.zoo.mutant import Edit, Mutant

_SYNC = "        sync_file(file, self._path)\n        self._dirty_end = 0\n"
_DUPLICATE = "        elif sequence in session.applied:\n            return AlreadyApplied(session.applied[sequence])\n"

RUNTIME = (
    Mutant(
        id="sends-while-the-disk-writes",
        breaks=("P-1", "B1"),
        bug="Messages that wait for the disk leave when the write begins.",
        harm="safety",
        edits=(
            Edit(
                "node.writer",
                "        self._busy = self.is_writing = True\n        began = self._loop.time()\n",
                "        self._busy = self.is_writing = True\n        began = self._loop.time()\n"
                "        for ready in batch:\n            self._events.send(ready.messages_after_persist)\n"
                "            ready.messages_after_persist = []\n",
            ),
        ),
        stage="node",
    ),
    Mutant(
        id="read-asks-nobody",
        breaks=("CL-Q1", "CL-Q4", "G24"),
        bug="A read is answered from the local store at once.",
        harm="safety",
        edits=(
            Edit(
                "node.node",
                "        return self._reads.barrier(timeout, may_use_lease=may_use_lease)\n",
                "        future: asyncio.Future[None] = self._loop.create_future()\n"
                "        future.set_result(None)\n        return future\n",
            ),
        ),
        stage="node",
    ),
    Mutant(
        id="answer-is-made-before-the-barrier",
        breaks=("CL-Q6",),
        bug="A read's answer is made when it is asked, and given when the barrier has fallen.",
        harm="safety",
        edits=(
            Edit(
                "etcd.services.calls",
                "        answer: asyncio.Future[bytes] = self.loop.create_future()\n"
                "        self.cluster.read_barrier(self.timeout_s(context))",
                "        answer: asyncio.Future[bytes] = self.loop.create_future()\n"
                "        made = make()\n        make = lambda: made\n"
                "        self.cluster.read_barrier(self.timeout_s(context))",
            ),
        ),
        stage="node",
    ),
    Mutant(
        id="read-is-never-answered",
        breaks=("CL-Q7",),
        bug="Of the reads that were confirmed together, the first gets no answer.",
        harm="liveness",
        edits=(
            Edit(
                "node.reads",
                "        for future, _ in barriers:\n            if not future.done():\n                "
                "future.set_result(None)\n",
                "        for future, _ in barriers[1:]:\n            if not future.done():\n                "
                "future.set_result(None)\n",
            ),
        ),
        stage="node",
    ),
    Mutant(
        id="applier-is-not-woken",
        breaks=("ALL-1", "T4"),
        bug="The applier is not told of committed entries.",
        harm="liveness",
        edits=(
            Edit(
                "node.applier",
                "        self._queue.append(entries)\n        if not may_wait:\n            self._kick.set()\n",
                "        self._queue.append(entries)\n",
            ),
        ),
        stage="node",
    ),
    Mutant(
        id="two-appliers",
        breaks=("ALL-1", "G12", "T3"),
        bug="Each batch of entries is applied by a task of its own, and a long one is overtaken.",
        harm="safety",
        edits=(
            Edit(
                "node.applier",
                "                    await self._apply(work)\n",
                "                    asyncio.get_running_loop().call_later(\n"
                "                        0.002 / len(work), self._apply_slice, work, 0\n                    )\n",
            ),
        ),
        stage="node",
    ),
    Mutant(
        id="ticker-does-not-look-again",
        breaks=("F-2", "T2"),
        bug="A server that stops leading does not notice that it has an election timer now.",
        harm="liveness",
        edits=(Edit("node.owner", "        self.elections.look_again()\n", ""),),
        stage="node",
    ),
    Mutant(
        id="heartbeats-only",
        breaks=("F-2", "T2"),
        bug="One activity serves both timers, and sleeps for ever where there is no heartbeat to send.",
        harm="liveness",
        edits=(
            Edit(
                "node.owner",
                "self.elections = Ticker(loop, raft.election_deadline, self.tick)",
                "self.elections = Ticker(loop, raft.heartbeat_deadline, self.tick)",
            ),
        ),
        stage="node",
    ),
    Mutant(
        id="ticker-spins",
        breaks=("B4",),
        bug="A ticker asks again and again, without giving anybody else the time to act.",
        harm="liveness",
        edits=(Edit("node.ticker", "            await self._alarm.sleep_until(NEVER)\n", ""),),
        stage="node",
    ),
    Mutant(
        id="earlier-boots-are-taken-for-this-one",
        breaks=("G26", "G28"),
        bug="A waiter is settled by an entry with its number, also by one of an earlier boot.",
        harm="safety",
        edits=(
            Edit(
                "node.proposals",
                'seal(config.server_id, epoch, 0, 0, b"")[:17]',
                'seal(config.server_id, epoch, 0, 0, b"")[:9]',
            ),
        ),
        stage="node",
    ),
    Mutant(
        id="waiter-outlives-its-leader",
        breaks=("G27",),
        bug="What a leader lost with its office is waited for until it times out.",
        harm="liveness",
        edits=(
            Edit(
                "node.proposals",
                "overtaken = attempt.term < term or (attempt.term == term and attempt.leader_id != leader_id)",
                "overtaken = attempt.term < 0",
            ),
        ),
        stage="node",
    ),
    Mutant(
        id="boots-are-not-counted",
        breaks=("G28", "G29"),
        bug="A restarted server numbers its proposals as it did before.",
        harm="safety",
        edits=(Edit("node.recovery", "epoch = max(last + 1, at_least)", "epoch = max(last, at_least)"),),
        stage="node",
    ),
    Mutant(
        id="duplicates-are-applied",
        breaks=("CL-4", "G29", "G30"),
        bug="A retried command is applied as often as it comes.",
        harm="safety",
        edits=(Edit("machine.exactly_once", _DUPLICATE, ""),),
        stage="node",
    ),
    Mutant(
        id="snapshot-has-no-sessions",
        breaks=("CL-6", "G29"),
        bug="The table of applied commands does not come back with a snapshot or after a restart.",
        harm="safety",
        edits=(Edit("machine.exactly_once", "            session.applied = dict.fromkeys(sequences)\n", ""),),
        stage="node",
    ),
    Mutant(
        id="snapshot-of-another-moment",
        breaks=("IS-5", "G21"),
        bug="A snapshot is labelled with the log's last index, not with what its view has applied.",
        harm="safety",
        edits=(
            Edit(
                "node.snapshots",
                "metadata = self._owner.raft.metadata_at(view.index)",
                "metadata = self._owner.raft.metadata_at(self._owner.raft.state.log.last_index)",
            ),
        ),
        source="raftify, RaftNodeCore CreateSnapshot",
        stage="node",
    ),
    Mutant(
        id="machine-runs-ahead-of-its-log",
        breaks=("IS-8", "G22"),
        bug="A received snapshot replaces the machine before the log's new base is on disk.",
        harm="safety",
        edits=(Edit("node.snapshots", "            await durable\n", ""),),
        stage="node",
    ),
    Mutant(
        id="compacts-what-only-memory-has",
        breaks=("LC-1", "G22"),
        bug="The log is compacted up to what is applied, durable elsewhere or not.",
        harm="safety",
        edits=(
            Edit(
                "node.keeper",
                "            covered = self._machine.durable_index()\n",
                "            covered = self._applied\n",
            ),
        ),
        stage="node",
    ),
    Mutant(
        id="chunks-go-on-from-another-snapshot",
        breaks=("IS-2",),
        bug="The first chunk of a snapshot does not start a new file where another one's part is still there.",
        harm="liveness",
        edits=(
            Edit(
                "storage.snapshots", "        if offset == 0:\n", "        if offset == 0 and self._partial is None:\n"
            ),
        ),
        stage="node",
    ),
)

STORAGE = (
    Mutant(
        id="log-is-not-synced",
        breaks=("P-1", "B1"),
        bug="The log is written, and not synced.",
        harm="safety",
        edits=(Edit("storage.wal", _SYNC, "        self._dirty_end = 0\n"),),
        source="etcd issue 14143; PySyncObj 0.3.17",
        stage="node",
    ),
    Mutant(
        id="failed-sync-is-tried-again",
        breaks=("P-1",),
        bug="A sync that failed is repeated, and its success believed, although the pages are marked clean.",
        harm="safety",
        edits=(
            Edit(
                "storage.disk",
                "    except OSError as error:\n"
                '        raise WriteFailed(path, f"sync: {error.strerror or error}") from error\n'
                "\n\ndef sync_directory",
                "    except OSError:\n        file.fdatasync()\n\n\ndef sync_directory",
            ),
        ),
        source="PostgreSQL, fsync (2018)",
        stage="node",
    ),
    Mutant(
        id="segment-has-no-durable-name",
        breaks=("P-1",),
        bug="A new segment's directory is not synced: power loss takes the name, and all that is in it.",
        harm="safety",
        edits=(
            Edit(
                "storage.wal",
                "        sync_directory(self._disk, self._directory)\n        return file\n",
                "        return file\n",
            ),
        ),
        stage="node",
    ),
    Mutant(
        id="overwritten-entries-return",
        breaks=("AE-3", "P-1"),
        bug="Entries behind overwritten ones are still there after a restart.",
        harm="safety",
        edits=(
            Edit(
                "storage.recovery",
                "        del self._entries[first - self._first_index :]\n        self._entries.extend(batch.entries)\n",
                "        at = first - self._first_index\n"
                "        self._entries[at : at + len(batch.entries)] = batch.entries\n",
            ),
        ),
        source="raftify, HeedStorageCore::append",
        stage="node",
    ),
    Mutant(
        id="snapshot-is-not-synced",
        breaks=("IS-5",),
        bug="A received snapshot gets its place before its bytes are on disk.",
        harm="safety",
        edits=(Edit("storage.snapshots", "            sync_file(partial.file, partial.path)\n", ""),),
        stage="node",
    ),
)

AROUND = (*RUNTIME, *STORAGE)
"""Mutants of node, storage, machine and services."""
