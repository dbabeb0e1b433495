"""What a server is to be, worked out from its flags: everything that can be wrong is found before anything starts."""

import ipaddress
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from oarlock.cli.etcd_flags import ETCD_FLAGS
from oarlock.cli.flags import FlagError, ParsedFlags, parse
from oarlock.cli.urls import Url, check_can_bind, parse_cluster, parse_urls
from oarlock.etcd.services.cluster import cluster_id, member_id

LOG_LEVELS = ("debug", "info", "warn", "error", "dpanic", "panic", "fatal")
_DEFAULT_QUOTA_BYTES = 2 << 30
_MAX_ELECTION_TIMEOUT_MS = 50_000
_MAX_STREAMS = (1 << 32) - 1
_MAX_DRIFT_PERCENT = 50
"""Where more is to be feared, a lease is no help: little would be left of it."""


class TlsFiles(msgspec.Struct, frozen=True):
    """Where the files of one side's TLS are."""

    cert_file: str
    key_file: str
    ca_file: str
    """Empty: the other side needs no certificate. Named: it needs one, with or without the switch, as in etcd."""


class MemberUrls(msgspec.Struct, frozen=True):
    """One member of the cluster as planned."""

    name: str
    id: int
    peer_urls: tuple[Url, ...]


class ServeSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything `oarlock serve` needs to know."""

    name: str
    data_dir: str
    wal_dir: str
    cluster_id: int
    server_id: int
    members: tuple[MemberUrls, ...]
    """All of them as planned, this one included; the ids are those of a new cluster."""
    joins_existing: bool
    listen_peer: tuple[Url, ...]
    listen_client: tuple[Url, ...]
    listen_metrics: tuple[Url, ...]
    advertise_client: tuple[Url, ...]
    client_tls: TlsFiles | None
    peer_tls: TlsFiles | None
    heartbeat_ms: int
    election_ms: int
    snapshot_count: int
    snapshot_tail: int
    flush_interval_ms: int
    flush_entries: int
    pre_vote: bool
    lease_reads: bool
    max_clock_drift: float
    """As a fraction."""
    strict_reconfig_check: bool
    max_learners: int
    quota_bytes: int
    """Negative: none."""
    max_txn_ops: int
    max_request_bytes: int
    max_concurrent_streams: int
    log_level: str
    log_outputs: tuple[str, ...]
    log_format: str
    trace: str
    """Where to record what this server does; empty: nowhere."""
    dashboard: tuple[str, int] | None
    """Where to show it."""
    warnings: tuple[str, ...]
    """To be logged, once the log is set up."""


def read_settings(arguments: Sequence[str], environment: Mapping[str, str]) -> ServeSettings:
    """Work out what a server is to be.

    Args:
        arguments: Those after `serve`.
        environment: Its `ETCD_*` variables count.

    Raises:
        FlagError: Something is unknown, unusable or contradicts itself; the message is one line.
    """
    flags = parse(ETCD_FLAGS, arguments, environment)
    warnings = list(flags.warnings)
    name = flags.text("name")
    if not name or "=" in name or "," in name:
        raise FlagError(f"--name must not be empty or hold '=' or ',', as {name!r} does")
    listen_peer = _listen(flags, "listen-peer-urls")
    listen_client = _listen(flags, "listen-client-urls")
    if "listen-client-urls" in flags.given and "advertise-client-urls" not in flags.given:
        raise FlagError("--advertise-client-urls is required when --listen-client-urls is set")
    advertise_peer = parse_urls(flags.text("initial-advertise-peer-urls"), "--initial-advertise-peer-urls")
    members = _members(flags, name, advertise_peer)
    heartbeat_ms, election_ms = _timing(flags)
    return ServeSettings(
        name=name,
        data_dir=flags.text("data-dir") or f"{name}.etcd",
        wal_dir=flags.text("wal-dir"),
        cluster_id=cluster_id(member.id for member in members),
        server_id=next(member.id for member in members if member.name == name),
        members=members,
        joins_existing=_cluster_state(flags) == "existing",
        listen_peer=listen_peer,
        listen_client=listen_client,
        listen_metrics=_listen(flags, "listen-metrics-urls") if flags.text("listen-metrics-urls") else (),
        advertise_client=parse_urls(flags.text("advertise-client-urls"), "--advertise-client-urls"),
        client_tls=_tls(
            "", listen_client, flags, ("cert-file", "key-file", "client-cert-auth", "trusted-ca-file"), warnings
        ),
        peer_tls=_tls(
            "peer-",
            listen_peer + advertise_peer,
            flags,
            ("peer-cert-file", "peer-key-file", "peer-client-cert-auth", "peer-trusted-ca-file"),
            warnings,
        ),
        heartbeat_ms=heartbeat_ms,
        election_ms=election_ms,
        snapshot_count=_positive(flags, "snapshot-count"),
        snapshot_tail=_positive(flags, "experimental-snapshot-catchup-entries"),
        flush_interval_ms=round(flags.seconds("backend-batch-interval") * 1000) or 100,
        flush_entries=_not_negative(flags, "backend-batch-limit") or 10_000,
        pre_vote=flags.switch("pre-vote"),
        lease_reads=flags.switch("lease-reads"),
        max_clock_drift=_drift(flags),
        strict_reconfig_check=flags.switch("strict-reconfig-check"),
        max_learners=_positive(flags, "experimental-max-learners"),
        quota_bytes=_quota(flags),
        max_txn_ops=_positive(flags, "max-txn-ops"),
        max_request_bytes=_positive(flags, "max-request-bytes"),
        max_concurrent_streams=_streams(flags),
        log_level=_log_level(flags),
        log_outputs=_log_outputs(flags),
        log_format=_log_format(flags),
        trace=_trace(flags),
        dashboard=_dashboard(flags),
        warnings=tuple(warnings),
    )


def _members(flags: ParsedFlags, name: str, advertise_peer: tuple[Url, ...]) -> tuple[MemberUrls, ...]:
    """The cluster as planned; this member must be in it with just the URLs it advertises."""
    text = flags.text("initial-cluster")
    cluster = parse_cluster(text) if text else {name: advertise_peer}
    if name not in cluster:
        raise FlagError(f"--initial-cluster does not name this member, {name!r}; it names {', '.join(sorted(cluster))}")
    planned, own = _texts(cluster[name]), _texts(advertise_peer)
    if planned != own:
        raise FlagError(f"--initial-cluster has {name}={planned}, but --initial-advertise-peer-urls is {own}")
    token = flags.text("initial-cluster-token")
    members = tuple(
        MemberUrls(member, member_id([url.text for url in urls], token), urls)
        for member, urls in sorted(cluster.items())
    )
    owners: dict[str, str] = {}
    for member in members:
        for url in member.peer_urls:
            if owners.setdefault(url.text, member.name) != member.name:
                raise FlagError(f"--initial-cluster gives {url.text} to both {owners[url.text]} and {member.name}")
    return members


def _listen(flags: ParsedFlags, name: str) -> tuple[Url, ...]:
    urls = parse_urls(flags.text(name), f"--{name}")
    check_can_bind(urls, f"--{name}")
    return urls


def _texts(urls: tuple[Url, ...]) -> str:
    return ",".join(url.text for url in urls)


def _cluster_state(flags: ParsedFlags) -> str:
    state = flags.text("initial-cluster-state")
    if state not in ("new", "existing"):
        raise FlagError(f"--initial-cluster-state must be new or existing, not {state!r}")
    return state


def _timing(flags: ParsedFlags) -> tuple[int, int]:
    heartbeat_ms = _positive(flags, "heartbeat-interval")
    election_ms = _positive(flags, "election-timeout")
    if election_ms < 5 * heartbeat_ms:
        raise FlagError(
            f"--election-timeout is {election_ms} ms, but must be at least 5 times --heartbeat-interval, which is "
            f"{heartbeat_ms} ms"
        )
    if election_ms > _MAX_ELECTION_TIMEOUT_MS:
        raise FlagError(f"--election-timeout is {election_ms} ms, but must be at most {_MAX_ELECTION_TIMEOUT_MS} ms")
    return heartbeat_ms, election_ms


def _tls(
    prefix: str,
    urls: tuple[Url, ...],
    flags: ParsedFlags,
    names: tuple[str, str, str, str],
    warnings: list[str],
) -> TlsFiles | None:
    """The TLS of one side: needed where a URL is https, and unused where none is."""
    cert, key, auth, ca = names
    cert_file, key_file, ca_file = flags.text(cert), flags.text(key), flags.text(ca)
    if not any(url.is_secure for url in urls):
        if cert_file or key_file or ca_file or flags.switch(auth):
            warnings.append(f"no URL is https, so --{prefix}cert-file and its companions are ignored")
        return None
    if len({url.is_secure for url in urls}) > 1:
        raise FlagError(f"{urls[0].text} and the other URLs beside it must be all http or all https")
    if not cert_file or not key_file:
        raise FlagError(f"an https URL needs --{cert} and --{key}")
    if flags.switch(auth) and not ca_file:
        raise FlagError(f"--{auth} needs --{ca}")
    for flag, file in ((cert, cert_file), (key, key_file), (ca, ca_file)):
        if file and not Path(file).is_file():
            raise FlagError(f"--{flag}: there is no file {file}")
    return TlsFiles(cert_file, key_file, ca_file)


def _positive(flags: ParsedFlags, name: str) -> int:
    value = flags.number(name)
    if value <= 0:
        raise FlagError(f"--{name} must be above 0, not {value}")
    return value


def _streams(flags: ParsedFlags) -> int:
    value = _positive(flags, "max-concurrent-streams")
    if value > _MAX_STREAMS:
        raise FlagError(f"--max-concurrent-streams must be at most {_MAX_STREAMS}, not {value}")
    return value


def _not_negative(flags: ParsedFlags, name: str) -> int:
    value = flags.number(name)
    if value < 0:
        raise FlagError(f"--{name} must not be below 0, as {value} is")
    return value


def _drift(flags: ParsedFlags) -> float:
    value = _not_negative(flags, "max-clock-drift")
    if value > _MAX_DRIFT_PERCENT:
        raise FlagError(f"--max-clock-drift must be at most {_MAX_DRIFT_PERCENT} percent, not {value}")
    return value / 100


def _quota(flags: ParsedFlags) -> int:
    """Etcd's meaning: 0 is the default, negative is none."""
    value = flags.number("quota-backend-bytes")
    return value or _DEFAULT_QUOTA_BYTES


