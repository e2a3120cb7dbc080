"""Errors of the system and of libraries, signals, and lengths of time, in plain words."""

from __future__ import annotations

import signal
from itertools import pairwise

import msgspec

__all__ = ["in_words", "signal_name", "span"]

_UNITS = (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1))
"""With the seconds of each."""


def in_words(error: BaseException | None) -> str:
    """Return what went wrong in one line, without the names of anything inside a library."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    if isinstance(error, msgspec.MsgspecError):
        return "it is not of the form that is expected"
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, MemoryError):
        return "there is not enough memory"
    # Twisted's own text names one of its methods.
    if type(error).__name__ == "ConnectionAborted":
        return "the connection was given up"
    # Nor are those of its parser for people.
    if type(error).__name__ == "ParseError":
        return "the answer is not HTTP"
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__


def signal_name(number: int) -> str:
    """Return a signal's name; of those of real time only the first and the last have one, and others a number."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def span(seconds: float) -> str:
    """Return a length of time in at most two units, rounded to the smaller one: ``2 h 47 min``."""
    for (large, size), (small, part) in pairwise(_UNITS):
        whole, rest = divmod(round(seconds / part), size // part)
        if whole:
            return f"{whole:,} {large}" + (f" {rest} {small}" if rest else "")
    return f"{seconds:g} s"
