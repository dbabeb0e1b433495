"""A picture as PNG: drawn as SVG, then rendered by what is installed for it."""

import importlib
import os
import shutil
from types import ModuleType
from typing import Final

SCALE: Final = 2
"""Pixels for a unit of the SVG: sharp on dense screens."""
MOST_PIXELS: Final = 100_000_000
"""Beyond this a picture is refused: four bytes each, several times over, while it is rendered."""
_BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome")


class PictureError(Exception):
    """The picture cannot be made; says why."""


def png(svg: str, width: float, height: float) -> bytes:
    """Render an SVG as PNG, in its light colours.

    Args:
        svg: The picture.
        width: Its width, in units of its own.
        height: Its height.

    Raises:
        PictureError: Nothing that renders is installed, or the picture is too large.
    """
    if width * height * SCALE**2 > MOST_PIXELS:
        raise PictureError(f"{width:g} by {height:g} is too large for a PNG; an .svg has no limit")
    if (resvg := _optional("resvg_py")) is not None:
        return bytes(resvg.svg_to_bytes(svg_string=svg, zoom=SCALE, sans_serif_family="DejaVu Sans"))
    program = next(filter(None, map(shutil.which, _BROWSERS)), None)
    if program is not None and (playwright := _optional("playwright.sync_api")) is not None:
        return _in_browser(playwright, program, svg, width, height)
    raise PictureError("a PNG needs resvg-py: pip install 'oarlock[png]' (or playwright, and a Chromium on the path)")


def _optional(name: str) -> ModuleType | None:
    """A module that may not be installed; None then."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def _in_browser(playwright: ModuleType, program: str, svg: str, width: float, height: float) -> bytes:
    with playwright.sync_playwright() as started:
        # The superuser's Chromium starts without a sandbox only; what it shows is our own drawing.
        sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = started.chromium.launch(executable_path=program, args=["--disable-gpu", *sandbox])
        size = {"width": round(width), "height": min(round(height), 4000)}
        page = browser.new_page(viewport=size, device_scale_factor=SCALE, color_scheme="light")
        page.set_content(f'<body style="margin:0">{svg}')
        picture = page.locator("svg").screenshot()
        browser.close()
        return bytes(picture)
