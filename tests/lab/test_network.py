"""The simulated network does what labs.md documents, by the numbers, on virtual time."""

from collections.abc import Callable
from typing import Any

import pytest

from oarlock.lab.network import ABSENT_LONG_MS, ABSENT_MS, REQUEST_DELAY_MS, Network, Rpc, Server
from oarlock.lab.threads import VirtualRuntime


class Echo:
    """A service that counts."""

    def __init__(self) -> None:
        self.calls = 0

    def echo(self, value: Any) -> Any:
        self.calls += 1
        return value

    def _hidden(self, value: Any) -> Any:
        return value


class World:
    """One end, one server."""

    def __init__(self, seed: int = 1) -> None:
        self.runtime = VirtualRuntime(seed, preemption=0.0)
        self.network = Network(self.runtime)
        self.service = Echo()
        self.network.add_server("server", Server({"Echo": self.service}))
        self.end = self.network.make_end("end", "server")
        self.network.enable("end")
        self.rpcs: list[Rpc] = []
        self.network.on_rpc = self.rpcs.append

    def run(self, function: Callable[[], Any]) -> Any:
        """In the runtime's main thread."""
        return self.runtime.run(function)

    def timed(self, method: str = "echo", args: Any = 7) -> tuple[Any, float]:
        """One call: its reply, and how many seconds it took."""
        began = self.runtime.time.monotonic()
        reply = self.end.call(method, args)
        return reply, self.runtime.time.monotonic() - began


def test_a_reliable_network_neither_delays_nor_loses() -> None:
    """Every call on a reliable network is answered, in no time."""
    world = World()
    results = world.run(lambda: [world.timed() for _ in range(100)])
    assert all(reply == 7 and seconds < 0.001 for reply, seconds in results)
    assert world.service.calls == world.network.rpcs_of("server") == world.network.total_rpcs == 100


def test_an_unreliable_network_delays_requests_and_loses_tenths() -> None:
    """Requests wait 0 to 26 ms; a tenth is lost before its handler runs, and of the replies a tenth after."""
    world = World()
    world.network.reliable = False
    results = world.run(lambda: [world.timed() for _ in range(3000)])
    waits = [seconds for _, seconds in results]
    assert min(waits) < 0.001
    assert 0.0255 < max(waits) < (REQUEST_DELAY_MS + 1) / 1000
    lost = {outcome: sum(rpc.outcome == outcome for rpc in world.rpcs) for outcome in ("request lost", "reply lost")}
    assert 0.08 < lost["request lost"] / 3000 < 0.12
    assert 0.08 < lost["reply lost"] / world.service.calls < 0.12
    assert world.service.calls == 3000 - lost["request lost"]
    assert sum(reply is None for reply, _ in results) == sum(lost.values())


def test_long_reordering_delays_two_thirds_of_the_replies() -> None:
    """With long_reordering two of three replies come 200 to 2,200 ms late."""
    world = World()
    world.network.long_reordering = True
    waits = [seconds for _, seconds in world.run(lambda: [world.timed() for _ in range(3000)])]
    late = [seconds for seconds in waits if seconds >= 0.2]
    assert 0.63 < len(late) / 3000 < 0.70
    assert all(seconds < 0.001 for seconds in waits if seconds < 0.2)
    assert 0.2 <= min(late) < 0.25
    assert 1.9 < max(late) < 2.2
    # What is drawn from a bound that is itself drawn is mostly small: half the mean of an even draw.
    assert 0.6 < sum(late) / len(late) < 0.8


@pytest.mark.parametrize(("long_delays", "most"), [(False, ABSENT_MS), (True, ABSENT_LONG_MS)])
def test_who_calls_an_absent_server_waits(long_delays: bool, most: int) -> None:
    """A call by a disabled end fails after 0 to 99 ms, with long_delays after 0 to 6,999 ms; the handler never runs."""
    world = World()
    world.network.enable("end", enabled=False)
    world.network.long_delays = long_delays
    results = world.run(lambda: [world.timed() for _ in range(400)])
    waits = [seconds for _, seconds in results]
    assert all(reply is None for reply, _ in results)
    assert max(waits) < (most + 1) / 1000
    assert max(waits) > 0.95 * most / 1000
    assert 0.4 < sum(waits) / len(waits) / (most / 1000) < 0.6
    assert world.service.calls == 0


