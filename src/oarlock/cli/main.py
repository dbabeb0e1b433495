"""The command `oarlock`."""

import os
import sys
from collections.abc import Sequence

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
  trace    read a recorded run: show, why, why-not, diff, check
  zoo      known bugs, hunted until a check catches them
  version  print the version

`oarlock COMMAND --help` says more."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: As given to the process, without the program; None for its real ones.

    Returns:
        The exit status: 0 when all is well, 1 when the command failed, 2 when it was not understood.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    command, rest = (given[0], given[1:]) if given else ("help", [])
    match command:
        case "serve":
            from oarlock.cli.serve import serve  # noqa: PLC0415 - each command loads only what it needs

            return serve(rest, os.environ)
        case "up":
            from oarlock.cli.up import up  # noqa: PLC0415

            return up(rest)
        case "status":
            from oarlock.cli.status import status  # noqa: PLC0415

            return status(rest)
        case "recover":
            from oarlock.cli.recover import recover  # noqa: PLC0415

            return recover(rest)
        case "restore":
            from oarlock.cli.restore import restore  # noqa: PLC0415

            return restore(rest)
        case "sim":
            from oarlock.cli.sim import sim  # noqa: PLC0415

            return sim(rest)
        case "hunt":
            from oarlock.cli.hunt import hunt  # noqa: PLC0415

            return hunt(rest)
        case "shrink":
            from oarlock.cli.shrink import shrink  # noqa: PLC0415

            return shrink(rest)
        case "check":
            from oarlock.cli.check import check  # noqa: PLC0415

            return check(rest)
        case "draw":
            from oarlock.cli.draw import draw  # noqa: PLC0415

            return draw(rest)
        case "trace":
            from oarlock.cli.trace import trace  # noqa: PLC0415

            return trace(rest)
        case "zoo":
            from oarlock.cli.zoo import zoo  # noqa: PLC0415

            return zoo(rest)
        case "version" | "--version" | "-version":
            print(f"oarlock {__version__}")
            return 0
        case "help" | "--help" | "-h":
            print(HELP)
            return 0
        case _:
            print(f"oarlock: unknown command {command!r}; `oarlock --help` lists all", file=sys.stderr)
            return 2


if __name__ == "__main__":
    sys.exit(main())
