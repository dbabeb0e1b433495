"""The scenarios of the services: ours pass, and each that is broken on purpose fails where it must."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import pytest

from oarlock.lab.interface import ApplyMsg
from oarlock.lab.raft import make
from oarlock.lab.services import kv, rsm, shard_control, shard_store
from oarlock.lab.services.interface import Error, Services
from oarlock.lab.services.rsm import Rsm
from oarlock.lab.suite.catalogue import SCENARIOS
from oarlock.lab.suite.run import Outcome, run_scenario
from oarlock.lab.threads import RealRuntime, VirtualRuntime

LIMIT_S = 40.0
"""For what is broken, and may never end."""
QUICK = [
    *(entry.id for entry in SCENARIOS.values() if entry.part in ("4A", "SC")),
    "4B-Basic",
    "4B-Speed",
    "4B-UnreliableOneKey",
    "4B-OnePartition",
    "4B-PersistConcurrentUnreliable",
    "4B-PersistPartitionUnreliable",
    "4C-RsmSnapshot",
    "4C-SnapshotRPC",
    "4C-SnapshotRecover",
    "4C-SnapshotUnreliableRecoverConcurrentPartition",
    "SK-StaticShards",
    "SK-Rejection",
    "SK-JoinLeave",
    "SK-Snapshot",
    "SK-MissChange",
    "SK-Unreliable1",
    "SK-Challenge1Delete",
    "SK-Challenge2Unaffected",
    "SK-Challenge2Partial",
    *(entry.id for entry in SCENARIOS.values() if entry.part == "5A" and "Clerk" not in entry.name and entry.reliable),
    "5B-JoinLeave",
    "5B-RecoverCtrler",
    "5C-ConcurrentUnreliable",
    "5C-PartitionControllerJoin",
    "5C-PartitionRecoveryUnreliableNoClerk",
    "5C-PartitionRecoveryUnreliableClerks",
]


def _run(
    scenario: str, seed: int = 1, change: Callable[[VirtualRuntime, Any], Any] | None = None, limit_s: float = 120
) -> Outcome:
    runtime = VirtualRuntime(seed)
    implementation = runtime.load("oarlock.lab.raft:make")
    tested = implementation if change is None else change(runtime, implementation)
    return run_scenario(runtime, tested, SCENARIOS[scenario], limit_s=limit_s)


@pytest.mark.parametrize("scenario", QUICK)
def test_our_services_pass(scenario: str) -> None:
    """What stands on our Raft does what the labs require."""
    outcome = _run(scenario)
    assert outcome.passed, outcome.failure


@pytest.mark.cluster
@pytest.mark.parametrize(
    "scenario", ["4A-LeaderPartition", "4B-Speed", "4C-SnapshotUnreliableRecover", "5C-ConcurrentReliable"]
)
def test_our_services_pass_on_real_threads(scenario: str) -> None:
    """So do they where threads and time are the machine's own."""
    outcome = run_scenario(RealRuntime(), make, SCENARIOS[scenario])
    assert outcome.passed, outcome.failure


def _fails(scenario: str, change: Callable[[VirtualRuntime, Any], Any] | None = None, seeds: int = 5) -> str:
    """What the first of some seeds that fails fails with."""
    return next(
        (outcome.failure for seed in range(1, seeds + 1) if (outcome := _run(scenario, seed, change, LIMIT_S)).failure),
        "",
    )


class _KnowsByIndex(Rsm):
    """Whoever waits at an index is told of what is applied there (G26)."""

    def _carry_out(self, message: ApplyMsg) -> None:
        reply = self._machine.do_op(rsm._DECODER.decode(message.command).request)
        waiter = self._pending.pop(message.command_index, None)
        if waiter is not None:
            waiter.settle(Error.OK, reply)


class _WaitsForEver(Rsm):
    """Nobody looks whether the leadership was lost (G28)."""

    def _give_up(self, index: int, waiter: Any) -> None:
        pass


