"""A store on each backend."""

from collections.abc import Iterator

import pytest

from oarlock.mvcc.lmdb_backend import LmdbBackend
from oarlock.mvcc.memory_backend import MemoryBackend
from oarlock.mvcc.store import Store


@pytest.fixture(params=["memory", "lmdb"])
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    """An empty store on each backend."""
    if request.param == "memory":
        backend: MemoryBackend | LmdbBackend = MemoryBackend()
    else:
        backend = LmdbBackend(request.getfixturevalue("tmp_path") / "db")
    opened = Store(backend)
    yield opened
    opened.close()
