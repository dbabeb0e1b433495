"""The gallery's first page: every bug with the rules it goes against, the property that falls, and how."""

import html
import json
from collections.abc import Iterable
from importlib.resources import files
from typing import Final

import msgspec

from oarlock.diagram.telling import TELLINGS
from oarlock.raft.rules import RULES

_PITFALLS: Final = {
    "G": "the Students' Guide to Raft",
    "K": "the Raft Locking Advice",
    "T": "the Raft Structure Advice",
    "B": "the labs and the paper",
}
"""By the first letter of a pitfall's id, where it is told."""


class Picture(msgspec.Struct, frozen=True, kw_only=True):
    """One bug."""

    id: str
    bug: str
    breaks: tuple[str, ...]
    """Rules and pitfalls."""
    property: str
    """In the words of Figure 3 where it is one of those; empty if there is nothing to show."""
    sentence: str
    """What happened; or why there is nothing to show."""
    file: str = ""
    """Of its page; empty if it has none."""
    events: int = 0
    how: str = ""


def index(pictures: Iterable[Picture]) -> str:
    """The page, complete in itself."""
    rows = list(pictures)
    parts = {
        "shown": str(sum(bool(row.file) for row in rows)),
        "count": str(len(rows)),
        "rows": "".join(map(_row, rows)),
    }
    text = (files("oarlock.diagram") / "page" / "gallery.html").read_text(encoding="utf-8")
    for name, part in parts.items():
        text = text.replace("{{" + name + "}}", part)
    return text


def _row(picture: Picture) -> str:
    name = html.escape(picture.id)
    link = f'<a href="{html.escape(picture.file)}">{name}</a>' if picture.file else name
    size = (
        f'<br><span class="faint">{picture.events:,} events; {html.escape(picture.how)}</span>' if picture.file else ""
    )
    return (
        f'<tr><th scope="row">{link}<br><span class="bug">{html.escape(picture.bug)}</span></th>'
        f"<td>{''.join(map(_cited, picture.breaks))}</td>"
        f'<td class="property">{html.escape(picture.property)}</td>'
        f"<td>{html.escape(picture.sentence)}{size}</td></tr>\n"
    )


def _cited(cited: str) -> str:
    """A rule or pitfall, with what it says."""
    if cited in RULES:
        reason = TELLINGS[cited].reason if cited in TELLINGS else ""
        told = f"{RULES[cited].sentence} {reason}".strip()
    else:
        told = f"A pitfall named by {_PITFALLS.get(cited[:1], 'others')}"
    return f'<abbr title="{html.escape(told)}"><code>{html.escape(cited)}</code></abbr>'


def as_rows(pictures: Iterable[Picture]) -> str:
    """The same as JSON, for other programs."""
    return json.dumps([msgspec.to_builtins(each) for each in pictures], indent=1, ensure_ascii=False) + "\n"
