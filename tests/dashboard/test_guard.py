"""Who may ask the dashboard, and who may give orders."""

import pytest

from oarlock.dashboard.guard import GuardedRouter
from oarlock.etcd.http1 import HttpRequest, HttpResponse

TOKEN = "right"


async def _status(
    headers: dict[str, str], *, method: str = "GET", target: str = "/", token: str = "", host: str = "127.0.0.1:2384"
) -> int:
    router = GuardedRouter(token)
    router.add("/", lambda _: HttpResponse(200), methods=("GET", "POST"))
    return (await router.answer(HttpRequest(method, target, {"host": host} | headers, b""))).status


@pytest.mark.parametrize("host", ["127.0.0.1:2384", "localhost:2384", "LOCALHOST", "[::1]:2384", "[::1]", "10.0.0.7"])
async def test_numbers_and_localhost_are_answered(host: str) -> None:
    """Addresses that no foreign name can stand for are answered."""
    assert await _status({}, host=host) == 200


@pytest.mark.parametrize("host", ["evil.example:2384", "", "localhost.evil.example", "127.0.0.1.evil.example:80", "["])
async def test_rebound_names_are_refused(host: str) -> None:
    """DNS rebinding: a page whose name was pointed here sends that name as Host, and gets nothing."""
    assert await _status({}, host=host) == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "https://127.0.0.1:2384"},
        {"origin": "http://127.0.0.1:9999"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
async def test_other_pages_are_refused(headers: dict[str, str]) -> None:
    """A request that another page had the browser send is refused, whatever it asks."""
    assert await _status(headers) == 403


async def test_token_is_needed() -> None:
    """Where orders are taken, nothing is answered without the token: neither the page nor its events."""
    assert await _status({}, token=TOKEN) == 403
    assert await _status({}, token=TOKEN, target="/?token=wrong") == 403
    assert await _status({}, token=TOKEN, target="/?token=r%C3%AFght") == 403
    assert await _status({}, token=TOKEN, target="/?token=right") == 200


async def test_order_shows_the_token_in_a_header() -> None:
    """An order needs what no form can send: the token in a header, and JSON as its type."""
    json_type = {"content-type": "application/json", "origin": "http://127.0.0.1:2384"}
    token = {"x-oarlock-token": TOKEN}
    assert await _status(json_type, method="POST", token=TOKEN, target="/?token=right") == 403
    assert await _status(token, method="POST", token=TOKEN) == 403
    assert await _status(token | {"content-type": "text/plain"}, method="POST", token=TOKEN) == 403
    assert await _status(json_type | token, method="POST", token=TOKEN) == 200
