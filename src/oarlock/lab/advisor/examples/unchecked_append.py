"""Rule 5: what a follower said is believed in whatever term it arrives (K6, G18)."""

from oarlock.lab.advisor.examples.toy import LEADER, Args, Toy


class Faulty(Toy):
    """Takes an answer to an earlier leadership for one to this."""

    def replicate(self, peer: int, args: Args) -> None:
        """One AppendEntries, and its reply."""
        reply = self.peers[peer].call("append_entries", args)
        if reply is None:
            return
        with self.mu:
            if reply["term"] > self.current_term:
                self.follow(reply["term"])
            elif self.role == LEADER:
                self.on_appended(peer, args, reply)


faulty, repaired = Faulty, Toy
