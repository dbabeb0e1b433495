#!/usr/bin/env python3
"""The map of a server's runtime, read from the source of `oarlock.node`: tasks, calls, kicks and threads.

`scripts/generate_figures.py` draws it; nothing here imports the package.
"""

import ast
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

ROOM = Path(__file__).resolve().parents[1] / "src" / "oarlock" / "node"

PARTS = {
    "Proposals": "proposals", "ReadBarriers": "read barriers", "Changes": "changes of members", "Ticker": "tickers",
    "NodeTransport": "transport", "Owner": "owner of the Raft", "Sender": "sender", "Writer": "writer",
    "Applier": "applier", "Snapshots": "snapshots", "Keeper": "keeper", "Space": "space", "Handover": "hand-over",
    "Peers": "peers",
}  # fmt: skip
"""Classes that are drawn, with their words; what a part keeps to itself belongs to it."""
BELONGS = {"SnapshotSender": "Snapshots", "WriterEvents": "Writer", "Transport": "NodeTransport"}


@dataclass
class Map:
    """What the source says."""

    tasks: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    """By part, the names of the tasks that run it."""
    calls: dict[tuple[str, str], set[str]] = field(default_factory=lambda: defaultdict(set))
    """By caller and called, the methods that hand something over."""
    kicked: set[str] = field(default_factory=set)
    """Parts that sleep until they are kicked."""
    threads: dict[tuple[str, str], set[str]] = field(default_factory=lambda: defaultdict(set))
    """By part and thread, the functions that are run there."""


