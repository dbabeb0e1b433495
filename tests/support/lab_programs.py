"""Programs of threads that tests run on virtual time."""

from collections.abc import Callable

from oarlock.lab.threads import VirtualRuntime


def busy_program(runtime: VirtualRuntime, log: list[object]) -> Callable[[], None]:
    """Workers that lock, sleep, draw and send; notes everything that they see."""
    lock = runtime.threading.Lock()
    room = runtime.queue.Queue(1)

    def work(number: int) -> None:
        for turn in range(20):
            with lock:
                log.append((number, turn, runtime.time.monotonic()))
            runtime.time.sleep(runtime.random.random() / 100)
            room.put((number, turn))

    def main() -> None:
        threads = [runtime.threading.Thread(target=work, args=(number,)) for number in range(5)]
        for thread in threads:
            thread.start()
        log.extend(room.get() for _ in range(100))
        for thread in threads:
            thread.join()

    return main
