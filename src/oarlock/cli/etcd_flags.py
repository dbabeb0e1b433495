"""Every flag of etcd 3.4 and 3.5, and what we make of it."""

from typing import Final

from oarlock.cli.flags import Flag, Kind, Use

DEFAULT_NAME: Final = "default"
DEFAULT_CLIENT_URL: Final = "http://localhost:2379"
DEFAULT_PEER_URL: Final = "http://localhost:2380"

MEMBER: Final = (
    Flag("name", DEFAULT_NAME, "human-readable name of this member"),
    Flag("data-dir", "", "directory of all data (default: NAME.etcd)"),
    Flag("wal-dir", "", "directory of the log (default: inside the data directory)"),
    Flag("snapshot-count", 100_000, "applied entries after which the log is compacted", Kind.NUMBER),
    Flag("experimental-snapshot-catchup-entries", 5000, "entries kept behind that for slow members", Kind.NUMBER),
    Flag("heartbeat-interval", 100, "milliseconds between a leader's heartbeats", Kind.NUMBER),
    Flag("election-timeout", 1000, "milliseconds without a leader before an election", Kind.NUMBER),
    Flag("listen-peer-urls", DEFAULT_PEER_URL, "URLs to listen on for other members"),
    Flag("listen-client-urls", DEFAULT_CLIENT_URL, "URLs to listen on for clients"),
    Flag("listen-metrics-urls", "", "more URLs that answer /metrics and /health"),
    Flag("quota-backend-bytes", 0, "size of the database at which writes are refused (0: 2 GiB)", Kind.NUMBER),
    Flag("backend-batch-interval", 0.0, "longest time between commits of the database", Kind.DURATION),
    Flag("backend-batch-limit", 0, "entries after which the database is committed earlier", Kind.NUMBER),
    Flag("max-txn-ops", 128, "operations allowed in a transaction", Kind.NUMBER),
    Flag("max-request-bytes", 1_572_864, "size of the largest request", Kind.NUMBER),
    Flag("max-concurrent-streams", 1024, "requests open at once on one connection of a client", Kind.NUMBER),
    Flag("pre-vote", True, "ask before campaigning, so that a returning member disturbs nobody", Kind.SWITCH),
)

CLUSTERING: Final = (
    Flag("initial-advertise-peer-urls", DEFAULT_PEER_URL, "this member's URLs for other members"),
    Flag("advertise-client-urls", DEFAULT_CLIENT_URL, "this member's URLs for clients"),
    Flag("initial-cluster", "", "all members: NAME=PEER-URL,NAME=PEER-URL,... (default: this one alone)"),
    Flag("initial-cluster-state", "new", "'new', or 'existing' to join a running cluster"),
    Flag("strict-reconfig-check", True, "refuse changes of members that could cost the majority", Kind.SWITCH),
    Flag("experimental-max-learners", 1, "members without a vote that there may be at a time", Kind.NUMBER),
    Flag("initial-cluster-token", "etcd-cluster", "keeps clusters with equal URLs apart"),
)

SECURITY: Final = (
    Flag("cert-file", "", "certificate for clients' connections"),
    Flag("key-file", "", "its private key"),
    Flag("client-cert-auth", False, "demand a certificate of clients; needs the CA", Kind.SWITCH),
    Flag("trusted-ca-file", "", "CA that clients' certificates must come from; naming it demands them"),
    Flag("peer-cert-file", "", "certificate for connections between members"),
    Flag("peer-key-file", "", "its private key"),
    Flag("peer-client-cert-auth", False, "demand a certificate of members; needs the CA", Kind.SWITCH),
    Flag("peer-trusted-ca-file", "", "CA that members' certificates must come from; naming it demands them"),
)

LOGGING: Final = (
    Flag("log-level", "info", "debug, info, warn, error, panic or fatal"),
    Flag("log-outputs", "default", "stderr, stdout, or files, separated by commas"),
    Flag("log-format", "auto", "console or json; auto is console on a terminal"),
)

