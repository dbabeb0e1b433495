"""What both ways of recording a lab run share: its events, the network's lane, and where the trace ends."""

from collections.abc import Callable

from oarlock.trace.lane import World
from oarlock.trace.schema import VERSION, Event, Header


class RunTracing:
    """The trace of one run.

    Args:
        now: The present in seconds; asking must change nothing.
        most_events: Beyond which the trace has a gap.
    """

    def __init__(self, now: Callable[[], float], most_events: int) -> None:
        self.events: list[Event] = []
        self.world = World(self.keep, now)
        """What happens to no server."""
        self.features: tuple[str, ...] = ()
        """For the trace's header."""
        self._most_events = most_events
        self._is_over = False

    def keep(self, event: Event) -> bool:
        """Take an event; False if there is no room for it."""
        if len(self.events) >= self._most_events:
            return False
        if not self._is_over:
            self.events.append(event)
        return True

    def links_changed(self, links: list[tuple[int, int]], *, opened: bool) -> None:
        """Ways between servers, each in one direction, were opened or shut."""
        between = [(source + 1, to + 1) for source, to in links if source != to]
        if between and opened:
            self.world.healed(between)
        elif between:
            self.world.cut(between)

    def end(self, property_name: str, sentence: str) -> None:
        """The scenario found something wrong: the trace ends there, before all servers are stopped."""
        self.world.violated(property_name, sentence, [])
        self._is_over = True

    def names(self) -> dict[str, str]:
        """What people call each server, by its name in the trace."""
        raise NotImplementedError

    def header(self, run: str, seed: int | None) -> Header:
        """The trace's first line; of a run on real time without a seed."""
        return Header(
            v=VERSION,
            run=run,
            kind="live" if seed is None else "sim",
            seed=seed,
            nodes=self.names(),
            clock="wall" if seed is None else "virtual",
            features=self.features,
        )
