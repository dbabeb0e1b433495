"""A run as a picture: PNG by either renderer, and the error without one."""

import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.diagram.conftest import bytes_of

from oarlock.cli.draw import draw
from oarlock.diagram import png as png_module
from oarlock.diagram.png import SCALE, PictureError, png
from oarlock.diagram.svg import size_of, svg
from oarlock.trace.loaded import Trace

Without = Callable[[str], None]


def measured(picture: bytes) -> tuple[int, int]:
    """Width and height, from the head of a PNG."""
    assert picture.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", picture[16:24])
    return width, height


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> Without:
    """Makes a module be absent."""
    absent: set[str] = set()
    real = png_module._optional
    monkeypatch.setattr(png_module, "_optional", lambda name: None if name in absent else real(name))
    return absent.add


@pytest.mark.parametrize("missing", [(), ("resvg_py",)], ids=["by resvg", "in Chromium"])
def test_a_png_has_the_size_of_its_picture(run: Trace, without: Without, missing: tuple[str, ...]) -> None:
    """Either renderer gives a PNG of the SVG's size, twice as dense."""
    for name in missing:
        without(name)
    drawn = svg(run, 0, 120)
    width, height = size_of(drawn)
    assert measured(png(drawn, width, height)) == (round(width * SCALE), round(height * SCALE))


def test_without_a_renderer_the_extra_is_named(run: Trace, without: Without) -> None:
    """Whoever has neither is told what to install."""
    without("resvg_py")
    without("playwright.sync_api")
    with pytest.raises(PictureError, match=r"pip install 'oarlock\[png\]'"):
        png(svg(run, 0, 50), 100, 100)


def test_too_large_a_picture_is_refused() -> None:
    """A picture that would take gigabytes is refused before it is rendered."""
    with pytest.raises(PictureError, match="too large"):
        png("<svg/>", 10_000, 10_000)


def test_draw_writes_a_png(run: Trace, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`oarlock draw RUN -o run.png` writes one."""
    trace, picture = tmp_path / "run.jsonl", tmp_path / "run.png"
    trace.write_bytes(bytes_of(run))
    assert draw([str(trace), "-o", str(picture)]) == 0, capsys.readouterr().err
    assert measured(picture.read_bytes()) > (100, 100)