GROUPS: Final = {"Member": MEMBER, "Clustering": CLUSTERING, "Security": SECURITY, "Logging": LOGGING}
"""The flags of etcd in use, as help shows them."""


def _ignored(name: str, default: str | float | bool, kind: Kind = Kind.TEXT) -> Flag:
    return Flag(name, default, "", kind, Use.IGNORED)


def _refused(name: str, default: str | bool, why: str, kind: Kind = Kind.TEXT) -> Flag:
    return Flag(name, default, why, kind, Use.REFUSED)


_IGNORED: Final = (
    _ignored("auth-token", "simple"),
    _ignored("auth-token-ttl", 300, Kind.NUMBER),
    _ignored("auto-compaction-mode", "periodic"),
    _ignored("auto-compaction-retention", "0"),
    _ignored("backend-bbolt-freelist-type", "map"),
    _ignored("bcrypt-cost", 10, Kind.NUMBER),
    _ignored("cors", "*"),
    _ignored("debug", False, Kind.SWITCH),
    _ignored("discovery-fallback", "proxy"),
    _ignored("discovery-proxy", ""),
    _ignored("discovery-srv-name", ""),
    _ignored("enable-log-rotation", False, Kind.SWITCH),
    _ignored("enable-pprof", False, Kind.SWITCH),
    _ignored("enable-v2", False, Kind.SWITCH),
    _ignored("experimental-backend-bbolt-freelist-type", "map"),
    _ignored("experimental-bootstrap-defrag-threshold-megabytes", 0, Kind.NUMBER),
    _ignored("experimental-compact-hash-check-enabled", False, Kind.SWITCH),
    _ignored("experimental-compact-hash-check-time", 60.0, Kind.DURATION),
    _ignored("experimental-compaction-batch-limit", 1000, Kind.NUMBER),
    _ignored("experimental-compaction-sleep-interval", 0.0, Kind.DURATION),
    _ignored("experimental-corrupt-check-time", 0.0, Kind.DURATION),
    _ignored("experimental-distributed-tracing-address", "localhost:4317"),
    _ignored("experimental-distributed-tracing-instance-id", ""),
    _ignored("experimental-distributed-tracing-sampling-rate", 0, Kind.NUMBER),
    _ignored("experimental-distributed-tracing-service-name", "etcd"),
    _ignored("experimental-enable-distributed-tracing", False, Kind.SWITCH),
    _ignored("experimental-enable-lease-checkpoint", False, Kind.SWITCH),
    _ignored("experimental-enable-lease-checkpoint-persist", False, Kind.SWITCH),
    _ignored("experimental-initial-corrupt-check", False, Kind.SWITCH),
    _ignored("experimental-memory-mlock", False, Kind.SWITCH),
    _ignored("experimental-stop-grpc-service-on-defrag", False, Kind.SWITCH),
    _ignored("experimental-txn-mode-write-with-shared-buffer", True, Kind.SWITCH),
    _ignored("experimental-wait-cluster-ready-timeout", 5.0, Kind.DURATION),
    _ignored("experimental-warning-apply-duration", 0.1, Kind.DURATION),
    _ignored("experimental-warning-unary-request-duration", 0.3, Kind.DURATION),
    _ignored("experimental-watch-progress-notify-interval", 600.0, Kind.DURATION),
    _ignored("grpc-keepalive-interval", 7200.0, Kind.DURATION),
    _ignored("grpc-keepalive-min-time", 5.0, Kind.DURATION),
    _ignored("grpc-keepalive-timeout", 20.0, Kind.DURATION),
    _ignored("host-whitelist", "*"),
    _ignored("initial-election-tick-advance", True, Kind.SWITCH),
    _ignored("log-package-levels", ""),
    _ignored("log-rotation-config-json", ""),
    _ignored("logger", "zap"),
    _ignored("max-snapshots", 5, Kind.NUMBER),
    _ignored("max-wals", 5, Kind.NUMBER),
    _ignored("metrics", "basic"),
    _ignored("proxy-dial-timeout", 1000, Kind.NUMBER),
    _ignored("proxy-failure-wait", 5000, Kind.NUMBER),
    _ignored("proxy-read-timeout", 0, Kind.NUMBER),
    _ignored("proxy-refresh-interval", 30_000, Kind.NUMBER),
    _ignored("proxy-write-timeout", 5000, Kind.NUMBER),
    _ignored("self-signed-cert-validity", 1, Kind.NUMBER),
    _ignored("socket-reuse-address", False, Kind.SWITCH),
    _ignored("socket-reuse-port", False, Kind.SWITCH),
    _ignored("v2-deprecation", "not-yet"),
)

