"""A real etcd through its JSON gateway: enough of KV and Maintenance to serve as an oracle."""

import base64
import json
import urllib.error
import urllib.request
from typing import Any


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


class Gateway:
    """Calls on one etcd; answers are its JSON."""

    def __init__(self, url: str) -> None:
        self._url = url

    def call(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        request = urllib.request.Request(  # noqa: S310
            f"{self._url}/v3/{path}", data=json.dumps(body).encode(), method="POST"
        )
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310
                return json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return json.load(error)

    def put(self, key: bytes, value: bytes) -> None:
        self.call("kv/put", {"key": encoded(key), "value": encoded(value)})

    def delete_range(self, key: bytes, range_end: bytes = b"") -> None:
        self.call("kv/deleterange", {"key": encoded(key), "range_end": encoded(range_end)})

    def hash_kv(self, revision: int) -> dict[str, Any]:
        return self.call("maintenance/hash", {"revision": revision})
