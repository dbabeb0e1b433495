"""Rule 5: a vote is counted in whatever term it arrives (K6, G18)."""

from oarlock.lab.advisor.examples.toy import CANDIDATE, Args, Toy


class Faulty(Toy):
    """Counts votes that were given to an earlier candidacy."""

    def ask_vote(self, peer: int, args: Args) -> None:
        """One RequestVote, and its reply."""
        reply = self.peers[peer].call("request_vote", args)
        if reply is None:
            return
        with self.mu:
            if reply["term"] > self.current_term:
                self.follow(reply["term"])
            elif self.role == CANDIDATE and reply["granted"]:
                self.votes += 1
                if self.votes > len(self.peers) // 2:
                    self.lead()


faulty, repaired = Faulty, Toy
