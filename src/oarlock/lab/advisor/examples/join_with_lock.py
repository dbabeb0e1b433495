"""Rule 4: threads that need the lock are joined with it held (K4)."""

import threading

from oarlock.lab.advisor.examples.toy import Toy


class Faulty(Toy):
    """Waits for the votes where nobody can bring them."""

    def ask_all(self) -> None:
        """C-1d."""
        args = self.vote_args()
        threads = [threading.Thread(target=self.ask_vote, args=(peer, args)) for peer in self.others()]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(0.2)


class Repaired(Toy):
    """Does not wait for them: the last vote needed does what follows."""

    def ask_all(self) -> None:
        """C-1d."""
        args = self.vote_args()
        threads = [threading.Thread(target=self.ask_vote, args=(peer, args)) for peer in self.others()]
        for thread in threads:
            thread.start()


faulty, repaired = Faulty, Repaired
