"""How names are matched: globs, regular expressions, and the templates that refer to what was matched."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, Generic, NamedTuple, TypeVar

__all__ = ["Found", "GlobTree", "PatternError", "Template", "compile_regex"]

_T = TypeVar("_T")

_STAR: Final = "*"

# "$1", "${1}", "$name", or "$$" for a dollar. As in Go a name goes on for as long as it can: "$1_x" is "${1_x}".
_REFERENCE: Final = re.compile(r"\$(?:\{([A-Za-z0-9_]+)\}|([A-Za-z0-9_]+)|(\$))")


class PatternError(ValueError):
    """A regular expression that cannot be used; the text is one line."""


class Found(NamedTuple, Generic[_T]):
    """A rule that matches, and what its stars or groups stand for."""

    rule: _T
    groups: Sequence[str]


class Template:
    """A text with references to groups. A reference to a group that is not there stands for nothing."""

    def __init__(self, text: str, groups: Mapping[str, int]) -> None:
        """``groups`` are the places of the values that `expand` gets, by the names that references use."""
        self._parts: list[str | int] = []
        start = 0
        for found in _REFERENCE.finditer(text):
            self._parts.append(text[start : found.start()])
            start = found.end()
            name = found[1] or found[2]
            if found[3]:
                self._parts.append("$")
            elif name in groups:
                self._parts.append(groups[name])
        self._parts.append(text[start:])

    def expand(self, groups: Sequence[str]) -> str:
        """Put the values of the groups in."""
        return "".join([part if isinstance(part, str) else groups[part] for part in self._parts])


class _Node(Generic[_T]):
    """What can follow after some fields of a name: further fields, or the end, with a rule and its place."""

    __slots__ = ("further", "place", "rule")

    def __init__(self) -> None:
        self.further: dict[str, _Node[_T]] = {}
        self.rule: _T | None = None
        self.place = -1


class GlobTree(Generic[_T]):
    """Globs, whose stars stand for one field between dots each, as a tree of fields."""

    def __init__(self, *, unordered: bool) -> None:
        """``unordered``: the most specific glob wins, else the one that was added first."""
        self._root: _Node[_T] = _Node()
        self._unordered = unordered
        self._size = 0

    def __len__(self) -> int:
        """Count the globs."""
        return self._size

    def add(self, glob: str, rule: _T) -> None:
        """Add a rule. Of two with the same glob the first counts."""
        node = self._root
        for field in glob.split("."):
            node = node.further.setdefault(field, _Node())
        if node.rule is None:
            node.rule, node.place = rule, self._size
        self._size += 1

    def find(self, name: str) -> Found[_T] | None:
        """Find the glob for a name."""
        fields = name.split(".")
        best: tuple[_Node[_T], tuple[str, ...]] | None = None
        # Where to look, the most specific on top: a node, the number of fields before it, and what its stars matched.
        ways: list[tuple[_Node[_T], int, tuple[str, ...]]] = [(self._root, 0, ())]
        while ways:
            node, depth, groups = ways.pop()
            if depth < len(fields):
                field = fields[depth]
                if (after := node.further.get(_STAR)) is not None:
                    ways.append((after, depth + 1, (*groups, field)))
                if field != _STAR and (after := node.further.get(field)) is not None:
                    ways.append((after, depth + 1, groups))
            elif node.rule is not None and (best is None or node.place < best[0].place):
                best = node, groups
                if self._unordered:
                    break
        if best is None or best[0].rule is None:
            return None
        return Found(best[0].rule, best[1])


def compile_regex(pattern: str) -> Any:
    """Compile a regular expression in RE2's syntax, which is Go's; raises `PatternError`.

    RE2 takes time in proportion to the name. Names come from the network, and with Python's own engine a long one
    could keep the service busy for years.
    """
    try:
        import re2  # type: ignore[import-untyped]
    except ImportError:
        raise PatternError("match_type regex needs the package google-re2") from None
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        reason = error.args[0] if error.args else ""
        text = reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
        raise PatternError(f"invalid regular expression {pattern!r}: {text}") from None
