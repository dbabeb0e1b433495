"""What a server is to be: etcd's defaults and ids, and every contradiction found before anything starts."""

from pathlib import Path

import pytest

from oarlock.cli.flags import FlagError
from oarlock.cli.joining import Place
from oarlock.cli.serve import _node_config as node_config
from oarlock.cli.settings import ServeSettings, read_settings

CLUSTER = "s1=http://10.0.0.1:2380,s2=http://10.0.0.2:2380,s3=http://10.0.0.3:2380"


def settings(*arguments: str, **environment: str) -> ServeSettings:
    return read_settings(arguments, environment)


def test_defaults_are_etcds() -> None:
    """Without flags: etcd's name, directory, ports and times, and the very ids etcd computes (observed on 3.5)."""
    found = settings()
    assert (found.name, found.data_dir) == ("default", "default.etcd")
    assert f"{found.server_id:x}" == "8e9e05c52164694d"
    assert f"{found.cluster_id:x}" == "cdf818194e3a8c32"
    assert [url.bind_url for url in found.listen_client] == ["http://127.0.0.1:2379"]
    assert [url.text for url in found.advertise_client] == ["http://localhost:2379"]
    assert [url.bind_address for url in found.listen_peer] == [("127.0.0.1", 2380)]
    assert (found.heartbeat_ms, found.election_ms, found.snapshot_count) == (100, 1000, 100_000)
    assert found.quota_bytes == 2 << 30
    assert found.warnings == ()


def test_alone_under_another_name() -> None:
    """A name alone makes a cluster of one of that name."""
    found = settings("--name", "s1")
    assert [member.name for member in found.members] == ["s1"]
    assert found.data_dir == "s1.etcd"


def test_three_members() -> None:
    """All members' ids follow from the plan and the token, whoever computes them, in whatever order it is written."""
    own = ("--initial-advertise-peer-urls", "http://10.0.0.2:2380", "--initial-cluster", CLUSTER)
    found = settings("--name", "s2", *own)
    assert [member.name for member in found.members] == ["s1", "s2", "s3"]
    reordered = ",".join(reversed(CLUSTER.split(",")))
    other = settings(
        "--name", "s3", "--initial-advertise-peer-urls", "http://10.0.0.3:2380", "--initial-cluster", reordered
    )
    assert other.cluster_id == found.cluster_id
    assert other.members == found.members
    token = settings("--name", "s2", *own, "--initial-cluster-token", "another")
    assert token.cluster_id != found.cluster_id
    assert token.server_id != found.server_id