class _Source:
    """Classes, what their attributes are, and their methods."""

    def __init__(self) -> None:
        self.classes: dict[str, ast.ClassDef] = {}
        for path in sorted(ROOM.glob("*.py")):
            for node in ast.parse(path.read_text(encoding="utf-8")).body:
                if isinstance(node, ast.ClassDef):
                    self.classes[node.name] = node
        self.attributes = {name: self._attributes(node) for name, node in self.classes.items()}
        self.methods = {
            name: {each.name: each for each in node.body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)}
            for name, node in self.classes.items()
        }

    def _attributes(self, node: ast.ClassDef) -> dict[str, str]:
        """The class of each attribute, as far as assignments, annotations and properties tell."""
        found: dict[str, str] = {}
        for method in node.body:
            if not isinstance(method, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            parameters = {each.arg: self._named(each.annotation) for each in method.args.args + method.args.kwonlyargs}
            if _is_property(method):
                found |= {method.name: named} if (named := self._named(method.returns)) else {}
            for each in ast.walk(method):
                if not isinstance(each, ast.Assign | ast.AnnAssign):
                    continue
                of = self._class_of(each.value, parameters)
                if of is None and isinstance(each, ast.AnnAssign):
                    of = self._named(each.annotation)
                targets = each.targets if isinstance(each, ast.Assign) else [each.target]
                found |= {target.attr: of for target in targets if of and isinstance(target, ast.Attribute)}
        return found

    def hands_over(self, name: str | None, method: str) -> bool:
        """Whether a call of a method hands something over: properties and questions only look."""
        node = self.methods.get(name or "", {}).get(method)
        return node is not None and not _is_property(node) and not method.startswith(_QUESTIONS)

    def _named(self, annotation: ast.expr | None) -> str | None:
        words = [] if annotation is None else [each.id for each in ast.walk(annotation) if isinstance(each, ast.Name)]
        return next((word for word in words if word in self.classes or word == "Transport"), None)

    def _class_of(self, value: ast.expr | None, parameters: dict[str, str | None]) -> str | None:
        if isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id in self.classes:
            return value.func.id
        return parameters.get(value.id) if isinstance(value, ast.Name) else None


_QUESTIONS = ("is_", "has_", "being_", "stats")


def _is_property(method: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return any(isinstance(each, ast.Name) and each.id == "property" for each in method.decorator_list)


def read() -> Map:
    """Read the map.

    Raises:
        ValueError: A task is spawned by a part that is not known here: it must be added to `PARTS`.
    """
    source, found = _Source(), Map()
    for name, node in source.classes.items():
        part = _part(name)
        if part is not None:
            _read_part(source, name, part, node, found)
    _read_node(source, found)
    return found


def _part(name: str | None) -> str | None:
    part = BELONGS.get(name or "", name or "")
    return part if part in PARTS else None


def _read_part(source: _Source, name: str, part: str, node: ast.ClassDef, found: Map) -> None:
    for each in ast.walk(node):
        if (target := _own_attribute(each)) is None:
            continue
        attribute, method = target
        of = source.attributes[name].get(attribute)
        called = _part(of)
        if called is not None and called != part and (of == "Transport" or source.hands_over(of, method)):
            found.calls[part, called].add(method)
        if of == "Kick" and method == "wait":
            found.kicked.add(part)
    for call in ast.walk(node):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "create_task":
            words = ast.unparse(call.args[0]).removesuffix("()").split(".")
            name_of_task = " ".join(word for word in words if word not in ("self", "run"))
            found.tasks[part].append(name_of_task.strip("_").replace("_", " "))


def _own_attribute(node: ast.AST) -> tuple[str, str] | None:
    """The names in `self.attribute.method`."""
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Attribute):
        holder = node.value.value
        if isinstance(holder, ast.Name) and holder.id == "self":
            return node.value.attr, node.attr
    return None


# -- how the node puts them together ---------------------------------------------------------------------------------


def _read_node(source: _Source, found: Map) -> None:
    methods = source.methods["Node"]
    for name, method in methods.items():
        if not name.startswith("_") and name not in ("start", "stop"):
            _add_calls(source, "Node", method, found)
    for pair in ast.walk(methods["start"]):
        if isinstance(pair, ast.Tuple) and isinstance(call := pair.elts[-1], ast.Call):
            _add_task(source, str(ast.literal_eval(pair.elts[0])), ast.unparse(call.func).split(".")[1:-1], found)
    for call in ast.walk(methods["_assemble"]):
        if isinstance(call, ast.Call) and (part := _part(_constructed(call))) is not None:
            _add_callbacks(source, part, call, found)


def _add_task(source: _Source, name: str, holders: list[str], found: Map) -> None:
    """`self._owner.elections.run()` is a task of the owner's attribute `elections`."""
    of = "Node"
    for holder in holders:
        of = source.attributes[of][holder]
    part = _part(of)
    if part is None:
        raise ValueError(f"the task {name!r} belongs to {of}, which is not drawn")
    found.tasks[part].append(name)


def _constructed(call: ast.Call) -> str:
    """The class of which a call makes one."""
    words = ast.unparse(call.func)
    return {"self._open_transport": "NodeTransport", "self._make_sender": "Sender"}.get(words, words)


def _add_callbacks(source: _Source, part: str, call: ast.Call, found: Map) -> None:
    """What a part is handed to call later, and the threads that it is given."""
    name = _constructed(call)
    made = source.methods.get(name, {}).get("__init__")
    names = [] if made is None else [each.arg for each in made.args.args[1:]]
    for at, value in enumerate(call.args):
        words = ast.unparse(value).split(".")
        if words[0] == "executors":
            _add_thread(source, name, part, names[at], words[1], found)
        elif words == ["kick", "set"]:
            found.calls[part, "Owner"].add("kick")
        elif words[0] == "sender" and len(words) > 1:
            found.calls[part, "Sender"].add(words[1])
        elif words[0] == "self" and len(words) == 3:
            _add_call(source, part, words[1], words[2], found)
        elif words[0] == "self" and words[-1] in source.methods["Node"] and words[-1] != "_fail":
            _add_calls(source, part, source.methods["Node"][words[-1]], found)


def _add_calls(source: _Source, part: str, method: ast.AST, found: Map) -> None:
    for each in ast.walk(method):
        if (target := _own_attribute(each)) is not None:
            _add_call(source, part, *target, found)


def _add_call(source: _Source, part: str, attribute: str, method: str, found: Map) -> None:
    of = source.attributes["Node"].get(attribute)
    called = _part(of)
    if called is not None and called != part and source.hands_over(of, method):
        found.calls[part, called].add(method)


def _add_thread(source: _Source, name: str, part: str, parameter: str, thread: str, found: Map) -> None:
    """What a part hands to a thread that it was given as a parameter of its constructor."""
    attribute = next(
        each.targets[0].attr
        for each in ast.walk(source.methods[name]["__init__"])
        if isinstance(each, ast.Assign) and isinstance(each.targets[0], ast.Attribute)
        and isinstance(each.value, ast.Name) and each.value.id == parameter
    )  # fmt: skip
    for owner in (name, *(other for other, of in BELONGS.items() if of == part and other in source.classes)):
        for call in ast.walk(source.classes[owner]):
            if not isinstance(call, ast.Call):
                continue
            words = [ast.unparse(each) for each in call.args]
            if f"self.{attribute}" in words:
                function = words[1] if words[0] == f"self.{attribute}" else ast.unparse(call.func)
                if function not in source.classes:
                    found.threads[part, thread].add(function.split(".")[-1].lstrip("_"))


# -- the picture -----------------------------------------------------------------------------------------------------

PLACES = {
    "Node": (130, 40), "NodeTransport": (790, 40),
    "Proposals": (130, 150), "ReadBarriers": (350, 150), "Changes": (570, 150), "Peers": (790, 150),
    "Handover": (130, 290), "Owner": (460, 290), "Ticker": (790, 290),
    "Space": (130, 430), "Applier": (350, 430), "Writer": (570, 430), "Sender": (790, 430),
    "Keeper": (130, 550), "Snapshots": (350, 550),
}  # fmt: skip
"""The middle of each part's box."""
THREADS = {"machine": (130, 660), "snapshots": (350, 660), "wal": (570, 660)}
WIDTH, HEIGHT = 190, 54
MARKER = 'markerWidth="7" markerHeight="7"><path class="head" d="M0 0L8 4L0 8z"/>'
THREAD_WORDS = {"machine": "thread: machine", "snapshots": "thread: snapshots", "wal": "thread: log"}

STYLE = """
text { font: 12px system-ui, sans-serif; fill: #1c1e21; } .name { font-weight: 600; font-size: 13px; }
.small { font-size: 11px; fill: #5c6268; } .number { font-size: 11px; font-weight: 600; fill: #1b5e9e; }
.ground { fill: #fbfbf9; } .box { fill: #ffffff; stroke: #2f6fb0; stroke-width: 1.5; } .plain { stroke: #8b9096; }
.thread { fill: #f1efe8; stroke: #a8790a; } .arrow { fill: none; stroke: #6a7076; } .dashed { stroke-dasharray: 4 3; }
.head { fill: #6a7076; }
@media (prefers-color-scheme: dark) {
text { fill: #e6e8ea; } .small { fill: #9aa1a8; } .number { fill: #7db7ee; } .ground { fill: #15171a; }
.box { fill: #1d2024; stroke: #6aa7e6; } .plain { stroke: #8b9096; } .thread { fill: #2a2620; stroke: #dcae3f; }
}
"""


def picture() -> str:
    """The map as SVG: an arrow for each pair of parts, and below them what it stands for.

    Raises:
        KeyError: A part has no place.
    """
    found = read()
    words = {"Node": "whoever uses the node", **PARTS}
    arrows = [
        (PLACES[one], PLACES[other], f"{words[one]} → {words[other]}", names, "")
        for (one, other), names in sorted(found.calls.items(), key=lambda each: _reading_order(each[0]))
    ]
    arrows += [
        (PLACES[part], THREADS[thread], f"{words[part]} → {THREAD_WORDS[thread]}", names, " dashed")
        for (part, thread), names in sorted(found.threads.items())
    ]
    rows = (len(arrows) + 1) // 2
    height = 720 + 17 * rows + 16
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 920 {height}" width="920" height="{height}">',
        f"<title>Tasks, kicks and threads of a server</title><style>{STYLE}</style>",
        f'<marker id="head" viewBox="0 0 8 8" refX="7" refY="4" orient="auto" {MARKER}</marker>',
        f'<rect class="ground" width="920" height="{height}"/>',
    ]
    taken: set[tuple[int, int]] = set()
    for number, (begin, end, told, names, dashes) in enumerate(arrows, 1):
        lines += _arrow(number, begin, end, f"{told}: {', '.join(sorted(names))}", dashes, taken)
    lines += [line for part, place in PLACES.items() for line in _box(part, words[part], place, found)]
    for thread, (x, y) in THREADS.items():
        lines += _rectangle(x, y, 34, "thread"), _text(x, y + 4, THREAD_WORDS[thread], "name")
    for number, (_, _, told, names, _) in enumerate(arrows, 1):
        column, row = divmod(number - 1, rows)
        x, y = 20 + 450 * column, 720 + 17 * row
        listed = ", ".join(sorted(names))
        room = 66 - len(told)
        shown = listed if len(listed) <= room else f"{listed[:room]}…"
        lines.append(
            f'<text class="number" x="{x}" y="{y}">{number}</text>'
            f'<text class="small" x="{x + 22}" y="{y}">{told}: {shown}<title>{listed}</title></text>'
        )
    return "\n".join([*lines, "</svg>", ""])


