"""Every command line that a document shows: in indented or fenced text, and in the comments and settings of etc/."""

from __future__ import annotations

import re
from pathlib import Path

__all__ = ["command_lines", "documents"]

_PROGRAMS = re.compile(
    r"awk|bash|cat|check_tcp|ch(?:grp|mod|own)|cp|curl|df|docker|echo|exec|find|git|grep|install|journalctl|kill|make|"
    r"mkdir|mount|mv|nc|nft|nginx|pip|printf|prometheus|promtool|ps|pytest|python3?|rm|run|sed|ss|ssh|statscounter|"
    r"statsd_exporter|sudo|sysctl|systemctl|systemd-analyze|tail|top|towncrier|twistd?|unshare|useradd"
)
"""Programs by their names. What begins otherwise is output, a setting or a program in another language."""

_ASSIGNMENT = re.compile(r"""[A-Z_]+=(?:"[^"]*"|'[^']*'|\S*) """)
_COMMENT = re.compile(r" {2,}# .*|(?<=\]) {3,}.*")
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def documents(checkout: Path) -> list[Path]:
    """Return the files that show command lines to users."""
    return [checkout / "README.md", checkout / "CONTRIBUTING.md", *sorted(checkout.glob("docs/*.md"))]


def command_lines(path: Path) -> list[str]:
    """Return the command lines of a file, as a shell takes them."""
    text = path.read_text()
    if path.suffix != ".md":
        lines = [re.sub(r"^(?:#     |Exec\w+=)", "", line) for line in text.splitlines()]
    else:
        fenced = [body for language, body in _FENCE.findall(text) if language in {"", "sh", "bash", "console"}]
        indented = re.findall(r"^ {4}(.*)", _FENCE.sub("", text), re.MULTILINE)
        lines = [*"\n".join(fenced).splitlines(), *indented]
    joined = "\n".join(lines).replace("\\\n", " ").splitlines()
    stripped = [_COMMENT.sub("", line.strip().removeprefix("$ ")) for line in joined]
    return [" ".join(line.split()) if "'" not in line else line for line in stripped if _is_command(line)]


def _is_command(line: str) -> bool:
    words = _ASSIGNMENT.sub("", line).split()
    if not words or words[0].startswith("-"):
        return False
    # A word behind the program: without one it is a name in a list, as in a table of files.
    return _PROGRAMS.fullmatch(Path(words[0]).name) is not None and (len(words) > 1 or "/" in words[0])
