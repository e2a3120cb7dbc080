"""The tables of docs/options.md, made of the options: ``python -m tests.option_table`` writes them there.

The form of an option and the links stay as the page has them; the meaning and the default are those of ``--help``.
A new option gets its row by hand, with empty cells.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from statsd_tcp.settings.options import OPTIONS

__all__ = ["PAGE", "Row", "rewritten", "rows", "told_by_help"]

PAGE = Path(__file__).parents[1] / "docs" / "options.md"

_CELL = r"((?:[^|\n\\]|\\.)*)\|"
_ROW = re.compile(rf"^\| (`(?:-\w`, `)?--([a-z-]+)[^|\n]*) \|{_CELL}{_CELL}{_CELL}$", re.MULTILINE)
_HELP = re.compile(r"(.*?)(?: \[default: (.*)\])?", re.DOTALL)
_CONFIG = ("options from a TOML file with the same names; the command line wins", "none")


class Row(NamedTuple):
    """A row of the page, as it is written."""

    form: str
    name: str
    meaning: str
    default: str
    more: str


def told_by_help() -> dict[str, tuple[str, str]]:
    """Return for each option its meaning and its default, as ``--help`` has them."""
    found = {option.name: _HELP.fullmatch(option.help) for option in OPTIONS}
    told = {name: (parts[1], parts[2] or "none") for name, parts in found.items() if parts}
    return {**told, "config": _CONFIG}


def rows(text: str) -> list[Row]:
    """Return the rows of a page."""
    return [Row(*map(str.strip, found)) for found in _ROW.findall(text)]


def rewritten(text: str) -> str:
    """Return a page with the meanings and the defaults of the options."""
    told = told_by_help()

    def row(found: re.Match[str]) -> str:
        meaning, default = told[found[2]]
        return f"| {found[1]} | {_marked(meaning)} | {_marked(default)} |{found[5]}|"

    return _ROW.sub(row, text)


_CODE = re.compile(
    r"--[a-z-]+(?:=[a-z]+)?|(?:tcp|udp|ssl|unix|unixgram):[^\s;,]+|(?:URL)?\[:[^\]]*\](?:\[:[^\]]*\])*(?:\.\.\.)?"
    r"|[A-Z]+=(?:LIMIT,LIMIT,\.\.\.\[,inf\])?|NAME\[:key=value\.\.\.\]|/metrics|/-/reload|\$STATE_DIRECTORY|\.DOMAIN"
    r"|(?:[a-z_]+,)+[a-z_]+\b|90,99\.9,-10|_total|\*"
)


def _marked(text: str) -> str:
    """Set what is written literally as code, and keep its bars from ending the cell."""
    return _CODE.sub(lambda found: f"`{found[0]}`", text).replace("|", r"\|")


if __name__ == "__main__":
    PAGE.write_text(rewritten(PAGE.read_text()))
