"""Rule 2: a new term with the old role can be seen (K2)."""

from oarlock.lab.advisor.examples.toy import Toy


class Faulty(Toy):
    """Lets the lock go between the term and the role."""

    def campaign(self) -> None:
        """Begin an election: C-1."""
        self.raise_term()
        self.mu.release()
        self.mu.acquire()
        self.stand()
        self.ask_all()


faulty, repaired = Faulty, Toy
