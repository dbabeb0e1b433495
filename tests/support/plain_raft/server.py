"""Figure 2 with one lock: nothing here knows of the core, only of the labs' interface."""

import random
import threading
import time

import msgspec

from oarlock.lab.interface import CLOSED, ApplyMsg

from .messages import (
    AppendEntriesArgs,
    AppendEntriesReply,
    InstallSnapshotArgs,
    InstallSnapshotReply,
    LogEntry,
    RequestVoteArgs,
    RequestVoteReply,
)

HEARTBEAT_S = 0.1
ELECTION_S = (0.4, 0.8)


def make(peers, me, persister, apply_ch):
    return Raft(peers, me, persister, apply_ch)


class Raft:
    """One server."""

    def __init__(self, peers, me, persister, apply_ch):
        self.lock = threading.Lock()
        self.commit_moved = threading.Condition(self.lock)
        self.append_wanted = threading.Condition(self.lock)
        self.peers, self.me, self.persister, self.apply_ch = peers, me, persister, apply_ch
        self.dead = False
        self.role = "follower"
        self.current_term, self.voted_for, self.base, terms_and_commands = 0, None, 0, [(0, None)]
        if persister.read_raft_state():
            saved = msgspec.msgpack.decode(persister.read_raft_state())
            self.current_term, self.voted_for, self.base, terms_and_commands = saved
        self.log = [LogEntry(*each) for each in terms_and_commands]
        self.snapshot_data = persister.read_snapshot()
        self.commit_index = self.last_applied = self.base
        self.pending_snapshot = None
        self.next_index, self.match_index = [], []
        self.heard()
        for work in (self.elections, self.heartbeats, self.applier):
            threading.Thread(target=work, daemon=True).start()

    # -- helpers, all with the lock ------------------------------------------------------------------------------

    def last_index(self):
        return self.base + len(self.log) - 1

    def entry(self, index):
        return self.log[index - self.base]

    def heard(self):
        self.last_contact = time.monotonic()
        self.timeout = random.uniform(*ELECTION_S)

    def save(self):
        log = [(each.term, each.command) for each in self.log]
        state = msgspec.msgpack.encode([self.current_term, self.voted_for, self.base, log])
        self.persister.save(state, self.snapshot_data or None)

    def look_at_term(self, term):
        if term > self.current_term:
            self.current_term, self.voted_for, self.role = term, None, "follower"
            self.save()

    def in_background(self, function, *args):
        threading.Thread(target=function, args=args, daemon=True).start()

    # -- the service's side --------------------------------------------------------------------------------------

    def get_state(self):
        with self.lock:
            return self.current_term, self.role == "leader"

    def start(self, command):
        with self.lock:
            if self.role != "leader" or self.dead:
                return -1, self.current_term, False
            self.log.append(LogEntry(self.current_term, command))
            self.save()
            self.append_wanted.notify()
            return self.last_index(), self.current_term, True

    def persist_bytes(self):
        return self.persister.raft_state_size()

    def snapshot(self, index, snapshot):
        with self.lock:
            if index > self.base:
                self.log = [LogEntry(self.entry(index).term, None), *self.log[index - self.base + 1 :]]
                self.base, self.snapshot_data = index, snapshot
                self.save()

    def kill(self):
        with self.lock:
            self.dead = True
            self.commit_moved.notify()
            self.append_wanted.notify()

    # -- handlers ------------------------------------------------------------------------------------------------

    def request_vote(self, args: RequestVoteArgs):
        with self.lock:
            self.look_at_term(args.term)
            mine = (self.log[-1].term, self.last_index())
            granted = (
                args.term == self.current_term
                and self.voted_for in (None, args.candidate_id)
                and (args.last_log_term, args.last_log_index) >= mine
            )
            if granted:
                self.voted_for = args.candidate_id
                self.save()
                self.heard()
            return RequestVoteReply(self.current_term, granted)

    def append_entries(self, args: AppendEntriesArgs):
        with self.lock:
            self.look_at_term(args.term)
            if args.term < self.current_term:
                return AppendEntriesReply(self.current_term, False)
            self.role = "follower"
            self.heard()
            if args.prev_log_index > self.last_index():
                return AppendEntriesReply(self.current_term, False, self.last_index() + 1)
            if args.prev_log_index >= self.base and self.entry(args.prev_log_index).term != args.prev_log_term:
                index, term = args.prev_log_index, self.entry(args.prev_log_index).term
                while index > self.base + 1 and self.entry(index - 1).term == term:
                    index -= 1
                return AppendEntriesReply(self.current_term, False, index)
            self.take(args)
            return AppendEntriesReply(self.current_term, True)

    def take(self, args):
        for index, entry in enumerate(args.entries, args.prev_log_index + 1):
            if index <= self.base:
                continue
            if index <= self.last_index() and self.entry(index).term != entry.term:
                del self.log[index - self.base :]
            if index > self.last_index():
                self.log.append(entry)
        self.save()
        commit = min(args.leader_commit, args.prev_log_index + len(args.entries))
        if commit > self.commit_index:
            self.commit_index = commit
            self.commit_moved.notify()

    def install_snapshot(self, args: InstallSnapshotArgs):
        with self.lock:
            self.look_at_term(args.term)
            if args.term < self.current_term:
                return InstallSnapshotReply(self.current_term)
            self.role = "follower"
            self.heard()
            index = args.last_included_index
            if index > self.commit_index:
                kept = []
                if index <= self.last_index() and self.entry(index).term == args.last_included_term:
                    kept = self.log[index - self.base + 1 :]
                self.log = [LogEntry(args.last_included_term, None), *kept]
                self.base = self.commit_index = index
                self.snapshot_data = args.data
                self.pending_snapshot = (index, args.last_included_term, args.data)
                self.save()
                self.commit_moved.notify()
            return InstallSnapshotReply(self.current_term)

    # -- threads -------------------------------------------------------------------------------------------------

    def elections(self):
        while True:
            time.sleep(0.02)
            with self.lock:
                if self.dead:
                    return
                if self.role != "leader" and time.monotonic() - self.last_contact > self.timeout:
                    self.campaign()

    def campaign(self):
        self.current_term += 1
        self.role, self.voted_for = "candidate", self.me
        self.save()
        self.heard()
        votes = [self.me]
        args = RequestVoteArgs(self.current_term, self.me, self.last_index(), self.log[-1].term)
        for peer in range(len(self.peers)):
            if peer != self.me:
                self.in_background(self.ask, peer, args, votes)

    def ask(self, peer, args, votes):
        reply = self.peers[peer].call("request_vote", args, RequestVoteReply)
        if reply is None:
            return
        with self.lock:
            self.look_at_term(reply.term)
            if self.role != "candidate" or self.current_term != args.term or not reply.vote_granted or self.dead:
                return
            votes.append(peer)
            if len(votes) > len(self.peers) // 2:
                self.role = "leader"
                self.next_index = [self.last_index() + 1] * len(self.peers)
                self.match_index = [0] * len(self.peers)
                self.append_wanted.notify()

    def heartbeats(self):
        with self.lock:
            while not self.dead:
                if self.role == "leader":
                    for peer in range(len(self.peers)):
                        if peer != self.me:
                            self.replicate(peer)
                self.append_wanted.wait(HEARTBEAT_S)

    def replicate(self, peer):
        index = self.next_index[peer]
        if index <= self.base:
            data = InstallSnapshotArgs(self.current_term, self.base, self.log[0].term, self.snapshot_data)
            self.in_background(self.send_snapshot, peer, data)
            return
        entries = self.log[index - self.base :]
        prev = self.entry(index - 1).term
        args = AppendEntriesArgs(self.current_term, self.me, index - 1, prev, self.commit_index, entries)
        self.in_background(self.send, peer, args)

    def send_snapshot(self, peer, args):
        reply = self.peers[peer].call("install_snapshot", args, InstallSnapshotReply)
        if reply is None:
            return
        with self.lock:
            self.look_at_term(reply.term)
            if self.role == "leader" and self.current_term == args.term:
                self.match_index[peer] = max(self.match_index[peer], args.last_included_index)
                self.next_index[peer] = max(self.next_index[peer], args.last_included_index + 1)

    def send(self, peer, args):
        reply = self.peers[peer].call("append_entries", args, AppendEntriesReply)
        if reply is None:
            return
        with self.lock:
            self.look_at_term(reply.term)
            if self.role != "leader" or self.current_term != args.term or self.dead:
                return
            if not reply.success:
                if self.next_index[peer] == args.prev_log_index + 1:
                    self.next_index[peer] = max(reply.try_index, self.match_index[peer] + 1)
                    self.replicate(peer)
                return
            match = args.prev_log_index + len(args.entries)
            if match > self.match_index[peer]:
                self.match_index[peer] = match
                self.next_index[peer] = max(self.next_index[peer], match + 1)
                self.advance()

    def advance(self):
        matches = sorted([self.last_index(), *(each for at, each in enumerate(self.match_index) if at != self.me)])
        index = matches[(len(matches) - 1) // 2]
        if index > self.commit_index and self.entry(index).term == self.current_term:
            self.commit_index = index
            self.commit_moved.notify()
            self.append_wanted.notify()

    def applier(self):
        while True:
            with self.lock:
                while not self.dead and self.pending_snapshot is None and self.last_applied >= self.commit_index:
                    self.commit_moved.wait()
                if self.dead:
                    break
                if self.pending_snapshot is not None:
                    index, term, data = self.pending_snapshot
                    self.pending_snapshot = None
                    message = ApplyMsg(snapshot_valid=True, snapshot=data, snapshot_term=term, snapshot_index=index)
                    self.last_applied = index
                else:
                    self.last_applied += 1
                    command = self.entry(self.last_applied).command
                    message = ApplyMsg(command_valid=True, command=command, command_index=self.last_applied)
            self.apply_ch.put(message)
        self.apply_ch.put(CLOSED)
