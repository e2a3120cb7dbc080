"""The files of the page for people: its style, its scripts, its icon. All are below ``assets/``, next to this module.

uPlot is by others: ``assets/uPlot.LICENSE`` is its licence, and a test compares it with its release.
"""

from __future__ import annotations

from hashlib import sha256
from importlib.resources import files
from typing import Final

from twisted.web.http import CACHED
from twisted.web.resource import Resource
from twisted.web.server import Request

from statsd_tcp.web.pages import Folder, Page

__all__ = ["ASSETS", "make_assets"]

ASSETS: Final = {
    "page.css": "text/css; charset=utf-8",
    "live.js": "text/javascript; charset=utf-8",
    "charts.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
    "uPlot.iife.min.js": "text/javascript; charset=utf-8",
    "uPlot.min.css": "text/css; charset=utf-8",
}
"""The names of the files, each with its media type."""


class _Asset(Page):
    """One file, read once; browsers keep it, and ask each time whether it is still the same."""

    def __init__(self, name: str, media_type: str) -> None:
        super().__init__()
        self._content = (files(__package__) / "assets" / name).read_bytes()
        self._type = media_type
        self._tag = f'"{sha256(self._content).hexdigest()[:16]}"'.encode()

    def read(self, request: Request) -> bytes:
        """Return the file, or that the browser has it."""
        request.setHeader("content-type", self._type)
        request.setHeader("cache-control", "no-cache")
        return b"" if request.setETag(self._tag) is CACHED else self._content


def make_assets() -> Resource:
    """Return the folder of the files."""
    folder = Folder()
    for name, media_type in ASSETS.items():
        folder.putChild(name.encode(), _Asset(name, media_type))
    return folder
