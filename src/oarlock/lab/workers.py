"""Threads that run handlers, kept for the next one: starting a thread costs more than most handlers do."""

from collections.abc import Callable

from oarlock.lab.interface import Runtime


class Workers:
    """As many threads as there are jobs at a time; each job begins at once."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._lock = runtime.threading.Lock()
        self._jobs = runtime.queue.SimpleQueue()
        self._threads = 0
        self._idle = 0
        """Threads that wait for a job that is not submitted yet."""
        self._closed = False

    def submit(self, job: Callable[[], None]) -> None:
        """Have a job run, which must not raise; after `close` it is forgotten."""
        with self._lock:
            if self._closed:
                return
            must_start = self._idle == 0
            if must_start:
                self._threads += 1
                number = self._threads
            else:
                self._idle -= 1
        self._jobs.put(job)
        if must_start:
            self._runtime.threading.Thread(target=self._work, name=f"handler-{number}", daemon=True).start()

    def close(self) -> None:
        """End each thread when its job is done."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            threads = self._threads
        for _ in range(threads):
            self._jobs.put(None)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()
            with self._lock:
                self._idle += 1
