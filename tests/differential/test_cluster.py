"""Three real servers of ours, each request to another of them, against one etcd: a cluster answers as one."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.message import Message
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from tests.differential import (
    test_put_delete,
    test_range,
    test_revisions,
    test_txn,
)
from tests.differential.test_random import crashes_etcd, requests
from tests.support.etcd_process import EtcdProcess
from tests.support.grpc_client import EtcdClient
from tests.support.pair import ALL_KEYS, Pair, get
from tests.support.process_cluster import ProcessCluster

pytestmark = [pytest.mark.differential, pytest.mark.cluster, pytest.mark.asyncio(loop_scope="function")]

SCRIPTS: list[Callable[[Pair], Awaitable[None]]] = [
    test_revisions.test_a_transaction_is_one_revision,
    test_revisions.test_headers_inside_a_transaction_have_the_revision_only,
    test_range.test_old_revisions,
    test_put_delete.test_prev_kv,
    test_put_delete.test_ignore_value_and_ignore_lease,
    test_txn.test_nested_compares_look_at_the_state_before,
    test_txn.test_malformed_transactions,
]


class Rotation:
    """Asks one server after another; what a single server answers from its own state goes where the last call went."""

    def __init__(self, clients: list[EtcdClient]) -> None:
        self._clients = clients
        self._last = 0

    async def call(self, method: str, request: Message) -> Any:
        """Ask."""
        if not getattr(request, "serializable", False):
            self._last = (self._last + 1) % len(self._clients)
        return await self._clients[self._last].call(method, request)


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate])
@given(asks=st.lists(requests, min_size=4, max_size=14))
def check(runner: Callable[[list[Any]], None], asks: list[Any]) -> None:
    """Play the sequence on both."""
    runner(asks)


async def test_a_cluster_answers_as_one_etcd(etcd: EtcdProcess, tmp_path: Path) -> None:
    """Whichever member is asked, the answers are etcd's: no member is behind what another has acknowledged."""
    loop = asyncio.get_running_loop()
    async with ProcessCluster(tmp_path) as cluster, EtcdClient(etcd.endpoint) as theirs:
        clients = [EtcdClient(server.endpoint) for server in cluster.servers]
        pair = Pair(theirs, Rotation(clients))  # type: ignore[arg-type]
        for script in SCRIPTS:
            await pair.reset()
            await script(pair)

        async def play(asks: list[Any]) -> None:
            await pair.reset()
            for ask in asks:
                call = ask(pair.base)
                if not crashes_etcd(call):
                    await pair.same(call)
            for revision in range(pair.base, pair.base + len(asks) + 2):
                await pair.same(get(**ALL_KEYS, revision=revision))

        def run(asks: list[Any]) -> None:
            asyncio.run_coroutine_threadsafe(play(asks), loop).result(100)

        await asyncio.to_thread(check, run)
        for client in clients:
            await client.close()
