"""Rule 4: the applier puts on the channel with the lock held (K4)."""

from oarlock.lab.advisor.examples.toy import Toy
from oarlock.lab.interface import ApplyMsg


class Faulty(Toy):
    """Waits for the service, which may be waiting for the lock in `start` or `snapshot`."""

    def applier(self) -> None:
        """Put what is committed on the channel."""
        with self.mu:
            while not self.dead:
                if self.last_applied >= self.commit_index:
                    self.committed.wait()
                    continue
                self.last_applied += 1
                index, command = self.last_applied, self.log[self.last_applied][1]
                self.apply_ch.put(ApplyMsg(command_valid=True, command=command, command_index=index))


faulty, repaired = Faulty, Toy
