"""Advice for people, and as JSON."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from oarlock.lab.advisor.advise import Advice
from oarlock.lab.advisor.record import Finding, Place

SHOWN = 6
"""Frames shown of a stack."""


def lines(advice: Advice) -> Iterator[str]:
    """The report, line by line."""
    for finding in advice.findings:
        yield from _finding(finding)
        yield ""
    for error in advice.errors:
        yield from ("went wrong in a run: " + error.rstrip()).splitlines()
        yield ""
    yield summary(advice)


def summary(advice: Advice) -> str:
    """What was found, in a sentence."""
    count = len(advice.findings)
    said = "nothing to advise" if not count else f"{count} piece{'s' if count > 1 else ''} of advice"
    seeds = ", ".join(map(str, advice.seeds))
    watched = f"{advice.accesses:,} accesses to attributes in runs from seeds {seeds}"
    return f"{advice.target}: {said}; {watched}"


def _finding(finding: Finding) -> Iterator[str]:
    yield f"{finding.rule}: {finding.subject}   [{finding.check}, {finding.pitfall}, seed {finding.seed}]"
    yield f"  {finding.what}"
    for place in finding.places:
        yield from _place(place)
    yield f"  -> {finding.advice}"


def _place(place: Place) -> Iterator[str]:
    locks = f", holding {', '.join(place.locks)}" if place.locks else ", holding nothing"
    yield f"  {place.thread} {place.doing}{locks}"
    for line in place.stack[:SHOWN]:
        yield f"    {Path(line.file).name}:{line.line} in {line.function}: {line.text}"


def to_json(advice: Advice) -> bytes:
    """Everything, the timeline too."""
    timeline: dict[str, Any] = {
        "unit": "ns",
        "is_cut": advice.timeline.is_cut,
        "spans": [span._asdict() for span in advice.timeline.spans],
    }
    whole = {
        "target": advice.target,
        "seeds": advice.seeds,
        "accesses": advice.accesses,
        "findings": [_as_dict(finding) for finding in advice.findings],
        "errors": advice.errors,
        "timeline": timeline,
    }
    return msgspec.json.encode(whole)


def _as_dict(finding: Finding) -> dict[str, Any]:
    places = [{**place._asdict(), "stack": [line._asdict() for line in place.stack]} for place in finding.places]
    return {**finding._asdict(), "places": places}
