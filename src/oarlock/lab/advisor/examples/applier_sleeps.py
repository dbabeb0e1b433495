"""Structure: nobody tells the applier that something was committed (T4)."""

from oarlock.lab.advisor.examples.toy import Toy


class Faulty(Toy):
    """Moves the commit index, and leaves the applier asleep."""

    def set_commit(self, index: int) -> None:
        """Commit up to there."""
        self.commit_index = index


faulty, repaired = Faulty, Toy
