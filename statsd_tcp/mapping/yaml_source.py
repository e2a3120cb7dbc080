"""YAML with line numbers: how values of each sort are read from its nodes, and what is said about the wrong ones."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any, Final, NoReturn, TypeVar

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from yaml.reader import ReaderError

__all__ = ["MappingError", "Source"]

_T = TypeVar("_T")

_LONG: Final = 20
"""More digits than any number has that is meant."""

_DEEPEST: Final = 32
"""Levels of tables, lists and merges within each other. What a mapping file needs has six."""

_MOST_VALUES: Final = 1_000_000
"""Values of a file once its aliases and merges are put in: more than 20,000 rules have, read in two seconds."""

_NULL: Final = "tag:yaml.org,2002:null"
_MERGE: Final = "tag:yaml.org,2002:merge"

_TRUTHS: Final = {
    **dict.fromkeys(("true", "yes", "on", "y"), True),
    **dict.fromkeys(("false", "no", "off", "n"), False),
}

_NUMBER: Final = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)

# As Go writes them: "1m20s", "1.5h".
_DURATION: Final = re.compile(r"(?:(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+", re.ASCII)
_PART: Final = re.compile(r"([\d.]+)([a-zµμ]+)")
_SECONDS: Final = {
    "ns": 1e-9,
    "us": 1e-6,
    "µs": 1e-6,
    "μs": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "m": 60.0,
    "h": 3600.0,
}


class MappingError(ValueError):
    """A mapping file that cannot be used; the text is one line and begins with the file and the line at fault."""


class _ShallowLoader(yaml.SafeLoader):
    """Reads nodes, and refuses those that lie too deep within each other before it has read what is in them."""

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._depth = 0

    def compose_node(self, parent: Node | None, index: Any) -> Node | None:
        """Read one node with all that is in it."""
        if self._depth == _DEEPEST:
            problem = f"tables and lists within each other are deeper than {_DEEPEST} levels"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=self.peek_event().start_mark)
        self._depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1


class Source:
    """One YAML text: reads its nodes, and collects what is to be said about it though it can be used."""

    def __init__(self, name: str) -> None:
        """``name`` is how errors call the file."""
        self._name = name
        self._read = self._merging = 0
        self.warnings: list[str] = []

    def compose(self, text: str) -> Node | None:
        """Parse; raises `MappingError`. An empty text has no node."""
        try:
            return yaml.compose(text, Loader=_ShallowLoader)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line = f"{mark.line + 1}: " if mark else " "
            raise MappingError(f"{self._name}:{line}not valid YAML: {error.problem}") from None
        except ReaderError as error:
            before = text.count("\n", 0, error.position)
            raise MappingError(f"{self._name}:{before + 1}: not valid YAML: {error.reason}") from None

    def fail(self, node: Node, text: str) -> NoReturn:
        """Refuse the file because of a node."""
        raise MappingError(self._at(node, text))

    def warn(self, node: Node, text: str) -> None:
        """Note something about a node that is accepted."""
        self.warnings.append(self._at(node, text))

    def fields(self, node: Node, readers: Mapping[str, Callable[[Node], Any]]) -> dict[str, Any]:
        """Read a table whose keys are known: each value by its reader."""
        values = {}
        for key, value in self.pairs(node):
            reader = readers.get(key.value)
            if reader is None:
                self.fail(key, f"unknown key {key.value!r}; there are {', '.join(sorted(readers))}")
            values[key.value] = reader(value)
        return values

    def pairs(self, node: Node) -> list[tuple[ScalarNode, Node]]:
        """Read a table; its keys are texts, and each is there once."""
        if _is_null(node):
            return []
        if not isinstance(node, MappingNode):
            self.fail(node, "a table of keys and values is expected here")
        self._count(node, 1 + len(node.value))
        own: dict[str, tuple[ScalarNode, Node]] = {}
        merged: dict[str, tuple[ScalarNode, Node]] = {}
        for key, value in node.value:
            if not isinstance(key, ScalarNode):
                self.fail(key, "a key must be a text")
            if key.tag == _MERGE:
                for table in value.value if isinstance(value, SequenceNode) else [value]:
                    for name, item in self._merged(key, table):
                        merged.setdefault(name.value, (name, item))
            elif key.value in own:
                self.fail(key, f"the key {key.value!r} is given twice")
            else:
                own[key.value] = key, value
        return list({**merged, **own}.values())

    def _merged(self, key: Node, table: Node) -> list[tuple[ScalarNode, Node]]:
        """Read a table that another one takes in."""
        if self._merging == _DEEPEST:
            self.fail(key, f"merges within each other are deeper than {_DEEPEST} levels")
        self._merging += 1
        try:
            return self.pairs(table)
        finally:
            self._merging -= 1

    def _count(self, node: Node, values: int) -> None:
        """Count what is read: an alias stands for its values each time, so that few lines can be endless work."""
        self._read += values
        if self._read > _MOST_VALUES:
            self.fail(node, f"with its aliases and merges the file has more than {_MOST_VALUES:,} values")

    def items(self, node: Node, reader: Callable[[Node], _T]) -> list[_T]:
        """Read a list."""
        if _is_null(node):
            return []
        if not isinstance(node, SequenceNode):
            self.fail(node, "a list is expected here")
        self._count(node, len(node.value))
        return [reader(item) for item in node.value]

    def text(self, node: Node) -> str:
        """Read a text. Numbers and truths are what was written for them."""
        if not isinstance(node, ScalarNode):
            self.fail(node, "a text is expected here")
        return "" if _is_null(node) else node.value

    def choice(self, node: Node, choices: Mapping[str, _T]) -> _T:
        """Read one of some words."""
        text = self.text(node)
        if text not in choices:
            self.fail(node, f"{text!r} is none of {', '.join(filter(None, choices))}")
        return choices[text]

    def truth(self, node: Node) -> bool:
        """Read true or false."""
        text = self.text(node)
        value = _TRUTHS.get(text.lower())
        if value is None:
            self.fail(node, f"{text!r} is neither true nor false")
        return value

    def number(self, node: Node, lowest: float = -math.inf, highest: float = math.inf) -> float:
        """Read a finite number."""
        text = self.text(node)
        value = float(text) if _NUMBER.fullmatch(text) else math.nan
        if not (math.isfinite(value) and lowest <= value <= highest):
            limits = (
                "" if math.isinf(lowest) else f" from {lowest:g}" + ("" if math.isinf(highest) else f" to {highest:g}")
            )
            self.fail(node, f"{text!r} is not a number{limits}")
        return value

    def whole(self, node: Node, highest: int) -> int:
        """Read a whole number that is not negative."""
        text = self.text(node)
        if not (text.isascii() and text.isdigit() and len(text) < _LONG and int(text) <= highest):
            self.fail(node, f"{text!r} is not a whole number from 0 to {highest}")
        return int(text)

    def duration(self, node: Node) -> float:
        """Read a duration with units as Go writes it, into seconds."""
        text = self.text(node)
        if text in {"0", "", "+0", "-0"}:
            return 0.0
        if not _DURATION.fullmatch(text):
            self.fail(node, f"{text!r} is not a duration such as 30s, 5m or 1h30m")
        return sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(text))

    def _at(self, node: Node, text: str) -> str:
        return f"{self._name}:{node.start_mark.line + 1}: {text}"


def _is_null(node: Node) -> bool:
    return isinstance(node, ScalarNode) and node.tag == _NULL
