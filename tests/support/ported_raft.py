"""A Raft as people port it from Go: an RLock, dataclasses, an Enum, replicators for each peer, votes in a closure."""

from __future__ import annotations

import random
import threading
import time
from dataclasses import dataclass
from enum import Enum, auto

import msgspec

from oarlock.lab.interface import ApplyMsg


class State(Enum):
    Follower = auto()
    Candidate = auto()
    Leader = auto()


@dataclass
class LogEntry:
    term: int
    command: object = None


@dataclass
class RequestVoteArgs:
    term: int
    candidate_id: int
    last_log_index: int
    last_log_term: int


@dataclass
class RequestVoteReply:
    term: int
    vote_granted: bool


@dataclass
class AppendEntriesArgs:
    term: int
    leader_id: int
    prev_log_index: int
    prev_log_term: int
    entries: list[LogEntry]
    leader_commit: int


@dataclass
class AppendEntriesReply:
    term: int
    success: bool
    xlen: int = 0


class RaftLog:
    def __init__(self):
        self.entries = [LogEntry(0)]

    @property
    def last_index(self):
        return len(self.entries) - 1

    def term_at(self, i):
        return self.entries[i].term

    def append(self, e):
        self.entries.append(e)

    def truncate(self, i):
        del self.entries[i:]


