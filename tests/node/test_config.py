"""Settings are validated before anything starts."""

from typing import Any

import pytest

from oarlock.node.config import NodeConfig

GOOD: dict[str, Any] = {
    "cluster_id": 1,
    "server_id": 1,
    "data_dir": "somewhere",
    "members": {1: (("127.0.0.1", 1),), 2: (("127.0.0.1", 2),)},
}


def test_good_settings() -> None:
    """The least that must be said is enough."""
    config = NodeConfig(**GOOD)
    assert config.initial_configuration().voters == {1, 2}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"server_id": 3}, "members must hold server_id 3"),
        ({"cluster_id": 0}, "cluster_id"),
        ({"data_dir": ""}, "data_dir"),
        ({"snapshot_count": 0}, "snapshot_count"),
        ({"snapshot_tail": -1}, "snapshot_tail"),
        ({"max_pending_proposals": 0}, "max_pending_proposals"),
        ({"election_timeout_ms": 300}, "election_timeout_ms must be at least 5 times"),
        ({"server_id": 0, "members": {0: ()}}, "server_id"),
    ],
)
def test_bad_settings(changes: dict[str, Any], message: str) -> None:
    """Each refusal names the setting."""
    with pytest.raises(ValueError, match=message):
        NodeConfig(**(GOOD | changes))
