"""Who may ask the dashboard: a page of this very address, and where orders are taken only one that knows the token.

A browser will send requests to 127.0.0.1 for any page on the web. Such a page cannot read the answers, unless a name
of its own has been pointed here (DNS rebinding): so requests must name this server by a number or as localhost. And
it must not give orders: so `Origin` must be ours, and the token, which it cannot know, be right.
"""

import hmac
import ipaddress
from collections.abc import Sequence
from typing import Final

from oarlock.etcd.http1 import HttpRequest, HttpResponse, Router

TOKEN_HEADER: Final = "x-oarlock-token"  # noqa: S105 - a header's name
SAFETY_HEADERS: Final[Sequence[tuple[str, str]]] = (
    ("cache-control", "no-store"),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("x-frame-options", "DENY"),
    ("cross-origin-resource-policy", "same-origin"),
)


class GuardedRouter(Router):
    """A router that looks at who asks first."""

    def __init__(self, token: str = "") -> None:
        """Guard.

        Args:
            token: Without it nothing is answered; empty asks for none.
        """
        super().__init__()
        self._token = token

    async def answer(self, request: HttpRequest) -> HttpResponse:
        """The response, or a refusal."""
        reason = self.refusal(request)
        if reason:
            return HttpResponse(403, f"{reason}\n".encode(), SAFETY_HEADERS)
        return await super().answer(request)

    def refusal(self, request: HttpRequest) -> str:
        """Why a request is refused; empty if it is not."""
        host = request.headers.get("host", "")
        if not _is_number(host):
            return f"the dashboard is asked for by IP address or as localhost, not as {host[:100]!r}"
        origin = request.headers.get("origin")
        if origin is not None and origin != f"http://{host}":
            return f"pages of {origin[:100]!r} may not ask here"
        if request.headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            return "pages of other sites may not ask here"
        if request.method == "POST" and request.headers.get("content-type") != "application/json":
            return "an order is application/json"
        if self._token and not hmac.compare_digest(self._given(request).encode(), self._token.encode()):
            return "the token is wrong or missing: open the address that `oarlock up` printed"
        return ""

    @staticmethod
    def _given(request: HttpRequest) -> str:
        """The token of a request; an order must show it where no link or form can put it."""
        given = request.headers.get(TOKEN_HEADER, "")
        if given or request.method == "POST":
            return given
        return request.query.get("token", [""])[0]


def _is_number(host: str) -> bool:
    """Whether a Host header, with its port, holds an IP address or localhost."""
    name = host.rpartition(":")[0] if not host.endswith("]") and ":" in host else host
    if name.lower() == "localhost":
        return True
    try:
        ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True