class Raft:
    def __init__(self, peers, me, persister, apply_ch):
        self.mu = threading.RLock()
        self.apply_cond = threading.Condition(self.mu)
        self.peers = peers
        self.me = me
        self.persister = persister
        self.apply_ch = apply_ch
        self._dead = threading.Event()
        self.state = State.Follower
        self.current_term = 0
        self.voted_for = -1
        self.rlog = RaftLog()
        self.commit_index = 0
        self.last_applied = 0
        self.next_index = {}
        self.match_index = {}
        self.election_deadline = 0.0
        self.replicate_cond = [threading.Condition(self.mu) for _ in peers]
        self.reset_timer()
        self.read_persist()
        threading.Thread(target=self.ticker, daemon=True).start()
        threading.Thread(target=self.heartbeat, daemon=True).start()
        threading.Thread(target=self.apply_loop, daemon=True).start()
        for p in range(len(peers)):
            if p != me:
                threading.Thread(target=self.replicator, args=(p,), daemon=True).start()

    def killed(self):
        return self._dead.is_set()

    def kill(self):
        self._dead.set()
        with self.mu:
            self.apply_cond.notify_all()
            for c in self.replicate_cond:
                c.notify_all()

    def reset_timer(self):
        self.election_deadline = time.time() + random.uniform(0.4, 0.8)

    def read_persist(self):
        d = self.persister.read_raft_state()
        if d:
            self.current_term, self.voted_for, es = msgspec.msgpack.decode(d)
            self.rlog.entries = [LogEntry(*e) for e in es]

    def persist(self):
        self.persister.save(
            msgspec.msgpack.encode(
                [self.current_term, self.voted_for, [[e.term, e.command] for e in self.rlog.entries]]
            ),
            None,
        )

    def get_state(self):
        with self.mu:
            return self.current_term, self.state is State.Leader

    def persist_bytes(self):
        return self.persister.raft_state_size()

    def snapshot(self, i, s):
        raise NotImplementedError

    def start(self, command):
        with self.mu:
            if self.killed() or self.state is not State.Leader:
                return -1, self.current_term, False
            self.rlog.append(LogEntry(self.current_term, command))
            self.persist()
            for c in self.replicate_cond:
                c.notify()
            return self.rlog.last_index, self.current_term, True

    def step_down(self, term):
        if term > self.current_term:
            self.current_term = term
            self.voted_for = -1
            self.persist()
        self.state = State.Follower

    def ticker(self):
        while not self.killed():
            time.sleep(0.03)
            with self.mu:
                if self.state is not State.Leader and time.time() > self.election_deadline:
                    self.start_election()

    def start_election(self):
        self.state = State.Candidate
        self.current_term += 1
        self.voted_for = self.me
        self.persist()
        self.reset_timer()
        term = self.current_term
        args = RequestVoteArgs(term, self.me, self.rlog.last_index, self.rlog.term_at(self.rlog.last_index))
        votes = 1

        def ask(peer):
            nonlocal votes
            reply = self.peers[peer].call("request_vote", args, RequestVoteReply)
            if reply is None:
                return
            with self.mu:
                if reply.term > self.current_term:
                    self.step_down(reply.term)
                    return
                if self.state is not State.Candidate or self.current_term != term:
                    return
                if reply.vote_granted:
                    votes += 1
                    if votes * 2 > len(self.peers):
                        self.become_leader()

        for p in range(len(self.peers)):
            if p != self.me:
                threading.Thread(target=ask, args=(p,), daemon=True).start()

    def become_leader(self):
        self.state = State.Leader
        for p in range(len(self.peers)):
            self.next_index[p] = self.rlog.last_index + 1
            self.match_index[p] = 0
        self.broadcast()

    def heartbeat(self):
        while not self.killed():
            with self.mu:
                if self.state is State.Leader:
                    self.broadcast()
            time.sleep(0.1)

    def broadcast(self):
        for p in range(len(self.peers)):
            if p != self.me:
                threading.Thread(target=self.send_append, args=(p, self.make_args(p)), daemon=True).start()

    def make_args(self, p):
        prev = self.next_index[p] - 1
        return AppendEntriesArgs(
            self.current_term, self.me, prev, self.rlog.term_at(prev), self.rlog.entries[prev + 1 :], self.commit_index
        )

    def replicator(self, p):
        while not self.killed():
            with self.mu:
                while not self.killed() and not (
                    self.state is State.Leader and self.match_index.get(p, 0) < self.rlog.last_index
                ):
                    self.replicate_cond[p].wait()
                if self.killed():
                    return
                args = self.make_args(p)
            if not self.send_append(p, args):
                time.sleep(0.05)

    def send_append(self, p, args):
        reply = self.peers[p].call("append_entries", args, AppendEntriesReply)
        if reply is None:
            return False
        self.mu.acquire()
        try:
            if args.term != self.current_term or self.state != State.Leader:
                return False
            if reply.term > self.current_term:
                self.step_down(reply.term)
                return False
            if reply.success:
                m = args.prev_log_index + len(args.entries)
                self.match_index[p] = max(self.match_index[p], m)
                self.next_index[p] = self.match_index[p] + 1
                self.update_commit()
            else:
                self.next_index[p] = max(1, self.match_index[p] + 1, min(reply.xlen, self.next_index[p]))
            return reply.success
        finally:
            self.mu.release()

    def update_commit(self):
        ms = sorted([*(self.match_index[p] for p in range(len(self.peers)) if p != self.me), self.rlog.last_index])
        n = ms[(len(ms) - 1) // 2]
        if n > self.commit_index and self.rlog.term_at(n) == self.current_term:
            self.commit_index = n
            self.apply_cond.notify_all()

    def apply_loop(self):
        while not self.killed():
            self.mu.acquire()
            while self.last_applied >= self.commit_index and not self.killed():
                self.apply_cond.wait()
            first = self.last_applied + 1
            msgs = [
                ApplyMsg(command_valid=True, command=e.command, command_index=i)
                for i, e in enumerate(self.rlog.entries[first : self.commit_index + 1], first)
            ]
            self.mu.release()
            for m in msgs:
                self.apply_ch.put(m)
            with self.mu:
                if msgs:
                    self.last_applied = max(self.last_applied, msgs[-1].command_index)

    def request_vote(self, args: RequestVoteArgs):
        with self.mu:
            if args.term < self.current_term:
                return RequestVoteReply(self.current_term, False)
            if args.term > self.current_term:
                self.step_down(args.term)
            li = self.rlog.last_index
            ok = (args.last_log_term, args.last_log_index) >= (self.rlog.term_at(li), li)
            grant = ok and self.voted_for in (-1, args.candidate_id)
            if grant:
                self.voted_for = args.candidate_id
                self.persist()
                self.reset_timer()
            return RequestVoteReply(self.current_term, grant)

    def append_entries(self, args: AppendEntriesArgs):
        with self.mu:
            if args.term < self.current_term:
                return AppendEntriesReply(self.current_term, False)
            self.step_down(args.term)
            self.reset_timer()
            if (
                args.prev_log_index > self.rlog.last_index
                or self.rlog.term_at(args.prev_log_index) != args.prev_log_term
            ):
                return AppendEntriesReply(self.current_term, False, min(args.prev_log_index, self.rlog.last_index + 1))
            for i, e in enumerate(args.entries, args.prev_log_index + 1):
                if i > self.rlog.last_index:
                    self.rlog.append(e)
                elif self.rlog.term_at(i) != e.term:
                    self.rlog.truncate(i)
                    self.rlog.append(e)
            self.persist()
            n = min(args.leader_commit, args.prev_log_index + len(args.entries))
            if n > self.commit_index:
                self.commit_index = n
                self.apply_cond.notify_all()
            return AppendEntriesReply(self.current_term, True)


make = Raft
