"""``statscounter files``: writes rules and alerts for Prometheus, and a dashboard for Grafana, into a folder."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import Final

from statsd_tcp.files.shipped import DOCS, WINDOW, shipped
from statsd_tcp.words import in_words

__all__ = ["add_arguments", "run"]

WRITTEN, REFUSED = 0, 1
"""The exit statuses: all is there; a file is in the way, or cannot be written."""


_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400, "y": 365 * 86400}

_SHORTEST: Final = 3 * 3600
"""Seconds of a window. What is read once an hour must reach further back than the two hours that are read each time."""

_LONGEST: Final = 100 * _SECONDS["y"]
"""Seconds of a window: Prometheus takes no time of 300 years."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--out", metavar="DIR", type=Path, required=True, help="the folder; made if there is none")
    parser.add_argument("--force", action="store_true", help="replace files that are different")
    words = "how long a node that is silent still counts in the sums [default: %(default)s]"
    parser.add_argument("--window", metavar="TIME", type=_window, default=WINDOW, help=words)
    words = "the folder or the address of the documentation, for links to its runbook [default: %(default)s]"
    parser.add_argument("--docs", metavar="URL", type=_docs, default=DOCS, help=words)
    parser.epilog = "exit status: 0 written, 1 not written, 64 wrong command line"


def run(arguments: argparse.Namespace) -> int:
    """Write the files, print a line for each, and return the exit status. Nothing is written if one is in the way."""
    texts = {arguments.out / name: text for name, text in shipped(arguments.window, arguments.docs).items()}
    try:
        found = {path: _content(path) for path in texts}
        different = [path for path, text in texts.items() if found[path] not in {None, text.encode()}]
        if different and not arguments.force:
            for path in different:
                print(f"statscounter files: {path}: a different file is there; --force replaces it", file=sys.stderr)
            return REFUSED
        for path, text in texts.items():
            if found[path] != text.encode():
                _write(path, text)
            print(f"{path}: {'written' if found[path] != text.encode() else 'as it was'}")
    except OSError as error:
        print(f"statscounter files: {in_words(error)}", file=sys.stderr)
        return REFUSED
    return WRITTEN


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _write(path: Path, text: str) -> None:
    """Write a file as a whole: a program that reads it at this moment gets the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    made = path.with_name(f".{path.name}.new")
    made.write_text(text, encoding="utf-8")
    made.replace(path)


def _window(text: str) -> str:
    found = re.fullmatch(r"([1-9][0-9]*)([smhdwy])", text, re.ASCII)
    if not found or not _SHORTEST <= int(found[1]) * _SECONDS[found[2]] <= _LONGEST:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time from 3h to 100y, as 30d, 12h or 2w")
    return text


def _docs(text: str) -> str:
    # It becomes part of a plain scalar of YAML.
    if not re.fullmatch(r"[\w./~][\w./~:@%+,=-]*", text):
        raise argparse.ArgumentTypeError(f"{text!r} is neither a folder nor an address")
    return text.rstrip("/")
