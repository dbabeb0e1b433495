"""For each mutant two recorded runs: the smallest found in which it does harm, and the same of the code as it is."""

import time
from hashlib import blake2b
from pathlib import Path
from typing import Final

import msgspec

from oarlock.zoo.hunting import Verdict, hunt
from oarlock.zoo.mutant import SOURCE, Mutant
from oarlock.zoo.specimen import Specimen, SpecimenFailed, Wanted, fetch
from oarlock.zoo.worker import Catch

_LESSEN_SHARE: Final = 1 / 3
"""Of the time for the search, for making a run smaller."""
_PATIENCE_S: Final = 120.0
"""Beside that, for a process on a busy machine."""
_CORE_SOURCE: Final = ("raft", "check", "trace", "zoo/core", "zoo/specimen.py", "zoo/trials.py")
_SOURCE: Final = (
    *_CORE_SOURCE,
    *("node", "storage", "transport", "machine", "mvcc", "etcd", "sim", "zoo/storage", "zoo/drill.py"),
)
"""What runs of cores depend on, and runs of whole servers."""


class Exhibit(msgspec.Struct, frozen=True, kw_only=True):
    """What there is of a mutant."""

    id: str
    code: str
    """Of the source that it was made from; see `fingerprint`."""
    property: str = ""
    """The property that it breaks; empty if no run was found."""
    verdict: Verdict | None = None
    """What the hunt came to."""
    length: int = 0
    """How many faults and requests are in the schedule of the smallest run."""
    claim: str = ""
    """What the check said."""
    how: str = ""
    """The run, in words."""
    broken: str = ""
    """The file of the run with the bug."""
    repaired: str = ""
    """And of the one without."""
    problem: str = ""
    """Why there is nothing to show."""
    seconds: float = 0.0
    """Real time that it took."""


def fingerprint(mutant: Mutant) -> str:
    """Of the mutant and of all source that its runs depend on: another one means that they must be made anew."""
    digest = blake2b(msgspec.json.encode(mutant), digest_size=12)
    for name in _CORE_SOURCE if mutant.stage == "core" else _SOURCE:
        place = SOURCE / name
        for path in [place] if place.is_file() else sorted(place.rglob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()


def file_name(mutant_id: str) -> str:
    """A mutant's id as the name of a file."""
    return "".join(each for each in mutant_id if each.isalnum() or each == "-")


def collect(mutant: Mutant, directory: Path, seconds: float) -> Exhibit:
    """Find a run that shows the bug, make it small, record it, and record the same run of the code as it is.

    Args:
        mutant: Which.
        directory: Where to record to.
        seconds: Processor time for the search; a third of it, as real time, is for making the run smaller.

    Raises:
        WorkerFailed: The zoo is broken.
        OSError: The directory cannot be written to.
    """
    began = time.monotonic()
    code = fingerprint(mutant)
    name = file_name(mutant.id)
    broken, repaired = directory / f"{name}.broken.jsonl", directory / f"{name}.repaired.jsonl"
    verdict = hunt(mutant, repeats=1, seconds=seconds)
    caught = verdict.caught
    if caught is None:
        problem = "no run was found in which it does harm"
        return Exhibit(id=mutant.id, code=code, verdict=verdict, problem=problem, seconds=_since(began))
    try:
        specimen = _pair(mutant, caught, broken, repaired, _LESSEN_SHARE * seconds)
    except SpecimenFailed as error:
        return Exhibit(id=mutant.id, code=code, verdict=verdict, problem=str(error), seconds=_since(began))
    return Exhibit(
        id=mutant.id,
        code=code,
        property=str(specimen.property),
        verdict=verdict,
        length=specimen.length,
        claim=specimen.sentence,
        how=specimen.how,
        broken=broken.name,
        repaired=repaired.name,
        seconds=_since(began),
    )


def _since(began: float) -> float:
    return round(time.monotonic() - began, 1)


def _pair(mutant: Mutant, caught: Catch, broken: Path, repaired: Path, lessen_s: float) -> Specimen:
    """Both runs; a smaller one that the sound code fails too shows nothing, and then the whole is taken.

    Raises:
        SpecimenFailed: They cannot be made, or show nothing of the bug.
    """
    wanted = Wanted(mutant=mutant.id, stage=caught.stage, where=caught.where, out=str(broken))
    limit_s = lessen_s + _PATIENCE_S
    for budget_s in (lessen_s, 0.0) if lessen_s else (0.0,):
        try:
            specimen = fetch(msgspec.structs.replace(wanted, lessen_s=budget_s), mutant, limit_s)
        except SpecimenFailed:
            if not budget_s:
                raise
            continue  # runs that never end cannot be made smaller
        if specimen.property is None:
            continue
        same = msgspec.structs.replace(
            wanted, mutant=None, out=str(repaired), run=specimen.run, cluster=specimen.cluster
        )
        if fetch(same, None, limit_s).property is None:
            return specimen
    raise SpecimenFailed("no recorded run tells the bug from the code as it is")
