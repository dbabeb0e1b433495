"""A run, or a stretch of one, as a picture that stands alone: SVG, in light and dark."""

import re
from collections.abc import Mapping
from html import escape
from typing import Final

from oarlock.diagram.layout import Arrow, Layout, Stretch, lay_out, term_colour
from oarlock.diagram.sentences import CAUSES
from oarlock.trace.loaded import Trace
from oarlock.trace.schema import WORLD, Event, Kind, parse_id

ROW: Final = 13
_LANE: Final = 190
_LEFT: Final = 78
_TOP: Final = 54
_DASHES: Final = {"RequestVote": "7 3", "PreVote": "2 3", "InstallSnapshot": "10 3 2 3", "ReadIndex": "4 4"}

_STYLE: Final = """
text { font: 11px system-ui, sans-serif; fill: #6a7076; }
.name { font-weight: 600; font-size: 13px; fill: #1c1e21; } .ground { fill: #fbfbf9; }
.drop { stroke: #8a4b08; fill: none; stroke-width: 2; } .dropped { stroke: #8a4b08; }
.bad { fill: #c3122b; stroke: #c3122b; }
.ink { stroke: #1c1e21; fill: #fbfbf9; } .solid { fill: #1c1e21; } .grid { stroke: #e4e6e8; }
@media (prefers-color-scheme: dark) {
text { fill: #9aa1a8; } .name { fill: #e6e8ea; } .ground { fill: #15171a; }
.drop, .dropped { stroke: #e0a35c; } .ink { stroke: #e6e8ea; fill: #15171a; }
.solid { fill: #e6e8ea; } .grid { stroke: #2a2e33; }
}
"""


def svg(trace: Trace, first: int = 0, last: int | None = None, *, most: int = 400, title: str = "") -> str:
    """Draw a run.

    Args:
        trace: The run.
        first: Position of the first event to draw.
        last: Position of the last; None for all.
        most: Rows, at most; what is left out is said at the foot.
        title: Stands above.
    """
    return _Picture(lay_out(trace, first, last, most=most), trace.header.nodes, title).text()


def size_of(picture: str) -> tuple[float, float]:
    """Width and height of a picture that `svg` has drawn."""
    found = re.search(r'width="([\d.]+)" height="([\d.]+)"', picture)
    if found is None:
        raise ValueError("this is no picture of a run")
    return float(found[1]), float(found[2])


