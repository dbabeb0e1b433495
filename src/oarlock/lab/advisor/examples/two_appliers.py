"""Structure: each commit starts a thread that applies, and two of them may overtake each other (T3, G12)."""

import threading

from oarlock.lab.advisor.examples.toy import Toy
from oarlock.lab.interface import ApplyMsg


class Faulty(Toy):
    """Has as many appliers as commits."""

    def run_threads(self) -> None:
        """Start what runs as long as the server lives."""
        for work in (self.elections, self.heartbeats):
            threading.Thread(target=work, name=f"{work.__name__}-{self.me}", daemon=True).start()

    def set_commit(self, index: int) -> None:
        """Commit up to there."""
        self.commit_index = index
        threading.Thread(target=self.apply_all, daemon=True).start()

    def apply_all(self) -> None:
        """Put what is committed on the channel."""
        while True:
            with self.mu:
                if self.last_applied >= self.commit_index or self.dead:
                    return
                self.last_applied += 1
                index, command = self.last_applied, self.log[self.last_applied][1]
            self.apply_ch.put(ApplyMsg(command_valid=True, command=command, command_index=index))


faulty, repaired = Faulty, Toy
