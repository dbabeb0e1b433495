"""A small Raft that follows the advice: one lock, a thread for elections, one for heartbeats, one that applies.

It has no snapshots. What the examples change are methods of it.
"""

import json
import random
import threading
import time
from collections.abc import Sequence
from typing import Any

from oarlock.lab.interface import ApplyChannel, ApplyMsg, ClientEnd, Persister

FOLLOWER, CANDIDATE, LEADER = "follower", "candidate", "leader"
HEARTBEAT_S = 0.1
LOOK_S = 0.02
Args = dict[str, Any]


class Toy:
    """One server."""

    def __init__(self, peers: Sequence[ClientEnd], me: int, persister: Persister, apply_ch: ApplyChannel) -> None:
        self.peers, self.me, self.persister, self.apply_ch = peers, me, persister, apply_ch
        self.mu = threading.Lock()
        self.committed = threading.Condition(self.mu)
        self.dead = False
        self.role = FOLLOWER
        self.current_term = 0
        self.voted_for: int | None = None
        self.log: list[list[Any]] = [[0, None]]
        if saved := persister.read_raft_state():
            self.current_term, self.voted_for, self.log = json.loads(saved)
        self.commit_index = self.last_applied = 0
        self.next_index: list[int] = []
        self.match_index: list[int] = []
        self.votes = 0
        self.last_heard = time.monotonic()
        self.timeout = self.new_timeout()
        self.run_threads()

    def run_threads(self) -> None:
        """Start what runs as long as the server lives."""
        for work in (self.elections, self.heartbeats, self.applier):
            threading.Thread(target=work, name=f"{work.__name__}-{self.me}", daemon=True).start()

    # -- the labs' interface

    def start(self, command: Any) -> tuple[int, int, bool]:  # noqa: ANN401 - any command
        """Begin agreement."""
        with self.mu:
            if self.role != LEADER:
                return -1, self.current_term, False
            self.log.append([self.current_term, command])
            self.persist()
            self.broadcast()
            return len(self.log) - 1, self.current_term, True

    def get_state(self) -> tuple[int, bool]:
        """Term, and whether this server leads."""
        with self.mu:
            return self.current_term, self.role == LEADER

    def snapshot(self, index: int, snapshot: bytes) -> None:
        """There are none."""
        raise NotImplementedError

    def persist_bytes(self) -> int:
        """How much is saved."""
        return self.persister.raft_state_size()

    def kill(self) -> None:
        """Stop."""
        with self.mu:
            self.dead = True
            self.committed.notify_all()

    # -- with the lock held

    def persist(self) -> None:
        """Save what must survive."""
        self.persister.save(json.dumps([self.current_term, self.voted_for, self.log]).encode(), None)

    def new_timeout(self) -> float:
        """How long to wait for a leader."""
        return 0.4 + random.random() * 0.4  # noqa: S311 - no secret

    def follow(self, term: int) -> None:
        """A term begins, or a leader was found."""
        if term > self.current_term:
            self.current_term, self.voted_for = term, None
        self.role = FOLLOWER
        self.persist()

    def campaign(self) -> None:
        """Begin an election: C-1."""
        self.raise_term()
        self.stand()
        self.ask_all()

    def raise_term(self) -> None:
        """C-1a, C-1b."""
        self.current_term += 1
        self.voted_for, self.votes = self.me, 1
        self.persist()

    def stand(self) -> None:
        """C-1c."""
        self.role = CANDIDATE
        self.last_heard, self.timeout = time.monotonic(), self.new_timeout()

    def ask_all(self) -> None:
        """C-1d."""
        args = self.vote_args()
        for peer in self.others():
            threading.Thread(target=self.ask_vote, args=(peer, args), daemon=True).start()

    def vote_args(self) -> Args:
        """What a voter must know."""
        last = len(self.log) - 1
        return {"term": self.current_term, "candidate": self.me, "last": last, "last_term": self.log[last][0]}

    def lead(self) -> None:
        """The election is won."""
        self.role = LEADER
        self.next_index = [len(self.log)] * len(self.peers)
        self.match_index = [0] * len(self.peers)
        self.broadcast()

    def broadcast(self) -> None:
        """Send everybody what they lack."""
        for peer in self.others():
            args = self.append_args(peer)
            threading.Thread(target=self.replicate, args=(peer, args), daemon=True).start()

    def append_args(self, peer: int) -> Args:
        """What a follower lacks."""
        prev = self.next_index[peer] - 1
        return {
            "term": self.current_term,
            "prev": prev,
            "prev_term": self.log[prev][0],
            "entries": self.log[prev + 1 :],
            "commit": self.commit_index,
        }

    def others(self) -> list[int]:
        """All peers but this one."""
        return [peer for peer in range(len(self.peers)) if peer != self.me]

    def advance(self) -> None:
        """Commit what a majority has."""
        for index in range(len(self.log) - 1, self.commit_index, -1):
            has = 1 + sum(self.match_index[peer] >= index for peer in self.others())
            if has > len(self.peers) // 2 and self.log[index][0] == self.current_term:
                self.set_commit(index)
                break

    def set_commit(self, index: int) -> None:
        """Commit up to there."""
        self.commit_index = index
        self.committed.notify_all()

    # -- threads

    def elections(self) -> None:
        """Campaign when no leader was heard of for too long."""
        while True:
            time.sleep(LOOK_S)
            with self.mu:
                if self.dead:
                    return
                if self.role != LEADER and time.monotonic() - self.last_heard > self.timeout:
                    self.campaign()

    def heartbeats(self) -> None:
        """Tell everybody that this server leads."""
        while True:
            with self.mu:
                if self.dead:
                    return
                if self.role == LEADER:
                    self.broadcast()
            time.sleep(HEARTBEAT_S)

    def applier(self) -> None:
        """Put what is committed on the channel."""
        while True:
            with self.mu:
                while self.last_applied >= self.commit_index and not self.dead:
                    self.committed.wait()
                if self.dead:
                    return
                self.last_applied += 1
                index, command = self.last_applied, self.log[self.last_applied][1]
            self.apply_ch.put(ApplyMsg(command_valid=True, command=command, command_index=index))

    def ask_vote(self, peer: int, args: Args) -> None:
        """One RequestVote, and its reply."""
        reply = self.peers[peer].call("request_vote", args)
        if reply is None:
            return
        with self.mu:
            if reply["term"] > self.current_term:
                self.follow(reply["term"])
            elif self.current_term == args["term"] and self.role == CANDIDATE and reply["granted"]:
                self.votes += 1
                if self.votes > len(self.peers) // 2:
                    self.lead()

    def replicate(self, peer: int, args: Args) -> None:
        """One AppendEntries, and its reply."""
        reply = self.peers[peer].call("append_entries", args)
        if reply is None:
            return
        with self.mu:
            if reply["term"] > self.current_term:
                self.follow(reply["term"])
            elif self.current_term == args["term"] and self.role == LEADER:
                self.on_appended(peer, args, reply)

    def on_appended(self, peer: int, args: Args, reply: Args) -> None:
        """A follower has what it was sent, or lacks what came before."""
        if reply["success"]:
            self.match_index[peer] = max(self.match_index[peer], args["prev"] + len(args["entries"]))
            self.next_index[peer] = self.match_index[peer] + 1
            self.advance()
        else:
            self.next_index[peer] = max(self.match_index[peer] + 1, min(self.next_index[peer], reply["length"]))

    # -- handlers

    def request_vote(self, args: Args) -> Args:
        """Figure 2's receiver."""
        with self.mu:
            if args["term"] > self.current_term:
                self.follow(args["term"])
            last = len(self.log) - 1
            fresh = (args["last_term"], args["last"]) >= (self.log[last][0], last)
            granted = args["term"] == self.current_term and self.voted_for in (None, args["candidate"]) and fresh
            if granted:
                self.voted_for, self.last_heard = args["candidate"], time.monotonic()
                self.persist()
            return {"term": self.current_term, "granted": granted}

    def append_entries(self, args: Args) -> Args:
        """Figure 2's receiver."""
        with self.mu:
            if args["term"] < self.current_term:
                return {"term": self.current_term, "success": False, "length": len(self.log)}
            self.follow(args["term"])
            self.last_heard = time.monotonic()
            prev = args["prev"]
            if prev >= len(self.log) or self.log[prev][0] != args["prev_term"]:
                return {"term": self.current_term, "success": False, "length": min(prev, len(self.log))}
            for index, entry in enumerate(args["entries"], prev + 1):
                if index >= len(self.log) or self.log[index][0] != entry[0]:
                    self.log[index:] = args["entries"][index - prev - 1 :]
                    break
            self.persist()
            if args["commit"] > self.commit_index:
                self.set_commit(min(args["commit"], prev + len(args["entries"])))
            return {"term": self.current_term, "success": True, "length": len(self.log)}


make = Toy
