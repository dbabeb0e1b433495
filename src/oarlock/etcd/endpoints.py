"""The plain HTTP endpoints beside gRPC: what load balancers, probes and Prometheus ask."""

import json
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, Protocol

from oarlock.etcd.errors import ApiError
from oarlock.etcd.http1 import HttpRequest, HttpResponse, Router
from oarlock.etcd.proto.rpc_pb2 import AlarmType

SERVER_VERSION: Final = "3.5.21"
"""The etcd release whose API this is; clients decide by it what they may ask."""

CLUSTER_VERSION: Final = "3.5.0"

_CHECKS: Final = {
    "/livez": ("serializable_read",),
    "/readyz": ("data_corruption", "disk_space", "linearizable_read", "non_learner", "serializable_read"),
}
_NO_SNIFF: Final = ("x-content-type-options", "nosniff")


class Probe(Protocol):
    """What the health endpoints look at."""

    def alarms(self) -> list[int]:
        """The types of the alarms raised on any member, in order."""

    def has_leader(self) -> bool:
        """Whether this server knows a leader."""

    def is_learner(self) -> bool:
        """Whether this server has no vote."""

    def is_disk_full(self) -> bool:
        """Whether this server lacks the space for writes."""

    def read(self, *, serializable: bool) -> Awaitable[ApiError | None]:
        """Try a read; its error, or None when it succeeded."""


class Endpoints:
    """Answers GET requests by path."""

    def __init__(self, probe: Probe, metrics: Callable[[str], tuple[str, bytes]]) -> None:
        """Remember whom to ask.

        Args:
            probe: The server.
            metrics: Gives, for an Accept header, the content type and body of the metrics page.
        """
        self._probe = probe
        self._metrics = metrics
        self.health_success = 0
        """How often `/health` found the server healthy."""
        self.health_failures = 0
        """How often it did not."""

    def register(self, router: Router) -> None:
        """Serve the endpoints."""
        router.add("/version", self._version)
        router.add("/metrics", self._metrics_page)
        router.add("/health", self._health)
        for root, names in _CHECKS.items():
            router.add(root, partial(self._run_checks, names))
            for name in names:
                router.add(f"{root}/{name}", partial(self._run_checks, (name,)))

    def _version(self, _request: HttpRequest) -> HttpResponse:
        versions = {"etcdserver": SERVER_VERSION, "etcdcluster": CLUSTER_VERSION}
        return HttpResponse(200, _json(versions), content_type="application/json")

    def _metrics_page(self, request: HttpRequest) -> HttpResponse:
        content_type, page = self._metrics(request.headers.get("accept", ""))
        return HttpResponse(200, page, content_type=content_type)

    async def _health(self, request: HttpRequest) -> HttpResponse:
        """The probe of etcd itself: alarms not excluded, then a leader, then a read."""
        serializable = request.query.get("serializable", [""])[0] == "true"
        reason = self._alarm_reason(request.query.get("exclude", []))
        if not reason and not serializable and not self._probe.has_leader():
            reason = "RAFT NO LEADER"
        if not reason and (error := await self._probe.read(serializable=serializable)):
            reason = f"RANGE ERROR:{error.message}"
        body = _json({"health": "false" if reason else "true", "reason": reason})
        if reason:
            self.health_failures += 1
            return HttpResponse(503, body + b"\n", [_NO_SNIFF])
        self.health_success += 1
        return HttpResponse(200, body)

    def _alarm_reason(self, excluded: list[str]) -> str:
        for alarm in self._probe.alarms():
            name = AlarmType.Name(alarm) if alarm in AlarmType.values() else "UNKNOWN"
            if name not in excluded:
                return f"ALARM {name}"
        return ""

    async def _run_checks(self, names: tuple[str, ...], request: HttpRequest) -> HttpResponse:
        """Kubernetes' style of probe: named checks, each of which may be excluded, or asked alone by its path."""
        excluded = request.query.get("exclude", []) if request.path in _CHECKS else []
        failed = False
        report = ""
        for name in names:
            if name in excluded:
                continue
            reason = await self._check(name)
            failed = failed or bool(reason)
            report += f"[-]{name} failed: {reason}\n" if reason else f"[+]{name} ok\n"
        if failed:
            return HttpResponse(503, f"{report}\n".encode(), [_NO_SNIFF])
        body = (report if "verbose" in request.query else "") + "ok\n"
        return HttpResponse(200, body.encode(), [_NO_SNIFF])

    async def _check(self, name: str) -> str:
        match name:
            case "data_corruption":
                return "alarm activated: CORRUPT" if AlarmType.CORRUPT in self._probe.alarms() else ""
            case "disk_space":
                return "the disk is full, or nearly so" if self._probe.is_disk_full() else ""
            case "non_learner":
                return "not supported for learner" if self._probe.is_learner() else ""
            case _:
                error = await self._probe.read(serializable=name == "serializable_read")
                return error.message if error else ""


def _json(content: dict[str, str]) -> bytes:
    return json.dumps(content, separators=(",", ":")).encode()
