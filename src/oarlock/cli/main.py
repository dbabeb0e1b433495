"""The command `oarlock`."""

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Final

from oarlock import __version__

HELP = """usage: oarlock COMMAND [options]

A replicated key-value store: any etcd v3 client can use it.

commands:
  up       start a cluster on this machine, to try things out
  serve    run one server; takes etcd's flags and ETCD_* variables
  status   ask servers how they are
  recover  go on with one server when the majority is lost for good
  restore  make a data directory from a backup (etcdctl snapshot save)
  sim      run a simulated cluster from a seed, and judge it
  hunt     run simulations from many seeds, until one breaks a property
  shrink   reduce a failing simulation to what is needed
  check    judge a history of clients
  draw     a run as a page: who sent what, what committed, and why
  trace    read a recorded run: show, why, why-not, what-if, near-misses, diff, check
  explore  try all that can happen to a small cluster, and check every state
  zoo      known bugs, hunted until a check catches them
  lab      the MIT labs' scenarios and advice, for anyone's Raft in Python
  version  print the version

`oarlock COMMAND --help` says more."""


COMMANDS: Final = (
    *("serve", "up", "status", "recover", "restore"),
    *("sim", "hunt", "shrink", "check", "draw", "trace", "explore", "zoo", "lab"),
)
"""Each is a module here, with a function of its name."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: As given to the process, without the program; None for its real ones.

    Returns:
        The exit status: 0 when all is well, 1 when the command failed, 2 when it was not understood.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    command, rest = (given[0], given[1:]) if given else ("help", [])
    if command in COMMANDS:
        try:
            return run_command(command, rest)
        except BrokenPipeError:
            # Whoever read our output, such as `head`, has seen enough; nothing more may be written, at the end either.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
    if command in ("version", "--version", "-version"):
        print(f"oarlock {__version__}")
        return 0
    if command in ("help", "--help", "-h"):
        print(HELP)
        return 0
    print(f"oarlock: unknown command {command!r}; `oarlock --help` lists all", file=sys.stderr)
    return 2


def run_command(command: str, arguments: Sequence[str]) -> int:
    """Run one of `COMMANDS`, of which each loads only what it needs."""
    run = getattr(import_module(f"oarlock.cli.{command}"), command)
    status: int = run(arguments, os.environ) if command == "serve" else run(arguments)
    sys.stdout.flush()
    return status


if __name__ == "__main__":
    sys.exit(main())
