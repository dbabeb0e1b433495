"""A fresh server of a running cluster finds its place, as `oarlock serve --initial-cluster-state existing` does."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import Executor
from pathlib import Path

from msgspec import structs

from oarlock.etcd.joining import Asked, JoinError, find_member
from oarlock.node.addresses import parse_address
from oarlock.node.config import NodeConfig
from oarlock.storage.disk import Disk
from oarlock.storage.identity import load_identity


async def find_place(
    config: NodeConfig, disk: Disk, contacts: Sequence[str], loop: asyncio.AbstractEventLoop, executor: Executor
) -> NodeConfig:
    """The settings with which a server that joins starts.

    Once a directory has an identity it counts alone; before that the members are asked.

    Args:
        config: Of the server, which knows no member but itself.
        disk: Its disk.
        contacts: Peer URLs of members to ask.
        loop: The running loop.
        executor: Reads the disk.

    Raises:
        JoinError: The cluster does not know it, or knows it for another.
        StorageError: The identity cannot be read.
    """
    if await loop.run_in_executor(executor, load_identity, disk, Path(config.data_dir)) is not None:
        return config
    own_urls = set(config.addresses_of(config.server_id))
    others = [Asked(text, parse_address(text)) for text in contacts if text not in own_urls]
    description, own = await find_member(own_urls, others)
    if int(own.id, 16) != config.server_id:
        raise JoinError(f"member {own.id} has this server's peer URLs, which is {config.server_id:x}")
    urls = {int(member.id, 16): member.peer_urls for member in description.members}
    members = {server_id: tuple(parse_address(text) for text in texts) for server_id, texts in urls.items()}
    return structs.replace(config, members=members, addresses=urls)
