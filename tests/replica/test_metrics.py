"""What a node tells about itself, and traffic that nobody else can read or join."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.support.replicated import Register
from tests.transport.certificates import Authority

import oarlock
from oarlock.testing.clusters import cluster, eventually


async def test_metrics_have_etcds_names() -> None:
    """The page parses, and shows who leads, what was applied, and what is the library's own."""
    async with cluster(2, objects=lambda: [Register()]) as servers:
        leader = await servers.leader()
        await servers.objects(leader)[0].add(1)
        await servers.nodes[leader].open_session()
        page = servers.nodes[leader].metrics().page()
        found = {
            sample.name: sample.value
            for family in text_string_to_metric_families(page)
            for sample in family.samples
            if not sample.labels or "le" in sample.labels
        }
        assert found["etcd_server_is_leader"] == 1
        assert found["etcd_server_has_leader"] == 1
        assert found["etcd_server_proposals_applied_total"] >= 2
        assert found["etcd_disk_wal_fsync_duration_seconds_count"] > 0
        assert found["oarlock_library_sessions"] == 1
        assert found["oarlock_library_slow_commands_total"] == 0
        assert "etcd_network_peer_sent_bytes_total{To=" in page
        follower = await servers.follower()
        assert "etcd_server_is_leader 0.0" in servers.nodes[follower].metrics().page()


async def test_servers_with_certificates_of_one_authority_work_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With TLS files a cluster works, and takes in another server; one with a stranger's certificate is not let in."""
    tls = Authority(tmp_path).issue("server")
    async with cluster(1, objects=lambda: [Register()], directory=tmp_path / "data", tls=tls) as servers:
        await servers.objects(0)[0].add(1)
        await servers.add()
        assert await servers.objects(1)[0].read("get") == 1
        await eventually(lambda: len(servers.nodes[0].status().voters) == 2, "it has a vote")
        (tmp_path / "other").mkdir()
        stranger = replace(Authority(tmp_path / "other", "other").issue("stranger"), ca_file=tls.ca_file)
        monkeypatch.setattr("oarlock.replica.joining._JOIN_FOR_S", 0.1)
        with pytest.raises(oarlock.JoinRefused):
            await servers.add(tls=stranger)
    shutil.rmtree(tmp_path / "data")