def _reading_order(pair: tuple[str, str]) -> tuple[int, int]:
    places = list(PLACES)
    return places.index(pair[0]), places.index(pair[1])


def _box(part: str, words: str, place: tuple[int, int], found: Map) -> list[str]:
    x, y = place
    tasks = found.tasks.get(part, [])
    below = f"task{'s' if len(tasks) > 1 else ''}: {', '.join(tasks)}" if tasks else "no task of its own"
    sleeps = "sleeps until kicked" if part in found.kicked else ""
    lines = [_rectangle(x, y, HEIGHT, "box" if tasks else "box plain"), _text(x, y - 10, words, "name")]
    if part != "Node":
        lines += [_text(x, y + 6, below, "small"), _text(x, y + 20, sleeps, "small")]
    return lines


def _rectangle(x: int, y: int, height: int, kind: str) -> str:
    return f'<rect class="{kind}" x="{x - WIDTH // 2}" y="{y - height // 2}" width="{WIDTH}" height="{height}" rx="8"/>'


def _text(x: float, y: float, words: str, kind: str) -> str:
    return f'<text class="{kind}" text-anchor="middle" x="{x:.0f}" y="{y:.0f}">{words}</text>' if words else ""


def _arrow(
    number: int, begin: tuple[int, int], end: tuple[int, int], words: str, dashes: str, taken: set[tuple[int, int]]
) -> list[str]:
    """Bent to the right of its direction, so that there and back are two; its number where nothing else stands."""
    (x1, y1), (x2, y2) = begin, end
    length = ((x2 - x1) ** 2 + (y2 - y1) ** 2) ** 0.5
    # Along a row of boxes, around those between.
    bend = 90 if y1 == y2 and length > 300 else 16 + length * 0.06
    middle = ((x1 + x2) / 2 - bend * (y2 - y1) / length, (y1 + y2) / 2 + bend * (x2 - x1) / length)
    (ax, ay), (bx, by) = _edge(begin, middle), _edge(end, middle)
    shares = (0.5, 0.38, 0.62, 0.28, 0.72, 0.2)
    places = [
        (round((1 - t) ** 2 * ax + 2 * t * (1 - t) * middle[0] + t * t * bx),
         round((1 - t) ** 2 * ay + 2 * t * (1 - t) * middle[1] + t * t * by))
        for t in shares
    ]  # fmt: skip
    x, y = next((place for place in places if _is_free(place, taken)), places[0])
    taken.add((x, y))
    path = f"M{ax:.0f} {ay:.0f}Q{middle[0]:.0f} {middle[1]:.0f} {bx:.0f} {by:.0f}"
    return [
        f'<path class="arrow{dashes}" marker-end="url(#head)" d="{path}"><title>{words}</title></path>',
        f'<circle class="ground" cx="{x}" cy="{y}" r="8"/>',
        _text(x, y + 4, str(number), "number"),
    ]


def _is_free(place: tuple[int, int], taken: set[tuple[int, int]]) -> bool:
    x, y = place
    boxes = [*PLACES.values(), *THREADS.values()]
    return all(abs(x - ox) > 18 or abs(y - oy) > 14 for ox, oy in taken) and all(
        abs(x - bx) > WIDTH / 2 + 8 or abs(y - by) > HEIGHT / 2 + 8 for bx, by in boxes
    )


def _edge(centre: tuple[float, float], towards: tuple[float, float]) -> tuple[float, float]:
    """Where a line from the middle of a box leaves it."""
    dx, dy = towards[0] - centre[0], towards[1] - centre[1]
    share = min(WIDTH / 2 / abs(dx) if dx else 9e9, HEIGHT / 2 / abs(dy) if dy else 9e9, 1)
    return centre[0] + dx * share, centre[1] + dy * share
