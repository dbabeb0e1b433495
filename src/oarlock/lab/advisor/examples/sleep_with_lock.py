"""Rule 4: a loop sleeps with the lock held (K4)."""

import time

from oarlock.lab.advisor.examples.toy import LEADER, LOOK_S, Toy


class Faulty(Toy):
    """Keeps everybody else out while it does nothing."""

    def elections(self) -> None:
        """Campaign when no leader was heard of for too long."""
        while True:
            time.sleep(LOOK_S)
            with self.mu:
                if self.dead:
                    return
                if self.role != LEADER and time.monotonic() - self.last_heard > self.timeout:
                    self.campaign()
                    time.sleep(LOOK_S)  # for the votes to come in, of which none can be counted


faulty, repaired = Faulty, Toy
