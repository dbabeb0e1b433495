"""Rule 1: a field that other threads change under the lock is read without it (K1)."""

from oarlock.lab.advisor.examples.toy import LEADER, Toy


class Faulty(Toy):
    """Looks at the state without the lock."""

    def get_state(self) -> tuple[int, bool]:
        """Term, and whether this server leads."""
        return self.current_term, self.role == LEADER


faulty, repaired = Faulty, Toy
