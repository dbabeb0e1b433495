"""Runs a scenario against an implementation, within the labs' time, and says what came of it."""

import sys
import threading
import time
import traceback
from typing import Any, Final

import msgspec

from oarlock.lab.failure import LabFailure
from oarlock.lab.harness import Harness, Measure
from oarlock.lab.network import Rpc
from oarlock.lab.suite.table import SECONDS_PER_SCENARIO, Scenario
from oarlock.lab.threads import RealRuntime, VirtualRuntime

AnyRuntime = RealRuntime | VirtualRuntime

SETTLE_S: Final = 0.5
"""For threads to end, after all were told to stop."""
_FRAMES: Final = 12
"""Of each stack that is shown, the innermost."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one scenario."""

    scenario: str
    part: str
    passed: bool
    failure: str = ""
    """What was wrong, first in one sentence; empty if it passed."""
    seconds: float
    """On the runtime's clock; the labs allow 120."""
    real_seconds: float
    cpu_seconds: float
    rpcs: int = 0
    bytes: int = 0
    commands: int = 0
    """Agreed on."""
    measures: list[Measure] = []
    warnings: list[str] = []
    last_rpcs: list[Rpc] = []
    """Before a failure."""
    began: float = 0.0
    """The scenario's start on the runtime's clock, from which `last_rpcs` are counted."""


def run_scenario(
    runtime: AnyRuntime,
    implementation: Any,  # noqa: ANN401 - what the scenario's `prepare` expects: mostly `make`
    entry: Scenario,
    *,
    limit_s: float = SECONDS_PER_SCENARIO,
    tracing: Any = None,  # noqa: ANN401
) -> Outcome:
    """Run one scenario. Never raises for what the implementation does.

    Args:
        runtime: A new one; a virtual one is used up.
        implementation: Loaded by that runtime.
        entry: The scenario.
        limit_s: The time it may take, on the runtime's clock.
        tracing: What records the implementation, if anything does: is told of cut links and of the failure.
    """
    began, cpu = time.perf_counter(), time.process_time()
    trial = _Trial(runtime, implementation, entry, limit_s, tracing)
    try:
        runtime.run(trial.main)
    except Exception:  # noqa: BLE001 - a virtual runtime reports deadlocks so
        trial.fail(traceback.format_exc(limit=-1).strip())
    for failed in runtime.failures:
        trial.fail(f"a thread died of an exception, {failed}")
    harness = trial.harness
    outcome = Outcome(
        scenario=entry.id,
        part=entry.part,
        passed=not trial.failure,
        failure=trial.failure,
        seconds=round(trial.seconds, 3),
        real_seconds=round(time.perf_counter() - began, 3),
        cpu_seconds=round(time.process_time() - cpu, 3),
    )
    if harness is None:
        return outcome
    return msgspec.structs.replace(
        outcome,
        rpcs=harness.network.total_rpcs,
        bytes=harness.network.total_bytes,
        commands=harness.agreed_commands(),
        measures=harness.measures,
        warnings=harness.warnings,
        last_rpcs=list(harness.last_rpcs) if trial.failure else [],
        began=harness.began,
    )


class _Trial:
    """One run of a scenario: the main thread watches the time while another does the work."""

    def __init__(
        self,
        runtime: AnyRuntime,
        implementation: Any,  # noqa: ANN401 - see `run_scenario`
        entry: Scenario,
        limit_s: float,
        tracing: Any,  # noqa: ANN401 - see `run_scenario`
    ) -> None:
        self.runtime = runtime
        self.implementation = implementation
        self.entry = entry
        self.limit_s = limit_s
        self.tracing = tracing
        self.harness: Harness | None = None
        self.failure = ""
        self.seconds = 0.0

    def fail(self, sentence: str) -> None:
        """The first failure counts; a thread that died before is told as well, as it may be the cause."""
        if self.tracing is not None and not self.failure:
            self.tracing.failed(sentence.splitlines()[0])
        self.failure = f"{self.failure}\n{sentence}" if self.failure else sentence

    def main(self) -> None:
        """What the runtime runs."""
        began = self.runtime.time.monotonic()
        thread = self.runtime.threading.Thread(target=self._work, name="scenario", daemon=True)
        thread.start()
        thread.join(self.limit_s)
        self.seconds = self.runtime.time.monotonic() - began
        if thread.is_alive():
            found = self.harness.failure if self.harness is not None else ""
            self.fail(found or f"not over after {self.limit_s:g} s; threads are here:\n{stacks(self.runtime)}")
        if self.harness is not None:
            closing = self.runtime.threading.Thread(target=self.harness.close, name="closing", daemon=True)
            closing.start()
            closing.join(SETTLE_S)  # a server whose lock is held for good cannot be told to stop
            self.runtime.time.sleep(SETTLE_S)

    def _work(self) -> None:
        try:
            self.harness = self.entry.prepare(self.runtime, self.implementation, self.entry)
            if self.tracing is not None:
                self.harness.groups[0].on_links = self.tracing.links_changed
            self.entry.run(self.harness)
            self.harness.check()
        except LabFailure as failure:
            first = self.harness.failure if self.harness is not None else ""
            self.fail(first or str(failure))
        except Exception as error:  # noqa: BLE001 - a user's code may raise anything
            self.fail(f"{type(error).__name__}: {error}\n{traceback.format_exc()}")


def stacks(runtime: AnyRuntime) -> str:
    """Where each thread but this one is now."""
    if isinstance(runtime, VirtualRuntime):
        shown = runtime.stacks().split("\n\n")
        return "\n\n".join(stack for stack in shown if not stack.startswith("thread MainThread "))
    frames = sys._current_frames()  # noqa: SLF001 - there is no other way
    shown = []
    for thread in threading.enumerate():
        if thread is threading.current_thread():
            continue
        frame = frames.get(thread.ident or 0)
        if frame is not None:
            shown.append(f"thread {thread.name}\n{''.join(traceback.format_stack(frame)[-_FRAMES:])}")
    return "\n".join(shown)
