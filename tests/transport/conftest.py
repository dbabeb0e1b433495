"""Every asynchronous test of this room runs on asyncio's own loop and on uvloop."""

import asyncio
from collections.abc import Callable

import uvloop


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Tells pytest-asyncio which loops to run each test on."""
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
