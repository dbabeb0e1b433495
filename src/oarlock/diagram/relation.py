"""How two runs that are compared belong together: what must be known before the comparison is believed."""

from oarlock.trace.loaded import Trace
from oarlock.trace.schema import Header


def relation(one: Trace, other: Trace) -> str:
    """Why less can be said of two runs than of those that were made to be compared.

    Returns:
        A sentence; empty for two runs of one seed, or of one cluster, with the same servers.
    """
    ours, theirs = set(one.servers), set(other.servers)
    runs = _names(one.header, other.header)
    if not ours or not theirs:
        return f"There is nothing to compare: in {'both runs' if ours == theirs else 'one run'} no server did anything."
    if not ours & theirs:
        if one.header.run == other.header.run:
            return (
                "Different servers recorded these of one run: `oarlock draw` merges them, if it is given all of them."
            )
        return f"{runs} have no server in common: where they part cannot be asked."
    told = [] if _origin(one) == _origin(other) else [f"{runs} are unrelated: nothing in one has to be as in the other"]
    told += [
        f"{'only' if told else 'Only'} the {which} has {', '.join(lane for lane in trace.servers if lane in lanes)}"
        for which, trace, lanes in (("first", one, ours - theirs), ("second", other, theirs - ours))
        if lanes
    ]
    return f"{'; '.join(told)}." if told else ""


def _names(one: Header, other: Header) -> str:
    if one.kind == other.kind:
        return f"Runs {one.run} and {other.run}"
    kinds = ["live" if header.kind == "live" else "simulated" for header in (one, other)]
    return f"Run {one.run}, which is {kinds[0]}, and run {other.run}, which is {kinds[1]},"


def _origin(trace: Trace) -> tuple[str, object]:
    """Runs with the same were made to be compared, or recorded of one cluster."""
    header = trace.header
    return header.kind, header.run if header.seed is None else header.seed
