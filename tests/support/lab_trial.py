"""A process of its own for one buggy copy: runs scenarios on it and prints what came of each, as JSON lines.

`python -m tests.support.lab_trial MUTANT SCENARIO:SEED ...`
"""

import sys
import tempfile
from pathlib import Path

import msgspec
from tests.support.lab_mutants import ALL, of_core, write_server

from oarlock.zoo.patching import install


def main() -> None:
    """Patch first: nothing of what is patched may have been imported."""
    name, *runs = sys.argv[1:]
    install(of_core(ALL[name]))
    from oarlock.lab.suite.catalogue import SCENARIOS
    from oarlock.lab.suite.session import Session

    with tempfile.TemporaryDirectory() as directory:
        target = write_server(ALL[name], Path(directory))
        for run in runs:
            scenario, _, seed = run.partition(":")
            outcome = Session(target, int(seed)).run(SCENARIOS[scenario])
            print(msgspec.json.encode(msgspec.structs.replace(outcome, last_rpcs=[])).decode(), flush=True)


if __name__ == "__main__":
    main()
