"""Rule 5: the arguments of a vote request are made when its thread comes to run (K5)."""

import threading

from oarlock.lab.advisor.examples.toy import Toy


class Faulty(Toy):
    """May ask for votes in a term in which it is no candidate."""

    def ask_all(self) -> None:
        """C-1d."""
        for peer in self.others():
            threading.Thread(target=self.make_and_ask, args=(peer,), daemon=True).start()

    def make_and_ask(self, peer: int) -> None:
        """One RequestVote."""
        with self.mu:
            args = self.vote_args()
        self.ask_vote(peer, args)


faulty, repaired = Faulty, Toy
