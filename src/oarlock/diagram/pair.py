"""A page with two runs: the first as ever, and beside it the second and where they part."""

import base64
import gzip
from typing import Any

from oarlock.diagram.comparison import as_plain, compare
from oarlock.diagram.page import page
from oarlock.trace.loaded import Trace
from oarlock.trace.schema import encode


def pair_page(
    one: Trace,
    other: Trace,
    *,
    title: str,
    names: tuple[str, str],
    question: str = "",
    back: str = "",
    is_repaired: bool = False,
) -> str:
    """Make the page.

    Args:
        one: The run that all views show.
        other: The run that it is compared with.
        title: Heads the page.
        names: What the two are, such as ("as it was", "without the message").
        question: What the comparison is to answer, as a sentence or more; told above it.
        back: The address of a page that leads to this one.
        is_repaired: Whether the second is the first without its bug, so that it went wrong where they part.
    """
    packed = gzip.compress(b"".join([encode(other.header), *map(encode, other.events)]), 6, mtime=0)
    compared: dict[str, Any] = {
        "names": names,
        "question": question,
        "is_repaired": is_repaired,
        "trace": base64.b64encode(packed).decode(),
        "comparison": as_plain(compare(one, other)),
    }
    return page(one.header, one.events, title=title, extras={"compared": compared, **({"back": back} if back else {})})