_REFUSED: Final = (
    _refused("auto-tls", False, "make certificates and give --cert-file and --key-file", Kind.SWITCH),
    _refused("cipher-suites", "", "the defaults of OpenSSL apply"),
    _refused("client-cert-allowed-hostname", "", "any certificate of --trusted-ca-file is accepted"),
    _refused("client-crl-file", "", "revocation lists are not read"),
    _refused("config-file", "", "give flags or ETCD_* variables"),
    _refused("discovery", "", "list all members in --initial-cluster"),
    _refused("discovery-srv", "", "list all members in --initial-cluster"),
    _refused("experimental-enable-v2v3", "", "the v2 API is not served"),
    _refused("experimental-peer-skip-client-san-verification", False, "certificates are checked in full", Kind.SWITCH),
    _refused("force-new-cluster", False, "stop the server and use `oarlock recover`", Kind.SWITCH),
    _refused("peer-auto-tls", False, "make certificates and give --peer-cert-file and --peer-key-file", Kind.SWITCH),
    _refused("peer-cert-allowed-cn", "", "any certificate of --peer-trusted-ca-file is accepted"),
    _refused("peer-cert-allowed-hostname", "", "any certificate of --peer-trusted-ca-file is accepted"),
    _refused("peer-crl-file", "", "revocation lists are not read"),
    _refused("proxy", "off", "the v2 proxy is not served"),
    _refused("tls-max-version", "", "TLS 1.2 and 1.3 are served"),
    _refused("tls-min-version", "", "TLS 1.2 and 1.3 are served"),
    _refused("unsafe-no-fsync", False, "an answered write is on disk, always", Kind.SWITCH),
)

OWN: Final = (
    Flag("trace", "", "record all that Raft does here to this file, as raft-trace/1"),
    Flag("dashboard-listen", "", "show what happens here to a browser at HOST:PORT, recording it; off by default"),
    Flag("dashboard-allow-remote", False, "let --dashboard-listen be an address that others can reach", Kind.SWITCH),
    Flag("lease-reads", False, "a leader reads under its lease, without asking: trusts --max-clock-drift", Kind.SWITCH),
    Flag("max-clock-drift", 10, "percent by which the clocks of any two members may differ in speed", Kind.NUMBER),
)
"""Flags that etcd does not have."""

ETCD_FLAGS: Final = (*MEMBER, *CLUSTERING, *SECURITY, *LOGGING, *OWN, *_IGNORED, *_REFUSED)
"""All of them, and ours."""


def help_text() -> str:
    """What `oarlock serve --help` prints."""
    lines = [
        "usage: oarlock serve [flags]",
        "",
        "Run one server. Flags are etcd's, as --flag value or --flag=value; each can be given as an environment",
        "variable instead (--data-dir as ETCD_DATA_DIR), and the flag wins. Flags of etcd that do not apply here are",
        "accepted and named in one warning.",
    ]
    for group, flags in {**GROUPS, "Oarlock's own": OWN}.items():
        lines += ["", f"{group}:"]
        for flag in flags:
            shown = str(flag.default).lower() if flag.kind is Kind.SWITCH else str(flag.default)
            default = f" (default: {shown})" if flag.default not in ("", 0, 0.0) and "default" not in flag.help else ""
            lines += [f"  --{flag.name}", f"      {flag.help}{default}"]
    lines += ["", "One server:    oarlock serve --name s1 --data-dir ./s1", "Three at once: oarlock up"]
    return "\n".join(lines)
