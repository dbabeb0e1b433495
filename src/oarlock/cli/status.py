"""`oarlock status`: asks servers how they are, over the plain endpoints that any of them answers."""

import argparse
import http.client
import json
import ssl
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec

from oarlock.cli.flags import FlagError
from oarlock.cli.terminal import paint, table
from oarlock.cli.urls import parse_url

_TIMEOUT_S: Final = 3.0
_NAMES: Final = {
    "etcd_server_is_leader": "is_leader",
    "etcd_server_has_leader": "has_leader",
    "etcd_server_proposals_committed_total": "committed",
    "etcd_server_proposals_applied_total": "applied",
    "etcd_mvcc_db_total_size_in_bytes": "db_bytes",
}


class ServerStatus(msgspec.Struct, kw_only=True):
    """What one server answered."""

    endpoint: str
    healthy: bool = False
    reason: str = ""
    """Why it is not healthy."""
    version: str = ""
    is_leader: bool = False
    has_leader: bool = False
    committed: int = 0
    applied: int = 0
    db_bytes: int = 0


def status(arguments: Sequence[str]) -> int:
    """Print the state of servers.

    Args:
        arguments: Those after `status`.

    Returns:
        0 when all are healthy, 1 when one is not.
    """
    parser = argparse.ArgumentParser(prog="oarlock status", description="Ask servers how they are.")
    parser.add_argument(
        "--endpoints",
        default="http://127.0.0.1:2379,http://127.0.0.1:2389,http://127.0.0.1:2399",
        metavar="URL,URL",
        help="whom to ask (default: the servers of `oarlock up`)",
    )
    parser.add_argument("--cacert", metavar="FILE", help="CA that the servers' certificates must come from")
    parser.add_argument("--cert", metavar="FILE", help="our certificate, where servers ask for one")
    parser.add_argument("--key", metavar="FILE", help="its private key")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args(arguments)
    try:
        tls = _tls(options.cacert, options.cert, options.key)
        endpoints = _endpoints(options.endpoints, uses_tls=options.cacert is not None)
    except FlagError as error:
        print(f"oarlock status: {error}", file=sys.stderr)
        return 2
    found = [ask(endpoint, tls) for endpoint in endpoints]
    if options.json:
        print(json.dumps([msgspec.structs.asdict(one) for one in found], indent=2))
    else:
        _show(found)
    return 0 if all(one.healthy for one in found) else 1


def _tls(cacert: str | None, cert: str | None, key: str | None) -> ssl.SSLContext:
    """What https endpoints are asked with.

    Raises:
        FlagError: A file is missing or cannot be used.
    """
    if key and not cert:
        raise FlagError("--key needs --cert")
    for flag, file in (("cacert", cacert), ("cert", cert), ("key", key)):
        if file and not Path(file).is_file():
            raise FlagError(f"--{flag}: there is no file {file}")
    try:
        context = ssl.create_default_context(cafile=cacert)
    except OSError as error:
        raise FlagError(f"--cacert {cacert} cannot be used: {error}") from None
    try:
        if cert:
            context.load_cert_chain(cert, key)
    except OSError as error:
        raise FlagError(f"--cert {cert} with --key {key or cert} cannot be used: {error}") from None
    return context


def _endpoints(text: str, *, uses_tls: bool) -> list[str]:
    """Endpoints as URLs; one without a scheme is https where a CA was named, as with etcdctl.

    Raises:
        FlagError: There is none, or one is no URL.
    """
    scheme = "https" if uses_tls else "http"
    endpoints = [part if "://" in part else f"{scheme}://{part}" for part in map(str.strip, text.split(",")) if part]
    if not endpoints:
        raise FlagError("--endpoints names none")
    for endpoint in endpoints:
        parse_url(endpoint.rstrip("/"), "--endpoints")
    return endpoints


def ask(endpoint: str, tls: ssl.SSLContext) -> ServerStatus:
    """Ask one server; whatever goes wrong is the answer."""
    answer = ServerStatus(endpoint=endpoint)
    parts = urlsplit(endpoint)
    try:
        if parts.scheme == "https":
            connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                parts.netloc, timeout=_TIMEOUT_S, context=tls
            )
        else:
            connection = http.client.HTTPConnection(parts.netloc, timeout=_TIMEOUT_S)
        health = json.loads(_get(connection, "/health"))
        answer.healthy = health.get("health") == "true"
        answer.reason = str(health.get("reason", ""))
        answer.version = str(json.loads(_get(connection, "/version")).get("etcdserver", ""))
        _read_metrics(answer, _get(connection, "/metrics").decode())
    except (OSError, ValueError, http.client.HTTPException) as error:
        answer.reason = _reason(error)
    return answer


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate not accepted: {error.verify_message}"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return text[:1].lower() + text[1:]


def _get(connection: http.client.HTTPConnection, path: str) -> bytes:
    connection.request("GET", path)
    return connection.getresponse().read()


def _read_metrics(answer: ServerStatus, page: str) -> None:
    for line in page.splitlines():
        name, _, value = line.partition(" ")
        field = _NAMES.get(name)
        if field is not None:
            number = float(value)
            setattr(answer, field, bool(number) if field.startswith(("is_", "has_")) else int(number))


def _show(found: Sequence[ServerStatus]) -> None:
    rows = [["ENDPOINT", "HEALTH", "ROLE", "COMMITTED", "APPLIED", "DATA", "VERSION"]]
    for one in found:
        if not one.version:
            rows.append([one.endpoint, one.reason or "unreachable", "", "", "", "", ""])
            continue
        role = "leader" if one.is_leader else "follower" if one.has_leader else "no leader"
        health = "healthy" if one.healthy else one.reason or "unhealthy"
        size = f"{one.db_bytes / (1 << 20):.1f} MiB"
        rows.append([one.endpoint, health, role, str(one.committed), str(one.applied), size, one.version])
    for number, line in enumerate(table(rows)):
        healthy = number == 0 or found[number - 1].healthy
        print(paint(line, "bold") if number == 0 else line if healthy else paint(line, "red"))
