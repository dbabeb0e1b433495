"""A web service of three processes behind nginx that lets each client through ten times, and then once a second.

    python service.py HTTP_PORT OWN_PORT PORT PORT

Which process a request comes to makes no difference: all three have the same buckets.
"""

import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import uvicorn
from fastapi import FastAPI, Request, Response
from limiter import RateLimiter

from oarlock import Node, OarlockError

http_port, *ports = sys.argv[1:]
limiter = RateLimiter("limiter", burst=10, per_minute=60)


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    own, *_ = servers = [f"127.0.0.1:{port}" for port in ports]
    async with Node(own, peers=servers, data_dir=f"data-{ports[0]}", objects=[limiter]) as node:
        await node.ready()
        yield


app = FastAPI(lifespan=lifespan)


@app.middleware("http")
async def limit(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    client = request.headers.get("x-forwarded-for") or (request.client.host if request.client else "")
    try:
        wait_ms = await limiter.take(client)
    except OarlockError:  # no majority: rather let nobody through than everybody
        return Response("try again later", 503)
    if wait_ms:
        return Response("too many requests", 429, {"Retry-After": f"{-(-wait_ms // 1000)}"})
    return await call_next(request)


@app.get("/")
async def hello() -> dict[str, str]:
    return {"served by": http_port}


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(http_port), log_level="warning")
