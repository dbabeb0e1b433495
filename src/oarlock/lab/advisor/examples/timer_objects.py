"""Structure: the election timeout is a timer that is cancelled and started anew (T2)."""

import threading

from oarlock.lab.advisor.examples.toy import LEADER, Args, Toy


class Faulty(Toy):
    """A timer that fires just when it is cancelled campaigns all the same."""

    def run_threads(self) -> None:
        """Start what runs as long as the server lives."""
        self.timer = threading.Timer(self.new_timeout(), self.on_timeout)
        self.timer.start()
        for work in (self.heartbeats, self.applier):
            threading.Thread(target=work, name=f"{work.__name__}-{self.me}", daemon=True).start()

    def on_timeout(self) -> None:
        """No leader was heard of."""
        with self.mu:
            if not self.dead:
                if self.role != LEADER:
                    self.campaign()
                self.restart_timer()

    def restart_timer(self) -> None:
        """From now on."""
        self.timer.cancel()
        self.timer = threading.Timer(self.new_timeout(), self.on_timeout)
        self.timer.start()

    def append_entries(self, args: Args) -> Args:
        """Figure 2's receiver."""
        reply = super().append_entries(args)
        with self.mu:
            self.restart_timer()
        return reply


faulty, repaired = Faulty, Toy
