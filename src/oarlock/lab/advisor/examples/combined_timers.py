"""Structure: one loop looks after elections and heartbeats (T2)."""

import threading
import time

from oarlock.lab.advisor.examples.toy import HEARTBEAT_S, LEADER, LOOK_S, Toy


class Faulty(Toy):
    """Whatever makes one of the two late makes the other late too."""

    def run_threads(self) -> None:
        """Start what runs as long as the server lives."""
        for work in (self.everything, self.applier):
            threading.Thread(target=work, name=f"{work.__name__}-{self.me}", daemon=True).start()

    def everything(self) -> None:
        """Heartbeats and elections."""
        beats_at = 0.0
        while True:
            time.sleep(LOOK_S)
            with self.mu:
                now = time.monotonic()
                if self.dead:
                    return
                if self.role == LEADER and now >= beats_at:
                    beats_at = now + HEARTBEAT_S
                    self.broadcast()
                elif self.role != LEADER and now - self.last_heard > self.timeout:
                    self.campaign()


faulty, repaired = Faulty, Toy