def _log_level(flags: ParsedFlags) -> str:
    level = flags.text("log-level")
    if level not in LOG_LEVELS:
        raise FlagError(f"--log-level must be one of {', '.join(LOG_LEVELS)}, not {level!r}")
    return level


def _log_outputs(flags: ParsedFlags) -> tuple[str, ...]:
    outputs = tuple(part.strip() for part in flags.text("log-outputs").split(",") if part.strip())
    if not outputs:
        raise FlagError("--log-outputs names no output")
    return outputs


def _log_format(flags: ParsedFlags) -> str:
    log_format = flags.text("log-format")
    if log_format not in ("auto", "console", "json"):
        raise FlagError(f"--log-format must be auto, console or json, not {log_format!r}")
    return log_format


def _trace(flags: ParsedFlags) -> str:
    path = flags.text("trace")
    if path and Path(path).is_dir():
        raise FlagError(f"--trace names a file, but {path} is a directory")
    if path and not Path(path).parent.is_dir():
        raise FlagError(f"--trace: there is no directory {Path(path).parent}")
    return path


def _dashboard(flags: ParsedFlags) -> tuple[str, int] | None:
    """Where the dashboard listens: where only this machine can ask, unless more is asked for by name."""
    text = flags.text("dashboard-listen")
    if not text:
        return None
    host, _, port = text.rpartition(":")
    host = "127.0.0.1" if host == "localhost" else host.removeprefix("[").removesuffix("]")
    try:
        address = ipaddress.ip_address(host)
        number = int(port)
    except ValueError:
        raise FlagError(f"--dashboard-listen must be HOST:PORT, such as 127.0.0.1:2382, not {text!r}") from None
    if not 0 <= number < 1 << 16:
        raise FlagError(f"--dashboard-listen: port {number} must lie between 0 and 65535")
    if not address.is_loopback and not flags.switch("dashboard-allow-remote"):
        raise FlagError(
            f"--dashboard-listen {text}: whoever reaches that address could watch, without encryption or a password; "
            f"give --dashboard-allow-remote if that is wanted"
        )
    return host, number
