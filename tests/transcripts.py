"""Commands that a document shows with what they print, run as they are written.

A transcript is a paragraph that is indented by four blanks: ``$`` and a command, then what that prints.

    $ echo health | nc -N 127.0.0.1 8126
    health: up

``...`` stands for any text within a line, and alone in a line for any number of lines. Blanks count as one, and none at
the beginning of a line: columns are as wide as what is in them.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from tests.patience import PATIENCE

__all__ = ["Command", "finished", "in_places", "run", "section", "transcripts"]

_INDENT = " " * 4


class Command(NamedTuple):
    """A command of a document, and the lines that it prints."""

    text: str
    output: tuple[str, ...]

    def translated(self, places: Mapping[str, str]) -> Command:
        """Return the same for a service that is elsewhere: what stands in the document is replaced by what is here."""
        return Command(in_places(self.text, places), tuple(in_places(line, places) for line in self.output))

    def fits(self, printed: str) -> bool:
        """Return whether that was printed."""
        pattern = "".join(r"(?:.*\n)*?" if line == "..." else _pattern(line) for line in self.output)
        lines = [_narrow(line) for line in printed.splitlines()]
        return re.fullmatch(pattern, "".join(f"{line}\n" for line in lines)) is not None


def in_places(text: str, places: Mapping[str, str]) -> str:
    """Return what stands in a document for a service that is elsewhere. All is replaced at once, nothing twice."""
    words = "|".join(rf"(?<!\w){re.escape(word)}(?!\w)" for word in places)
    return re.sub(words, lambda found: places[found[0]], text)


def transcripts(path: Path) -> dict[str, list[Command]]:
    """Return the commands of a document, by the heading of the second level under which they stand."""
    parts = re.split(r"^## (.*)\n", path.read_text(), flags=re.MULTILINE)
    found = {heading: _commands(text) for heading, text in zip(parts[1::2], parts[2::2], strict=True)}
    return {heading: commands for heading, commands in found.items() if commands}


def section(path: Path, heading: str) -> str:
    """Return what stands under a heading of the second level."""
    return path.read_text().partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def run(text: str, environ: Mapping[str, str], folder: Path) -> str:
    """Run a command line in a shell, in a folder, and return all that it prints."""
    return finished(["bash", "-c", text], environ, folder).stdout


def finished(
    command: list[str], environ: Mapping[str, str], folder: Path | None = None, patience: float = PATIENCE
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, and return what it prints on both outputs."""
    return subprocess.run(
        command,
        cwd=folder,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=patience,
        check=False,
    )


def _commands(text: str) -> list[Command]:
    found = []
    for paragraph in text.split("\n\n"):
        lines = paragraph.strip("\n").split("\n")
        if lines[0].startswith(f"{_INDENT}$ ") and all(line.startswith(_INDENT) for line in lines):
            found.append(Command(lines[0].removeprefix(f"{_INDENT}$ "), tuple(map(_narrow, lines[1:]))))
    return found


def _narrow(line: str) -> str:
    return " ".join(line.split())


def _pattern(line: str) -> str:
    return ".*".join(re.escape(part) for part in line.split("...")) + r"\n"
