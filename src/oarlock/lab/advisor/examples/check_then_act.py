"""Rule 3: the term is compared in one region and set in the next, when it may have risen (K3)."""

from oarlock.lab.advisor.examples.toy import FOLLOWER, Args, Toy


class Faulty(Toy):
    """Believes what it saw before it let the lock go."""

    def request_vote(self, args: Args) -> Args:
        """Figure 2's receiver."""
        with self.mu:
            is_newer = args["term"] > self.current_term
        if is_newer:
            with self.mu:
                self.current_term, self.voted_for, self.role = args["term"], None, FOLLOWER
        return super().request_vote(args)


class Repaired(Toy):
    """Compares and sets in one region."""

    def request_vote(self, args: Args) -> Args:
        """Figure 2's receiver."""
        with self.mu:
            if args["term"] > self.current_term:
                self.current_term, self.voted_for, self.role = args["term"], None, FOLLOWER
        return super().request_vote(args)


faulty, repaired = Faulty, Repaired
