"""Structure: one thread calls all peers in turn, and one that is away delays the others (T1)."""

import threading

from oarlock.lab.advisor.examples.toy import Args, Toy


class Faulty(Toy):
    """Has one thread for a round of AppendEntries."""

    def broadcast(self) -> None:
        """Send everybody what they lack."""
        jobs = [(peer, self.append_args(peer)) for peer in self.others()]
        threading.Thread(target=self.replicate_all, args=(jobs,), daemon=True).start()

    def replicate_all(self, jobs: list[tuple[int, Args]]) -> None:
        """One AppendEntries after the other."""
        for peer, args in jobs:
            self.replicate(peer, args)


faulty, repaired = Faulty, Toy
