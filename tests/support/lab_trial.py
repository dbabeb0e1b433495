"""A process of its own for one buggy copy: runs scenarios on it and prints what came of each, as JSON lines.

`python -m tests.support.lab_trial MUTANT SCENARIO:SEED ...`
"""

import sys

import msgspec
from tests.support.lab_mutants import ALL, without_invariants

from oarlock.zoo.patching import install


def main() -> None:
    """Patch first: nothing of what is patched may have been imported."""
    name, *runs = sys.argv[1:]
    install(without_invariants(ALL[name]))
    from oarlock.lab.suite.catalogue import SCENARIOS
    from oarlock.lab.suite.session import Session

    for run in runs:
        scenario, _, seed = run.partition(":")
        outcome = Session("oarlock.lab.raft:make", int(seed)).run(SCENARIOS[scenario])
        print(msgspec.json.encode(msgspec.structs.replace(outcome, last_rpcs=[])).decode(), flush=True)


if __name__ == "__main__":
    main()
