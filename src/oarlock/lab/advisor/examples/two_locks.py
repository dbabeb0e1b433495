"""Rule 4: two locks are taken in both orders."""

import threading
from typing import Any

from oarlock.lab.advisor.examples.toy import Toy


class Repaired(Toy):
    """Has a second lock for its disk, taken with the first one held."""

    def run_threads(self) -> None:
        """Start what runs as long as the server lives."""
        self.disk_mu = threading.RLock()
        super().run_threads()

    def persist(self) -> None:
        """Save what must survive."""
        with self.disk_mu:
            super().persist()


class Faulty(Repaired):
    """Takes the second lock first, in one place."""

    def start(self, command: Any) -> tuple[int, int, bool]:  # noqa: ANN401 - any command
        """Begin agreement."""
        with self.disk_mu:
            return super().start(command)


faulty, repaired = Faulty, Repaired
