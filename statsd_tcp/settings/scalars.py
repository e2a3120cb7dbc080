"""The values of options that are a single number, word or path, read and checked. All raise ``ValueError``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from statsd_tcp.mapping.rules import MappingRules

__all__ = [
    "YES",
    "counter_suffix",
    "directory",
    "log_format",
    "mapping_file",
    "seconds",
    "seconds_or_never",
    "steer",
    "whole",
    "whole_seconds",
    "yes",
]

YES = "yes"
"""What stands for a flag that is given."""


def whole(lowest: int, highest: int) -> Callable[[str], int]:
    """Return a reader of whole numbers."""

    def parse(text: str) -> int:
        if not (text.isascii() and text.isdigit() and lowest <= int(text) <= highest):
            raise ValueError(f"{text!r} is not a whole number from {lowest} to {highest}")
        return int(text)

    return parse


def whole_seconds(lowest: int, highest: int) -> Callable[[str], int]:
    """Return a reader of whole numbers of seconds."""

    def parse(text: str) -> int:
        if not (text.isascii() and text.isdigit() and lowest <= int(text) <= highest):
            raise ValueError(f"{text!r} is not a whole number of seconds from {lowest} to {highest}")
        return int(text)

    return parse


def seconds(lowest: float, highest: float) -> Callable[[str], float]:
    """Return a reader of numbers of seconds."""

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = -1.0
        if not lowest <= value <= highest:
            raise ValueError(f"{text!r} is not a number of seconds from {lowest:g} to {highest:.0f}")
        return value

    return parse


def seconds_or_never(lowest: float, highest: float) -> Callable[[str], float]:
    """Return a reader of numbers of seconds, of which 0 means never."""
    read = seconds(lowest, highest)
    never = seconds(0, 0)

    def parse(text: str) -> float:
        try:
            return never(text)
        except ValueError:
            pass
        try:
            return read(text)
        except ValueError as error:
            raise ValueError(f"{error}, or 0") from None

    return parse


def mapping_file(text: str) -> MappingRules:
    """Read the mapping file of that path; raises `MappingError`."""
    # Most have none, and would wait for the reader of YAML at every start.
    from statsd_tcp.settings.mapping import read_mapping_file

    return read_mapping_file(Path(text).expanduser())


def counter_suffix(text: str) -> str:
    """Read the value of ``--counter-suffix``."""
    if text != "_total":
        raise ValueError(f"{text!r} is not _total")
    return text


def steer(text: str) -> str:
    """Read the value of ``--steer``."""
    if text != "cpu":
        raise ValueError(f"{text!r} is not cpu")
    return text


def log_format(text: str) -> str:
    """Read the value of ``--log-format``."""
    if text not in {"text", "json"}:
        raise ValueError(f"{text!r} is not one of text, json")
    return text


def yes(text: str) -> bool:
    """Read the value of a flag."""
    if text != YES:
        raise ValueError(f"{text!r} is not {YES}")
    return True


def directory(text: str) -> Path:
    """Return the absolute path of a folder."""
    return Path(text).expanduser().absolute()
