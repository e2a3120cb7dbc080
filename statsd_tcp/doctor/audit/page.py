"""Advice as lines of text with their numbers: a plain file as it is, a saved web page without its markup."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import NamedTuple

__all__ = ["Line", "lines_of"]

_SILENT = frozenset({"head", "noscript", "script", "style", "svg", "template"})
_BREAKS = frozenset({"br", "dd", "div", "dt", "h1", "h2", "h3", "h4", "h5", "h6", "li", "p", "pre", "td", "th", "tr"})


class Line(NamedTuple):
    """A line of the file with its number, from 1."""

    number: int
    text: str


def lines_of(text: str) -> list[Line]:
    """Give the lines that say something."""
    if re.search(r"<(!doctype html|html|body|p|div|pre)\b", text[:4096], re.IGNORECASE):
        reader = _Reader()
        reader.feed(text)
        reader.close()
        found = reader.lines()
    else:
        found = [Line(number, line) for number, line in enumerate(text.splitlines(), 1)]
    return [Line(number, line.strip()) for number, line in found if line.strip()]


class _Reader(HTMLParser):
    """Collects text by the line of the file that it begins on."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._pieces: list[Line] = []
        self._open = ""
        self._start = 1
        self._silent = 0
        self._literal = 0

    def lines(self) -> list[Line]:
        self._end_line()
        return self._pieces

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._silent += tag in _SILENT
        self._literal += tag == "pre"
        if tag in _BREAKS:
            self._end_line()

    def handle_endtag(self, tag: str) -> None:
        self._silent = max(0, self._silent - (tag in _SILENT))
        self._literal = max(0, self._literal - (tag == "pre"))
        if tag in _BREAKS:
            self._end_line()

    def handle_data(self, data: str) -> None:
        if self._silent:
            return
        first = self.getpos()[0]
        for offset, part in enumerate(data.split("\n")):
            if offset and self._literal:
                self._end_line()
            if part.strip():
                if not self._open:
                    self._start = first + offset
                self._open += f" {part}" if offset and self._open else part

    def _end_line(self) -> None:
        if self._open.strip():
            self._pieces.append(Line(self._start, self._open))
        self._open = ""