def test_a_server_that_dies_in_its_handler_does_not_reply() -> None:
    """Within 100 ms of a server's deletion its callers learn of it, while the handler goes on."""
    world = World()
    runtime, finished = world.runtime, []

    class Slow:
        def slow(self, _: Any) -> int:
            runtime.time.sleep(5)
            finished.append(runtime.time.monotonic())
            return 1

    world.network.add_server("server", Server({"Slow": Slow()}))

    def main() -> tuple[Any, float]:
        runtime.threading.Timer(0.25, lambda: world.network.delete_server("server")).start()
        result = world.timed("slow")
        runtime.time.sleep(10)
        return result

    reply, seconds = world.run(main)
    assert reply is None
    assert 0.25 <= seconds <= 0.351
    assert len(finished) == 1


def test_a_reply_is_dropped_when_the_way_was_shut_meanwhile() -> None:
    """A handler that ran while its caller was cut off brings no reply, even if it ends before the next look."""
    world = World()

    class Cutting:
        def cut(self, _: Any) -> int:
            world.network.enable("end", enabled=False)
            return 1

    world.network.add_server("server", Server({"Cutting": Cutting()}))
    assert world.run(lambda: world.timed("cut"))[0] is None
    assert world.rpcs[-1].outcome == "server died"


def test_concurrent_calls_overtake_each_other() -> None:
    """Calls made at the same time on an unreliable network arrive in another order."""
    world = World()
    world.network.reliable = False
    seen: list[int] = []

    class Noting:
        def note(self, number: int) -> bool:
            seen.append(number)
            return True

    world.network.add_server("server", Server({"Noting": Noting()}))

    def main() -> None:
        threads = [world.runtime.threading.Thread(target=world.end.call, args=("note", i)) for i in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    world.run(main)
    assert len(seen) > 10
    assert seen != sorted(seen)


def test_bytes_are_those_of_requests_and_delivered_replies() -> None:
    """total_bytes counts arguments, lost ones too, and the replies that arrive."""
    world = World()

    def main() -> list[int]:
        counts = [world.network.total_bytes]
        world.end.call("echo", "x" * 1000)
        counts.append(world.network.total_bytes)
        world.network.enable("end", enabled=False)
        world.end.call("echo", "x" * 1000)
        return [*counts, world.network.total_bytes]

    assert world.run(main) == [0, 2006, 3009]


def test_nothing_is_shared() -> None:
    """What a handler keeps of its argument, or a caller of its reply, is a copy."""
    world = World()
    kept = [1]
    reply = world.run(lambda: world.end.call("echo", kept))
    assert reply == kept
    assert reply is not kept


def test_close_ends_calls_under_way() -> None:
    """Closing the network has every waiting caller return None at once."""
    world = World()
    world.network.long_delays = True
    world.network.enable("end", enabled=False)

    def main() -> float:
        thread = world.runtime.threading.Thread(target=world.end.call, args=("echo", 1))
        thread.start()
        world.network.close()
        began = world.runtime.time.monotonic()
        thread.join()
        return world.runtime.time.monotonic() - began

    assert world.run(main) < 0.001
    assert world.service.calls == 0


@pytest.mark.parametrize("method", ["nothing", "_hidden", "Other.echo"])
def test_only_public_methods_are_handlers(method: str) -> None:
    """A call of what is no handler is reported, and answered by None."""
    world = World()
    errors: list[str] = []
    world.network.on_handler_error = lambda server, name, error: errors.append(f"{server} {name}: {error}")
    assert world.run(lambda: world.end.call(method, 1)) is None
    assert errors == [f"server {method}: no handler {method!r} in Echo"]


def test_a_handler_that_returns_none_is_reported() -> None:
    """None stands for a lost reply, so a handler that forgets to return is told so."""
    world = World()
    errors: list[Exception] = []
    world.network.on_handler_error = lambda server, name, error: errors.append(error)
    world.run(lambda: world.end.call("echo", None))
    assert "must return something" in str(errors[0])


def test_handlers_are_found_in_the_service_named() -> None:
    """`Service.method` calls that service's, where two have one."""
    world = World()
    other = Echo()
    world.network.add_server("server", Server({"Echo": Echo(), "Other": other}))
    assert world.run(lambda: world.end.call("Other.echo", 3)) == 3
    assert other.calls == 1
