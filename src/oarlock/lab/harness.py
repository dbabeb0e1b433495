"""What every scenario is given: a network, a clock, chance, budgets, and one place where failures come together.

`oarlock.lab.suite.raft_harness` builds on it for Raft; services of the later labs build their own on it.
"""

import traceback
from collections import deque
from collections.abc import Callable
from typing import Any, Final

import msgspec

from oarlock.lab.failure import LabFailure
from oarlock.lab.group import ServerGroup, StartServer
from oarlock.lab.interface import Runtime
from oarlock.lab.network import Network, Rpc

MOST_RPCS_KEPT: Final = 200
"""Of the last RPCs, for reports of failures."""


class Measure(msgspec.Struct, frozen=True):
    """A figure beside the labs' budget for it."""

    what: str
    figure: float
    least: float | None = None
    most: float | None = None

    @property
    def is_kept(self) -> bool:
        """Whether the figure is within the budget."""
        return (self.least is None or self.figure >= self.least) and (self.most is None or self.figure <= self.most)

    @property
    def budget(self) -> str:
        """The budget in words."""
        if self.least is None:
            return "" if self.most is None else f"at most {self.most:g}"
        return f"at least {self.least:g}" if self.most is None else f"{self.least:g} to {self.most:g}"


class Harness:
    """One scenario's world.

    Args:
        runtime: Where threads, time, queues and chance come from.
        reliable: Whether the network neither delays nor loses.
        long_delays: Whether calls to absent servers take seconds.
    """

    def __init__(self, runtime: Runtime, *, reliable: bool = True, long_delays: bool = False) -> None:
        self.runtime = runtime
        self.network = Network(runtime)
        self.network.reliable = reliable
        self.network.long_delays = long_delays
        self.network.on_handler_error = self._on_handler_error
        self.network.on_rpc = self._on_rpc
        self.random = runtime.random
        self.groups: list[ServerGroup] = []
        self.measures: list[Measure] = []
        self.warnings: list[str] = []
        self.last_rpcs: deque[Rpc] = deque(maxlen=MOST_RPCS_KEPT)
        self.failure: str = ""
        """What was found wrong first; empty while nothing was."""
        self.began = self.now()
        self.is_over = False

    # -- time ----------------------------------------------------------------------------------------------------

    def now(self) -> float:
        """Seconds on the runtime's clock."""
        now: float = self.runtime.time.monotonic()
        return now

    def sleep(self, seconds: float) -> None:
        """Let time pass, and look whether anything went wrong in it."""
        self.runtime.time.sleep(seconds)
        self.check()

    def poll(self, condition: Callable[[], bool], seconds: float, every: float = 0.02) -> bool:
        """Wait until a condition holds; whether it did in time."""
        deadline = self.now() + seconds
        while not condition():
            if self.now() >= deadline:
                return False
            self.sleep(every)
        return True

    def spawn(self, function: Callable[..., object], *args: object) -> Any:  # noqa: ANN401 - a thread
        """Run a function of the scenario's in a thread of its own; what it raises fails the scenario."""

        def run() -> None:
            try:
                function(*args)
            except LabFailure as failure:
                self.fail_later(str(failure))
            except Exception:  # noqa: BLE001 - a user's code may raise anything
                self.fail_later(f"an exception: {traceback.format_exc()}")

        thread = self.runtime.threading.Thread(target=run, daemon=True)
        thread.start()
        return thread

    def join(self, threads: list[Any], seconds: float, what: str) -> None:
        """Wait for spawned threads.

        Raises:
            LabFailure: One takes longer.
        """
        deadline = self.now() + seconds
        for thread in threads:
            thread.join(max(0.0, deadline - self.now()))
            if thread.is_alive():
                self.check()
                raise LabFailure(f"{what} took more than {seconds:g} s")
        self.check()

    # -- verdicts ------------------------------------------------------------------------------------------------

    def fail_later(self, sentence: str) -> None:
        """Something is wrong, found in a thread that is not the scenario's; the first finding counts."""
        if not self.failure and not self.is_over:
            self.failure = sentence

    def check(self) -> None:
        """Raise what any thread found wrong.

        Raises:
            LabFailure: Something was.
        """
        if self.failure:
            raise LabFailure(self.failure)

    def require(self, condition: object, sentence: str) -> None:
        """What must hold now.

        Raises:
            LabFailure: It does not.
        """
        if not condition:
            raise LabFailure(sentence)

    def measure(self, what: str, figure: float, *, least: float | None = None, most: float | None = None) -> None:
        """Note a figure, and hold it to its budget.

        Raises:
            LabFailure: It is out of it.
        """
        measure = Measure(what, figure, least, most)
        self.measures.append(measure)
        if not measure.is_kept:
            raise LabFailure(f"{what}: {figure:g}, but {measure.budget} is allowed")

    def agreed_commands(self) -> int:
        """How many commands were agreed on, for the report."""
        return 0

    def warn(self, sentence: str) -> None:
        """Note what is odd, but not wrong."""
        self.warnings.append(sentence)

    def _on_handler_error(self, server: str, method: str, error: Exception) -> None:
        where = "".join(traceback.format_exception(error))
        self.fail_later(f"server {server}'s handler {method} raised {type(error).__name__}: {error}\n{where}")

    def _on_rpc(self, rpc: Rpc) -> None:
        if not self.is_over:
            self.last_rpcs.append(rpc)

    # -- servers -------------------------------------------------------------------------------------------------

    def add_group(self, name: str, size: int, start_server: StartServer) -> ServerGroup:
        """A group of servers on this network, none of which lives yet."""
        group = ServerGroup(self.runtime, self.network, name, size, start_server)
        self.groups.append(group)
        return group

    def close(self) -> None:
        """End everything: servers are told to stop, calls return, and findings count no more."""
        self.is_over = True
        for group in self.groups:
            group.close()
        self.network.close()