class _ForgetsSnapshots(Rsm):
    """A snapshot that comes out of the channel is dropped (B5)."""

    def _take(self, message: ApplyMsg) -> bytes | None:
        return None if message.snapshot_valid else super()._take(message)


def _with(broken: type[Rsm], runtime: VirtualRuntime, make: Any) -> Services:
    return Services(make=make, make_rsm=partial(broken, runtime, make))


@pytest.mark.parametrize(
    ("broken", "scenario", "says"),
    [
        (_KnowsByIndex, "4A-LeaderPartition", "deposed leader were answered as carried out"),
        (_WaitsForEver, "4A-LeaderPartition", "took more than 1 s"),
        (_ForgetsSnapshots, "4C-SnapshotRPC", "not linearizable|holds"),
    ],
)
def test_a_broken_replicated_machine_fails(
    broken: type[Rsm], scenario: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The scenarios of the replicated machine see waiters that are told wrong or nothing, and lost snapshots."""
    if broken is _KnowsByIndex:
        monkeypatch.setattr(rsm, "LOOK_S", 0.5)  # else waiters have mostly given up before the index is applied
    failure = _fails(scenario, partial(_with, broken))
    assert any(word in failure for word in says.split("|")), failure


class _AnswersWithoutAgreement(kv.KvServer):
    """Gets are answered from the machine at hand, whoever leads."""

    def get(self, asked: kv.Get) -> kv.GetReply:
        return kv.get_from(self._rsm._machine._held, asked)  # type: ignore[attr-defined]


def _serve_without_agreement(runtime: VirtualRuntime, make: Any) -> Services:
    def start(peers: Sequence[Any], me: int, persister: Any, max_raft_state: int) -> Any:
        rsm = Rsm(runtime, make, peers, me, persister, max_raft_state, kv.VersionedStore())
        return {"Raft": rsm.raft, "Kv": _AnswersWithoutAgreement(rsm)}

    return Services(make=make, make_kv_server=start)


def test_stale_reads_are_found() -> None:
    """A server that answers gets by itself fails where servers are split."""
    assert _fails("4B-OnePartition", _serve_without_agreement)


class _NeverDoubts(kv.Clerk):
    """A put that was sent again and refused counts as refused (the labs' ErrMaybe left out)."""

    def put(self, key: str, value: str, version: int) -> Error:
        error = super().put(key, value, version)
        return Error.VERSION if error is Error.MAYBE else error


def _never_doubting(runtime: VirtualRuntime, make: Any) -> Services:
    return Services(make=make, make_kv_clerk=partial(_NeverDoubts, runtime))


def test_a_clerk_that_never_doubts_is_found() -> None:
    """Whoever denies a put that was done, as its reply was lost, is contradicted by later gets."""
    failure = _fails("4B-Unreliable", _never_doubting)
    assert "not linearizable" in failure or "versions rose" in failure


def test_a_rival_that_overwrites_what_is_pending_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two controllers with different plans of one number scatter shards so that nobody has them."""

    def plans(self: Any, wanted: Any) -> bool:
        current = self.query()
        self._finish_next(current)
        current = self.query()
        _, version = self._read(shard_control.NEXT)
        if wanted.num != current.num + 1:
            return False
        self._store.put(shard_control.NEXT, shard_control._as_text(wanted), version)
        self._finish_next(current)
        return True

    monkeypatch.setattr(shard_control.ShardControl, "change_to", plans)
    assert "not over after 15 s" in _run("5C-ConcurrentReliable", seed=2, limit_s=15).failure  # else it takes 3 s


def test_a_group_that_serves_frozen_shards_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A shard that is served on both sides of a move loses writes."""
    serve = shard_store.ShardStore._serve

    def serves_all(self: Any, asked: Any) -> Any:
        for shard in self._state.shards.values():
            shard.frozen = False
        return serve(self, asked)

    monkeypatch.setattr(shard_store.ShardStore, "_serve", serves_all)
    assert _fails("5A-ManyConcurrentClerkUnreliable", seeds=2)
