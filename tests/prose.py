"""Words that documents, docstrings, comments and messages avoid: ``python -m tests.prose`` finds them.

`BANNED` is the list, with what to write instead. Code and quoted output are not prose: in documents the indented and
fenced blocks and the code spans, in Python the code spans of docstrings and comments.
"""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, Literal, NamedTuple

__all__ = ["BANNED", "Banned", "Fault", "faults", "main"]

Part = Literal["docs", "statsd_tcp", "tests", "benchmarks"]
ALL: Final = frozenset[Part](("docs", "statsd_tcp", "tests", "benchmarks"))
CODE: Final = ALL - {"docs"}
PACKAGE: Final = frozenset[Part](("statsd_tcp",))
PUBLIC: Final = frozenset[Part](("docs", "statsd_tcp"))

ROOT: Final = Path(__file__).parents[1]
_PAGES: Final = (
    "docs/*.md",
    "client/*.md",
    "newsfragments/*.md",
    "README.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "benchmarks/*.md",
)

# Recorded or written elsewhere.
_FOREIGN: Final = ("tests/data/release-0.1.0/",)


class Banned(NamedTuple):
    """A pattern, the better word, and where it is looked for.

    Patterns are in small letters, and a blank also stands for the end of a line. With ``verb`` only the beginning of a
    docstring counts.
    """

    pattern: str
    better: str
    where: frozenset[Part] = ALL
    verb: bool = False


BANNED: Final = (
    Banned(r"gives? (?!up\b)", "Return, Yield; or Assign, Pass, Send, Set, Free", verb=True),
    Banned(r"(?:tell|say|find out|know|see) whether", "Return whether; Check that, if it raises", verb=True),
    Banned(r"(?:tell|say) (?:how|why|who|whom|whose|what|where|which|when)", "Return", verb=True),
    Banned(
        r"(?:are|ca|could|did|does|do|had|has|have|is|must|need|should|was|were|wo|would)n['\u2019]t",
        "cannot, is not, does not: no contractions",
    ),
    Banned(r"so many(?! that)", "this many; or the name of the number"),
    Banned(r"how many (?:it|they) (?:is|are|was|were)", "how many there are, the number of"),
    Banned(r"whoever", "the client, the caller, the process that"),
    Banned(r"nobody", "no process, no client, nothing"),
    Banned(r"somebody", "a client, the operator, another process"),
    Banned(r"anybody", "any user, any process", PUBLIC),
    Banned(r"no more configured", "no longer configured"),
    Banned(r"any more", "no longer, from now on"),
    Banned(r"anew", "again"),
    Banned(r"beside", "next to, in addition to, in parallel with"),
    Banned(r"one behind the other", "one after the other"),
    Banned(r"news(?! fragment)", "updates, what came", PACKAGE),
)


class Fault(NamedTuple):
    """A place where a banned word is."""

    path: Path
    line: int
    found: str
    better: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.found}: {self.better}"


class _Text(NamedTuple):
    line: int
    text: str
    start: str = ""
    """How a docstring begins, with its code."""


_CODE_SPAN = re.compile(r"(`+)(?:(?!\1).|\n(?!\s*\n))+?\1", re.DOTALL)
_FENCED = re.compile(r"^( *)```.*?^\1```", re.MULTILINE | re.DOTALL)
_INDENTED = re.compile(r"(?<=\n\n)(?: {4}.*\n|\n(?= {4}))+")
_SCREENED = {"docs": (_FENCED, _INDENTED, _CODE_SPAN)}


def _compiled(banned: Banned) -> re.Pattern[str]:
    body = banned.pattern.replace(" ", r"\s+(?:#\s+)?")
    return re.compile((r"\A\s*" if banned.verb else r"\b") + f"(?:{body})" + r"\b" * (not body.endswith(")")))


_PATTERNS: Final = [(banned, _compiled(banned)) for banned in BANNED]
# Most files have none of them anywhere, which is found out much faster without the places where words begin.
_ANYWHERE: Final = [
    (banned.where, re.compile(pattern.pattern.replace(r"\A", '"""').replace(r"\b(?:", "(?:")))
    for banned, pattern in _PATTERNS
]


def _blanked(text: str, what: Iterable[re.Pattern[str]]) -> str:
    """Return a text with blanks in the place of code; every line stays where it is."""
    for pattern in what:
        text = pattern.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), text)
    return text


def _strings(source: str, *, messages: bool) -> Iterator[_Text]:
    """Yield the docstrings, those of constants included; and with ``messages`` all texts of several words."""
    tree = ast.parse(source)
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            if id(node) in docstrings:
                yield _Text(node.lineno, node.value, node.value.partition("\n")[0])
            elif messages and " " in node.value:
                yield _Text(node.lineno, node.value)


def _comments(source: str) -> Iterator[_Text]:
    """Yield the comments, those of adjacent lines as one."""
    begin, lines = 0, list[str]()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            if begin + len(lines) != token.start[0]:
                yield _Text(begin, "\n".join(lines))
                begin, lines = token.start[0], []
            lines.append(token.string)
    yield _Text(begin, "\n".join(lines))


def _python(source: str, *, messages: bool) -> Iterator[_Text]:
    for text in (*_strings(source, messages=messages), *_comments(source)):
        yield text._replace(text=_blanked(text.text, [_CODE_SPAN]))


def _has_any(source: str, part: Part) -> bool:
    return any(part in where and pattern.search(source) for where, pattern in _ANYWHERE)


def faults(source: str, path: Path, part: Part) -> Iterator[Fault]:
    """Yield the faults of one file."""
    wanted = [(banned, pattern) for banned, pattern in _PATTERNS if part in banned.where]
    texts: Iterable[_Text]
    if part == "docs":
        texts = [_Text(1, _blanked(source, _SCREENED["docs"]))]
    elif _has_any(source.lower(), part):
        texts = _python(source, messages=part == "statsd_tcp")
    else:
        texts = ()
    for text in texts:
        for banned, pattern in wanted:
            for found in pattern.finditer((text.start if banned.verb else text.text).lower()):
                line = text.line + text.text.count("\n", 0, found.start())
                yield Fault(path, line, " ".join(found[0].replace("#", "").split()), banned.better)


def _files(root: Path) -> Iterator[tuple[Path, Part]]:
    for page in _PAGES:
        for path in sorted(root.glob(page)):
            yield path, "docs"
    parts: tuple[tuple[str, Part], ...] = (
        ("statsd_tcp", "statsd_tcp"),
        ("client/statsd_tcp_client", "statsd_tcp"),
        ("tests", "tests"),
        ("benchmarks", "benchmarks"),
    )
    for folder, part in parts:
        for path in sorted((root / folder).rglob("*.py")):
            if not str(path.relative_to(root)).startswith(_FOREIGN) and path != Path(__file__):
                yield path, part


def main(root: Path = ROOT) -> int:
    """Print every fault of a checkout; return 1 if there is one."""
    found = [
        fault
        for path, part in _files(root)
        for fault in faults(path.read_text(encoding="utf-8"), path.relative_to(root), part)
    ]
    for fault in found:
        sys.stderr.write(f"{fault}\n")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
