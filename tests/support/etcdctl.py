"""etcdctl, run against a server as a person would."""

import asyncio
import os
from typing import NamedTuple


class Ran(NamedTuple):
    """What a program printed, and how it ended."""

    status: int
    output: str
    complaint: str


async def etcdctl(program: list[str], endpoint: str, *arguments: str, stdin: str = "", timeout_s: float = 30) -> Ran:
    """Run etcdctl with the v3 API while this loop goes on serving.

    Args:
        program: The command line of etcdctl, or of etcdutl.
        endpoint: host:port of the server; "" passes none.
        arguments: The command and its arguments.
        stdin: What it reads, such as the parts of a transaction.
        timeout_s: Longest wait.
    """
    flags = [f"--endpoints={endpoint}"] if endpoint else []
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ETCD")}
    process = await asyncio.create_subprocess_exec(
        *program,
        *flags,
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment | {"ETCDCTL_API": "3"},
    )
    try:
        out, err = await asyncio.wait_for(process.communicate(stdin.encode()), timeout_s)
    except TimeoutError:
        process.kill()
        await process.wait()
        raise
    assert process.returncode is not None
    return Ran(process.returncode, out.decode(), err.decode())