class _Picture:
    def __init__(self, layout: Layout, names: Mapping[str, str], title: str) -> None:
        self._layout = layout
        self._names = names
        self._title = title
        self._x = {lane: _LEFT + _LANE * (at + 0.5) for at, lane in enumerate(layout.lanes)}
        self._width = _LEFT + _LANE * max(1, len(layout.lanes))
        self._height = _TOP + ROW * (len(layout.rows) + 1) + 34

    def text(self) -> str:
        """All of it."""
        words = self._title or f"{len(self._layout.lanes)} servers, {len(self._layout.rows)} events"
        size = f'width="{self._width:g}" height="{self._height:g}"'
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} viewBox="0 0 {self._width:g} {self._height:g}">',
            f"<title>{escape(words)}</title><style>{_STYLE}</style>",
            f'<rect class="ground" {size}/>',
            f'<text x="8" y="16">{escape(words)}</text>',
            *self._grid(),
            *(self._stretch(each) for each in self._layout.stretches),
            *(self._name(lane) for lane in self._layout.lanes),
            *(self._arrow(each) for each in self._layout.arrows),
            *(self._mark(row, event) for row, event in enumerate(self._layout.rows)),
            self._foot(),
            "</svg>",
        ]
        return "\n".join(part for part in parts if part) + "\n"

    def _y(self, row: float) -> float:
        return _TOP + ROW * (row + 0.5)

    def _grid(self) -> list[str]:
        rows = self._layout.rows
        start = rows[0].t if rows else 0
        return [
            f'<path class="grid" d="M{_LEFT - 6} {self._y(row):g}H{self._width:g}"/>'
            f'<text x="6" y="{self._y(row) + 4:g}">{(rows[row].t - start) / 1e6:.3f} s</text>'
            for row in range(0, len(rows), 5)
        ]

    def _name(self, lane: str) -> str:
        name = escape(self._names.get(lane) or lane)
        return f'<text class="name" text-anchor="middle" x="{self._x[lane]:g}" y="36">{name}</text>'

    def _stretch(self, stretch: Stretch) -> str:
        x, top, bottom = self._x[stretch.lane], self._y(stretch.begin), self._y(stretch.end)
        if stretch.is_down:
            return f'<path d="M{x:g} {top:g}V{bottom:g}" stroke="#8b9096" stroke-dasharray="1 5"/>'
        width = {"leader": 7, "follower": 2, "learner": 2}.get(stretch.role, 3)
        dash = {"leader": "", "follower": "", "learner": ' stroke-dasharray="1 2"'}.get(
            stretch.role, ' stroke-dasharray="5 3"'
        )
        colour = term_colour(stretch.term)
        words = f"{stretch.role.replace('_', '-')} of term {stretch.term}"
        number = f'<text x="{x + 7:g}" y="{top + 10:g}">{stretch.term}</text>' if bottom - top > ROW else ""
        return (
            f'<path d="M{x:g} {top:g}V{bottom:g}" stroke="{colour}" stroke-width="{width}"{dash}>'
            f"<title>{words}</title></path>{number}"
        )

    def _arrow(self, arrow: Arrow) -> str:
        if arrow.source not in self._x or arrow.to not in self._x:
            return ""
        x1, x2 = self._x[arrow.source], self._x[arrow.to]
        y1, y2 = self._y(arrow.begin), self._y(arrow.end)
        share = {"received": 1.0, "dropped": 0.55}.get(arrow.outcome, 0.35)
        x, y = x1 + (x2 - x1) * share, y1 + (y2 - y1) * share
        dash = _DASHES.get(arrow.kind.removesuffix("Reply"), "")
        colour = 'class="dropped"' if arrow.outcome == "dropped" else f'stroke="{term_colour(arrow.term)}"'
        line = (
            f'<path d="M{x1:g} {y1:g}L{x:g} {y:g}" {colour} stroke-width="{1.6 if arrow.carries else 1}"'
            f"{f' stroke-dasharray={dash!r}' if dash else ''}><title>{escape(self._words(arrow))}</title></path>"
        )
        return line + self._head(arrow, x, y, x2 > x1)

    def _head(self, arrow: Arrow, x: float, y: float, is_rightward: bool) -> str:
        if arrow.outcome == "dropped":
            return f'<path class="drop" d="M{x - 4:g} {y - 4:g}l8 8m0 -8l-8 8"/>'
        if arrow.outcome == "unresolved":
            return f'<text x="{x:g}" y="{y + 4:g}">?</text>'
        side = -1 if is_rightward else 1
        colour = term_colour(arrow.term)
        if arrow.agrees is None:
            return f'<path d="M{x + 3 * side:g} {y:g}l{7 * side} -3.5v7z" fill="{colour}"/>'
        x += 6 * side
        bars = f"M{x - 2.5:g} {y:g}h5" + (f"M{x:g} {y - 2.5:g}v5" if arrow.agrees else "")
        circle = f'<circle class="ground" cx="{x:g}" cy="{y:g}" r="4" stroke="{colour}"/>'
        return f'{circle}<path d="{bars}" stroke="{colour}"/>'

    def _words(self, arrow: Arrow) -> str:
        ending = CAUSES.get(arrow.cause, arrow.cause) if arrow.outcome == "dropped" else arrow.outcome
        return f"{arrow.kind} of term {arrow.term}, {arrow.source} to {arrow.to}: {ending}"

    def _mark(self, row: int, event: Event) -> str:
        lane, y = parse_id(event.id).lane, self._y(row)
        if event.k is Kind.VIOL:
            words = escape(str(event.x.get("property", "violation")))
            return (
                f'<path class="bad" d="M0 {y:g}H{self._width:g}" stroke-width="2"/>'
                f'<text class="bad" x="{_LEFT}" y="{y - 4:g}">{words}</text>'
            )
        if lane == WORLD:
            return self._world(event, y)
        x = self._x[lane]
        if event.k is Kind.CRASH:
            return f'<path class="ink" stroke-width="2" d="M{x - 5:g} {y - 5:g}l10 10m0 -10l-10 10"/>'
        if event.k is Kind.RESTART:
            return f'<circle class="ink" cx="{x:g}" cy="{y:g}" r="4" stroke-width="1.5"/>'
        if event.w is not None and event.w.role is not None and event.w.role[1] == "leader":
            return f'<path class="solid" d="M{x:g} {y - 7:g}l5 14l-12 -9h14l-12 9z"/>'
        if event.w is not None and event.w.commit is not None:
            return f'<path class="ink" d="M{x:g} {y - 4:g}l4 4l-4 4l-4 -4z"/>'
        return ""

    def _world(self, event: Event, y: float) -> str:
        if event.k not in (Kind.PART, Kind.HEAL):
            return ""
        words = "network cut" if event.k is Kind.PART else "network healed"
        return (
            f'<path class="ink" d="M{_LEFT - 6} {y:g}H{self._width:g}" stroke-dasharray="2 4"/>'
            f'<text x="{_LEFT}" y="{y - 3:g}">{words}</text>'
        )

    def _foot(self) -> str:
        layout = self._layout
        words = f"{layout.hidden:,} events without news are not drawn"
        if layout.cut_off:
            words += f"; {layout.cut_off:,} later ones neither"
        return f'<text x="8" y="{self._height - 10:g}">{words}.</text>'
