"""What one connection does from its begin to its end, and which of several such shapes each one has. Pure."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import accumulate
from typing import Any, Final

__all__ = ["DEFAULT_MIX", "Close", "Mix", "MixError", "Shape", "read_mix"]


class Close(StrEnum):
    """Who ends a connection, and how."""

    SERVER = "server"
    """The client waits for the server's FIN."""
    HALF = "half"
    """The client ends its own direction, then waits for the server's FIN."""
    FIN = "fin"
    """The client closes and does not look back."""
    RESET = "reset"
    """The client aborts."""

    @property
    def waits(self) -> bool:
        """Whether the client sees the server's end, and so knows that it was accepted."""
        return self in {Close.SERVER, Close.HALF}


@dataclass(frozen=True, slots=True)
class Shape:
    """What a connection does. Times in seconds.

    It waits ``late`` after the handshake, then sends ``lines`` lines, ``sends`` times, each ``every`` after the one
    before. ``port`` None is that of the target.
    """

    name: str
    close: Close
    lines: int
    late: float = 0.0
    sends: int = 1
    every: float = 0.0
    tls: bool = False
    port: int | None = None

    @property
    def idle(self) -> float:
        """How long the client waits by its own will."""
        return self.late + self.every * (self.sends - 1)


class MixError(ValueError):
    """A mix that cannot be used; the text names the file and the line."""


DEFAULT_MIX: Final = """
bare  60
line  25
late   5
kept   1
reset  4
"""
"""What ``--mode mix`` does without a file: no TLS, which needs a port of its own."""

_KINDS: Final = {
    "bare": Shape("bare", Close.HALF, 0),
    "line": Shape("line", Close.HALF, 1),
    "late": Shape("late", Close.HALF, 1, late=0.02),
    "kept": Shape("kept", Close.HALF, 1, sends=10, every=0.1),
    "reset": Shape("reset", Close.RESET, 0),
    "tls": Shape("tls", Close.HALF, 1, tls=True),
}
_HIGHEST_PORT: Final = 65535
_MOST: Final = 1_000_000
# The golden ratio's fraction: its multiples are spread more evenly than those of any other number, also every n-th.
_STEP: Final = (math.sqrt(5) - 1) / 2


class Mix:
    """Shapes with their weights: each connection has one by its number, the same in every run."""

    def __init__(self, shapes: Iterable[tuple[Shape, float]]) -> None:
        """Take at least one shape; weights are above 0."""
        pairs = list(shapes)
        self.shapes = tuple(shape for shape, _ in pairs)
        weights = [weight for _, weight in pairs]
        whole = sum(weights)
        self._bounds = [bound / whole for bound in accumulate(weights)]
        # Rounding must not leave a gap at the end.
        self._bounds[-1] = 1.0

    def shape(self, number: int) -> Shape:
        """Return the shape of the connection with this number in the run."""
        return self.shapes[bisect_right(self._bounds, number * _STEP % 1.0)]


def read_mix(text: str, name: str) -> Mix:
    """Read a mix: each line a kind, its weight and its settings. ``name`` is that of the file.

    Raises `MixError`, with the file and the line at fault.
    """
    shapes: list[tuple[Shape, float]] = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        try:
            shapes.append(_read_line(words))
        except ValueError as error:
            raise MixError(f"{name}:{number}: {error}") from None
    if not shapes:
        raise MixError(f"{name}: no line has a kind and a weight")
    return Mix(shapes)


def _read_line(words: list[str]) -> tuple[Shape, float]:
    kind, weight, *settings = [*words, ""] if len(words) == 1 else words
    if kind not in _KINDS:
        raise ValueError(f"{kind!r} is not a kind of connection ({', '.join(_KINDS)})")
    base: Shape = _KINDS[kind]
    changes: dict[str, Any] = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals or key not in _SETTINGS or not _has(base, key):
            known = ", ".join(f"{each}=" for each in _SETTINGS if _has(base, each))
            raise ValueError(f"{setting!r} is not a setting of {kind} ({known})")
        field, read = _SETTINGS[key]
        changes[field] = read(value, setting)
    return replace(base, **changes), _number(weight, f"the weight {weight!r}")


def _has(shape: Shape, key: str) -> bool:
    """Return whether a setting means something for a kind."""
    needed = {"lines": shape.lines, "after": shape.late, "sends": shape.every, "every": shape.every}
    return bool(needed.get(key, True))


def _number(text: str, what: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value <= _MOST:
        raise ValueError(f"{what} is not a number above 0 and up to {_MOST:,}")
    return value


def _milliseconds(text: str, what: str) -> float:
    return _number(text, what) / 1000


def _whole(most: int) -> Callable[[str, str], int]:
    def read(text: str, what: str) -> int:
        if not (text.isascii() and text.isdigit() and 0 < int(text) <= most):
            raise ValueError(f"{what} is not a whole number from 1 to {most:,}")
        return int(text)

    return read


_SETTINGS: Final[dict[str, tuple[str, Callable[[str, str], object]]]] = {
    "lines": ("lines", _whole(_MOST)),
    "after": ("late", _milliseconds),
    "sends": ("sends", _whole(_MOST)),
    "every": ("every", _milliseconds),
    "port": ("port", _whole(_HIGHEST_PORT)),
}
"""Settings of a line of the file: the field that each changes, and how it is read."""
