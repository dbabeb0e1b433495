"""One real etcd and one server of ours for the whole package."""

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from tests.support.etcd_process import EtcdProcess, etcd_3_5
from tests.support.grpc_client import EtcdClient
from tests.support.local_server import LocalServer
from tests.support.pair import Pair


@pytest.fixture(scope="package")
def etcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EtcdProcess]:
    """The oracle."""
    with EtcdProcess(etcd_3_5(), tmp_path_factory.mktemp("etcd")) as process:
        yield process


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def both(etcd: EtcdProcess, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Pair]:
    """Clients of both."""
    async with (
        LocalServer(tmp_path_factory.mktemp("ours")) as server,
        EtcdClient(etcd.endpoint) as theirs,
        EtcdClient(server.endpoint) as ours,
    ):
        yield Pair(theirs, ours)


@pytest_asyncio.fixture(loop_scope="package")
async def pair(both: Pair) -> Pair:
    """Both, emptied and at the same revision."""
    await both.reset()
    return both