def test_member_with_several_urls() -> None:
    """A name may be given once for each of its URLs, and order does not matter."""
    found = settings(
        "--name=s1",
        "--initial-advertise-peer-urls=http://10.0.0.2:1,http://10.0.0.1:1",
        "--initial-cluster=s1=http://10.0.0.1:1,s1=http://10.0.0.2:1",
    )
    assert [url.address for url in found.members[0].peer_urls] == [("10.0.0.1", 1), ("10.0.0.2", 1)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--name", "s4", "--initial-cluster", CLUSTER], "does not name this member, 's4'; it names s1, s2, s3"),
        (["--name", "s1", "--initial-cluster", CLUSTER], "but --initial-advertise-peer-urls is http://localhost:2380"),
        (["--initial-cluster", "default"], "'default' must have the form NAME=PEER-URL"),
        (["--initial-cluster", ","], "--initial-cluster names no member"),
        (
            ["--initial-cluster", "default=http://localhost:2380,other=http://localhost:2380"],
            "gives http://localhost:2380 to both default and other",
        ),
        (["--initial-cluster-state", "old"], "must be new or existing, not 'old'"),
        (["--listen-client-urls", "http://127.0.0.1:1"], "--advertise-client-urls is required"),
        (["--listen-peer-urls", "http://db.example.com:2380"], "listening needs an IP address or localhost"),
        (["--listen-peer-urls", "127.0.0.1:2380"], "must begin with http:// or https://"),
        (["--listen-peer-urls", "http://127.0.0.1"], "must have the form http://HOST:PORT"),
        (["--listen-peer-urls", "http://127.0.0.1:99999"], "is not a URL"),
        (["--listen-peer-urls", "http://127.0.0.1:1/path"], "nothing behind or before host and port"),
        (["--listen-peer-urls", "unix://sock:1"], "unix sockets are not supported"),
        (["--listen-peer-urls", ""], "needs at least one URL"),
        (["--election-timeout", "400"], "must be at least 5 times --heartbeat-interval, which is 100 ms"),
        (["--election-timeout", "60000"], "must be at most 50000 ms"),
        (["--heartbeat-interval", "0"], "--heartbeat-interval must be above 0, not 0"),
        (["--max-concurrent-streams", "4294967296"], "must be at most 4294967295, not 4294967296"),
        (["--backend-batch-limit", "-1"], "--backend-batch-limit must not be below 0, as -1 is"),
        (["--name", ""], "--name must not be empty"),
        (["--name", "a=b"], "--name must not be empty or hold '='"),
        (["--log-level", "loud"], "--log-level must be one of debug, info"),
        (["--log-format", "xml"], "--log-format must be auto, console or json"),
        (
            ["--listen-client-urls", "https://127.0.0.1:1", "--advertise-client-urls", "https://127.0.0.1:1"],
            "an https URL needs --cert-file and --key-file",
        ),
        (
            ["--listen-client-urls", "https://127.0.0.1:1,http://127.0.0.1:2", "--advertise-client-urls", "http://a:1"],
            "must be all http or all https",
        ),
        (["--max-clock-drift=51"], "--max-clock-drift must be at most 50 percent, not 51"),
        (["--max-clock-drift=-1"], "--max-clock-drift must not be below 0, as -1 is"),
    ],
)
def test_contradictions(arguments: list[str], message: str) -> None:
    """Each is one clear line, and nothing was started or written."""
    with pytest.raises(FlagError) as refusal:
        settings(*arguments)
    assert message in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_tls_files(tmp_path: Path) -> None:
    """TLS is used where a URL is https; files must exist, and files nobody needs are named in a warning."""
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    https = ["--listen-client-urls=https://127.0.0.1:1", "--advertise-client-urls=https://127.0.0.1:1"]
    files = [f"--cert-file={cert}", f"--key-file={key}"]
    with pytest.raises(FlagError, match="--cert-file: there is no file"):
        settings(*https, *files)
    cert.touch()
    key.touch()
    found = settings(*https, *files)
    assert found.client_tls is not None
    assert found.client_tls.ca_file == ""
    trusting = settings(*https, *files, f"--trusted-ca-file={cert}").client_tls
    assert trusting is not None
    assert trusting.ca_file == str(cert), "as in etcd, naming the CA demands certificates, with or without the switch"
    with pytest.raises(FlagError, match="--client-cert-auth needs --trusted-ca-file"):
        settings(*https, *files, "--client-cert-auth")
    assert "ignored" in settings(*files).warnings[0]


def test_quota() -> None:
    """As with etcd: 0 is the default of 2 GiB, negative is none."""
    assert settings("--quota-backend-bytes=-1").quota_bytes < 0
    assert settings("--quota-backend-bytes=1000000").quota_bytes == 1_000_000


def test_leases_are_off_by_default_and_trust_the_declared_drift() -> None:
    """`--lease-reads` and `--max-clock-drift` reach the node; without them reads ask, and 10 % are allowed for."""
    for flags, expected in (((), (False, 0.1)), (("--lease-reads", "--max-clock-drift=25"), (True, 0.25))):
        found = settings(*flags)
        own = {found.server_id: found.members[0].peer_urls}
        config = node_config(found, Place(found.cluster_id, found.server_id, joins=False, peer_urls=own))
        assert (config.lease_reads, config.max_clock_drift) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("127.0.0.1:2382", ("127.0.0.1", 2382)), ("localhost:0", ("127.0.0.1", 0)), ("[::1]:80", ("::1", 80))],
)
def test_dashboard_listens_on_this_machine(text: str, expected: tuple[str, int]) -> None:
    """The dashboard is off by default, and listens where only this machine can ask."""
    assert settings().dashboard is None
    assert settings("--dashboard-listen", text).dashboard == expected


def test_dashboard_elsewhere_must_be_wanted() -> None:
    """An address that others reach is refused without the flag that says so."""
    with pytest.raises(FlagError, match="--dashboard-allow-remote"):
        settings("--dashboard-listen", "0.0.0.0:2382")
    found = settings("--dashboard-listen", "0.0.0.0:2382", "--dashboard-allow-remote")
    assert found.dashboard is not None
    assert found.dashboard[1] == 2382


@pytest.mark.parametrize("text", ["2382", "127.0.0.1", "example.com:2382", "127.0.0.1:x", "127.0.0.1:70000"])
def test_dashboard_needs_an_address(text: str) -> None:
    """What is no address, or a name, is refused in one line."""
    with pytest.raises(FlagError, match="--dashboard-listen"):
        settings("--dashboard-listen", text)
