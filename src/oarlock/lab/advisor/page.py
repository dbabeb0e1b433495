"""The advice as one HTML page: what was found, and a timeline of who held which lock, who waited, and who called."""

import html
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from oarlock.lab.advisor.advise import Advice
from oarlock.lab.advisor.record import Finding
from oarlock.lab.advisor.report import summary
from oarlock.lab.advisor.timeline import Span

SCRIPT: Final = Path(__file__).with_name("page.js")
STYLE: Final = """
:root { color-scheme: light dark; font: 14px/1.5 system-ui, sans-serif }
body { margin: 2rem auto; max-width: 72rem; padding: 0 1rem }
section { border-left: 3px solid #c60; margin: 1.2rem 0; padding-left: 1rem }
h1 { font-size: 1.3rem } h2 { font-size: 1rem; margin: 0 }
pre { margin: .3rem 0; overflow-x: auto } .advice { font-style: italic }
canvas { width: 100%; height: 70vh; border: 1px solid #8886; cursor: grab }
#tip { min-height: 1.5em; font-family: monospace } .key i { display: inline-block; width: 1em; height: .7em }
"""


def page(advice: Advice) -> str:
    """A self-contained page."""
    data = json.dumps(_data(advice.timeline.spans)).replace("<", "\\u003c")
    cut = " It is cut: there was more." if advice.timeline.is_cut else ""
    findings = "".join(map(_section, advice.findings)) or "<p>Nothing to advise.</p>"
    return f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Advice on {html.escape(advice.target)}</title><style>{STYLE}</style>
<h1>{html.escape(summary(advice))}</h1>
{findings}
<h1>Locks, waits and calls, seed {advice.seeds[0]}</h1>
<p class="key"><i style="background:#2a7"></i> holds a lock <i style="background:#d33"></i> wants one
<i style="background:#48c"></i> calls a peer. Wheel: zoom. Drag: move.{cut}</p>
<div id="tip"></div><canvas id="timeline"></canvas>
<script type="application/json" id="data">{data}</script>
<script type="module">{SCRIPT.read_text(encoding="utf-8")}</script>
</html>
"""


def _data(spans: list[Span]) -> dict[str, object]:
    """Lanes by name, and spans as lane, kind, subject, begin and end in microseconds."""
    began = min((span.began_ns for span in spans), default=0)
    lanes: dict[str, int] = {}
    for server, thread in sorted({(-1 if span.server is None else span.server, _lane(span)) for span in spans}):
        lanes[f"{'clients' if server < 0 else f'server {server}'}: {thread}"] = len(lanes)
    rows = [
        [
            lanes[f"{'clients' if span.server is None else f'server {span.server}'}: {_lane(span)}"],
            ("holds", "wants", "calls").index(span.kind),
            span.subject,
            (span.began_ns - began) // 1000,
            (span.ended_ns - began) // 1000,
        ]
        for span in spans
    ]
    return {"lanes": list(lanes), "spans": rows}


def _lane(span: Span) -> str:
    """Threads of one job share a lane, named by what they do."""
    name = span.thread
    return f"threads of {name.partition('(')[2].rstrip(')')}" if name.startswith("Thread-") and "(" in name else name


def _section(finding: Finding) -> str:
    return (
        f"<section><h2>{html.escape(f'{finding.rule} ({finding.pitfall}): {finding.subject}')}</h2>"
        f"<div>{html.escape(finding.what)}</div><pre>{html.escape(chr(10).join(_stacks(finding)))}</pre>"
        f'<div class="advice">{html.escape(finding.advice)}</div></section>\n'
    )


def _stacks(finding: Finding) -> Iterator[str]:
    for place in finding.places:
        yield f"{place.thread} {place.doing}, holding {', '.join(place.locks) or 'nothing'}"
        for line in place.stack:
            yield f"    {Path(line.file).name}:{line.line} in {line.function}: {line.text}"
