"""The cores of `raft_cluster` on their faulty network, with a monitor that looks after every event."""

from tests.support.raft_cluster import Cluster

from oarlock.check import Monitor, Observer, Promise
from oarlock.raft.messages import AppendEntriesReply, PreVote, PreVoteReply, RequestVote, RequestVoteReply


class WatchedCluster(Cluster):
    """Raises AssertionError with the first violation."""

    def __init__(self, size: int, seed: int = 0, **settings: object) -> None:
        self.monitor = Monitor()
        self.observers = {}
        super().__init__(size, seed, **settings)
        for server in self.servers.values():
            self.watch(server)

    def watch(self, server, promises=()) -> None:
        """Look at one server."""
        life = (server.id, server.lives)
        observer = self.observers.setdefault(life, Observer())
        applied = server.state.last_applied
        log = server.state.log
        # Under a base that is not on disk yet, writes from before it go on, and what they hold may be acknowledged.
        durable_index = max(log.durable_index, min(server.disk.last_index, log.base_index))
        state_hash = (applied, b"".join(server.machine[-3:])) if len(server.machine) == applied else None
        found = self.monitor.observe(
            observer.observe(
                server.state,
                server.id,
                incarnation=server.lives,
                durable_hard_state=server.disk.hard_state,
                durable_index=durable_index,
                promises=tuple(promises),
                state_hash=state_hash,
                at=self.now,
            )
        )
        assert not found, found[0]

    def restart(self, server_id: int) -> None:
        """As before, and look at the life begun."""
        super().restart(server_id)
        self.watch(self.servers[server_id])

    def carry_out(self, server) -> None:
        """Look at what the event did, before its effects are carried out."""
        if server.id not in self.down:
            self.watch(server)
        super().carry_out(server)

    def _post(self, server, sent) -> None:
        self.watch(server, [promise for to, message in sent if (promise := promise_of(message, to))])
        super()._post(server, sent)

    def _check(self, server) -> None:
        self.watch(server)
        super()._check(server)


def promise_of(message, to: int) -> Promise | None:
    """What a message claims of its sender."""
    match message:
        case PreVote():
            return None
        case PreVoteReply():
            return None
        case RequestVote():
            return Promise(message.term, voted_for=message.source)
        case RequestVoteReply(vote_granted=True):
            return Promise(message.term, voted_for=to)
        case AppendEntriesReply(success=True):
            return Promise(message.term, match_index=message.match_index)
        case _:
            return Promise(message.term)
