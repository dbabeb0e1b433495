"""What runs the seeds of a hunt: this process, joblib's processes, or a cluster of Dask's or Ray's that is there."""

import contextlib
import importlib
import re
import warnings
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, Final, Protocol, TypeVar, cast

_Task = TypeVar("_Task")
_Result = TypeVar("_Result")

LOKY: Final = "loky"
DASK_PORT: Final = 8786
RAY_PORT: Final = 10001
_WAVE: Final = 4
"""Tasks a worker is handed at once where results come back only all together."""


class HuntError(Exception):
    """The hunt cannot go on; says what is missing or wrong."""


class _Parallel(Protocol):
    """The part of `joblib.Parallel` that is used."""

    def __call__(self, tasks: Iterable[Any]) -> Iterable[Any]:
        """Run tasks; gives results as they are there, or all at once."""


def run_all(
    work: Callable[[_Task], _Result],
    tasks: Iterable[_Task],
    *,
    jobs: int,
    engine: str,
    stop: Callable[[], bool],
) -> Iterator[_Result]:
    """Have tasks done, in any order.

    Args:
        work: What is done with a task; a function of a module, so that other processes find it.
        tasks: Taken as they are needed.
        jobs: How many at a time; -1 for as many as there are cores, 1 for none beside this process.
        engine: "loky" for processes of this machine, "dask://host:port" or "ray://host:port" for a cluster.
        stop: Once it holds no further task is begun; those under way are ended, so nothing is thrown away.

    Raises:
        HuntError: Something is not installed, nobody answers, or there is no such engine.
    """
    tasks = _until(stop, tasks)
    if engine == LOKY and jobs == 1:
        yield from map(work, tasks)
        return
    with _backend(engine) as (backend, cores):
        joblib = _load("joblib", "joblib", "hunt")
        with _quiet(), _in_one_sentence(engine):
            if backend == "ray":
                yield from _in_waves(joblib, work, tasks, cores if jobs < 1 else jobs)
                return
            with joblib.parallel_config(backend):  # which, unlike `Parallel`, also knows backends that are to be loaded
                parallel = cast("_Parallel", joblib.Parallel(jobs, return_as="generator_unordered", batch_size=1))
            yield from parallel(joblib.delayed(work)(task) for task in tasks)


def _until(stop: Callable[[], bool], tasks: Iterable[_Task]) -> Iterator[_Task]:
    for task in tasks:
        if stop():
            return
        yield task


def _in_waves(
    joblib: Any,  # noqa: ANN401 - the module
    work: Callable[[_Task], _Result],
    tasks: Iterator[_Task],
    jobs: int,
) -> Iterator[_Result]:
    """For a backend that gives no result before all are there."""
    parallel = cast("_Parallel", joblib.Parallel(jobs, backend="ray", batch_size=1))
    while wave := list(islice(tasks, _WAVE * jobs)):
        yield from parallel(joblib.delayed(work)(task) for task in wave)


@contextlib.contextmanager
def _in_one_sentence(engine: str) -> Iterator[None]:
    """Whatever goes wrong between here and the workers; what goes wrong in a run is the run's."""
    try:
        yield
    except HuntError as error:
        raise HuntError(f"{engine}: {error}") from None
    except Exception as error:
        raise HuntError(f"{engine} failed: {_cause(error)}") from error


def _cause(error: BaseException) -> str:
    """What went wrong; a missing module is often the cause of several other errors."""
    earlier: BaseException | None = error
    while earlier is not None:
        missing = re.search(r"No module named '[^']*'", str(earlier))
        if missing is not None:
            return f"{missing[0]} on its workers: install the same oarlock there"
        earlier = earlier.__cause__ or earlier.__context__
    return f"{type(error).__name__}: {_first_line(error)}"


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without what joblib says of tasks that it cancels when a hunt is interrupted."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=UserWarning, module="joblib")
        yield


@contextlib.contextmanager
def _backend(engine: str) -> Iterator[tuple[str, int]]:
    """Connect to a cluster, for as long as it is needed; gives joblib's name for it, and its cores where known."""
    scheme, _, address = engine.partition("://")
    if engine == LOKY:
        yield LOKY, 0
    elif scheme == "dask" and address:
        with _dask(address):
            yield "dask", 0
    elif scheme == "ray" and address:
        with _ray(address) as cores:
            yield "ray", cores
    else:
        raise HuntError(f'no engine "{engine}": it is loky, dask://HOST:PORT or ray://HOST:PORT')


@contextlib.contextmanager
def _dask(address: str) -> Iterator[None]:
    distributed = _load("distributed", "Dask", "dask")
    try:
        client = distributed.Client(f"tcp://{_with_port(address, DASK_PORT)}", timeout=5, set_as_default=True)
    except (OSError, ValueError) as error:
        raise HuntError(
            f"no Dask scheduler answers at {_with_port(address, DASK_PORT)}: {_first_line(error)}"
        ) from None
    try:
        yield
    finally:
        client.close()


@contextlib.contextmanager
def _ray(address: str) -> Iterator[int]:
    ray = _load("ray", "Ray", "ray")
    try:
        ray.init(f"ray://{_with_port(address, RAY_PORT)}", logging_level="error", log_to_driver=False)
    except (OSError, ValueError, RuntimeError) as error:
        raise HuntError(f"no Ray cluster answers at {_with_port(address, RAY_PORT)}: {_first_line(error)}") from None
    try:
        _load("ray.util.joblib", "Ray", "ray").register_ray()
        yield max(1, int(ray.cluster_resources().get("CPU", 1)))
    finally:
        ray.shutdown()


def _load(module: str, what: str, extra: str) -> Any:  # noqa: ANN401 - none of these has types, and each may be absent
    try:
        return importlib.import_module(module)
    except ImportError:
        raise HuntError(f"{what} is not installed: pip install 'oarlock[{extra}]'") from None


def _with_port(address: str, port: int) -> str:
    return address if ":" in address else f"{address}:{port}"
