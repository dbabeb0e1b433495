"""Rule 4: a peer is called with the lock held, so that two servers wait for each other (K4)."""

from oarlock.lab.advisor.examples.toy import CANDIDATE, Args, Toy


class Faulty(Toy):
    """Holds the lock from the request to the reply."""

    def ask_vote(self, peer: int, args: Args) -> None:
        """One RequestVote, and its reply."""
        with self.mu:
            reply = self.peers[peer].call("request_vote", args)
            if reply is None:
                return
            if reply["term"] > self.current_term:
                self.follow(reply["term"])
            elif self.current_term == args["term"] and self.role == CANDIDATE and reply["granted"]:
                self.votes += 1
                if self.votes > len(self.peers) // 2:
                    self.lead()


faulty, repaired = Faulty, Toy
