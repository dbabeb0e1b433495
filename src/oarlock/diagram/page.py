"""One HTML file that holds a run and all that draws it: it opens from disk and asks nobody for anything."""

import base64
import gzip
import html
import json
from collections.abc import Iterable
from importlib.resources import files
from typing import Any, Final

from oarlock.diagram.texts import property_texts, rule_texts, words
from oarlock.trace.flows import CLAIMLESS, INDUCTIVE, MESSAGES, PER_SERVER, SUPERSEDED
from oarlock.trace.schema import Event, Header, encode

_FILES: Final = files("oarlock.diagram") / "page"


def page(header: Header, events: Iterable[Event], *, title: str, extras: dict[str, Any] | None = None) -> str:
    """Make the page of a run.

    Args:
        header: Of its trace.
        events: All of them, each after what it follows from.
        title: Heads the page.
        extras: What else the page is to know, by name; see `page/types.d.ts`.
    """
    packed = gzip.compress(b"".join([encode(header), *map(encode, events)]), 6, mtime=0)
    return _fill(title, base64.b64encode(packed).decode(), {**_texts(title), **(extras or {})})


def _texts(title: str) -> dict[str, Any]:
    return {
        "title": title,
        "rules": rule_texts(),
        "messages": {kind: {"fields": flow.fields, "rules": flow.rules} for kind, flow in MESSAGES.items()},
        "inductive": INDUCTIVE,
        "superseded": SUPERSEDED,
        "claimless": sorted(CLAIMLESS),
        "perServer": sorted(PER_SERVER),
        "properties": property_texts(),
        "words": words(),
    }


def _fill(title: str, trace: str, extras: dict[str, Any]) -> str:
    parts = {
        "title": html.escape(title),
        "style": _read("style.css"),
        "importmap": _in_script(json.dumps({"imports": _modules()})),
        "trace": trace,
        "extras": _in_script(json.dumps(extras, separators=(",", ":"))),
    }
    page_text = _read("index.html")
    for name, text in parts.items():
        page_text = page_text.replace("{{" + name + "}}", text)
    return page_text


def _modules() -> dict[str, str]:
    """Every module under the name by which others import it, as an address that holds its text."""
    found = {}
    for file in sorted(_FILES.iterdir(), key=lambda each: each.name):
        if file.name.endswith(".js"):
            source = f"{file.read_text(encoding='utf-8')}\n//# sourceURL={file.name}\n"
            found[f"oarlock/{file.name}"] = "data:text/javascript;base64," + base64.b64encode(source.encode()).decode()
    return found


def _read(name: str) -> str:
    return (_FILES / name).read_text(encoding="utf-8")


def _in_script(text: str) -> str:
    """JSON that cannot end the element it stands in."""
    return text.replace("<", "\\u003c")
