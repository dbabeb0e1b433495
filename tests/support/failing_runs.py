"""Runs that fail at once, for hunts over processes, which import them by name."""

from oarlock.sim.campaign import Result
from oarlock.sim.hunt import Chunk


def fail_every_seed(chunk: Chunk) -> list[Result]:
    return [Result(seed=seed, ok=False, broken="made up: on purpose") for seed in chunk[1]]
