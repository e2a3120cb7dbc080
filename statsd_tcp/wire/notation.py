"""Series as people write them: ``name`` or ``name;key=value;key``."""

from __future__ import annotations

from collections.abc import Sequence

from statsd_tcp.wire.series import series_identity, split_identity

__all__ = ["Patterns", "as_text"]

_FOLDER_ENDS = ".\n"


def as_text(identity: str) -> str:
    """Write a series' name, with its tags in the order of their keys."""
    if "\n" not in identity:
        return identity
    name, tags = split_identity(identity)
    return name + "".join(f";{key}={value}" if value else f";{key}" for key, value in tags)


class Patterns:
    """Several patterns, looked up together: what a series costs hardly depends on how many there are.

    A pattern is a series as `as_text`; ``folder.*`` for all whose name begins with ``folder.``; or ``name;*`` for all
    of that name that have tags.
    """

    def __init__(self, patterns: Sequence[str]) -> None:
        self._exact: dict[str, int] = {}
        self._folders: dict[str, int] = {}
        for number, pattern in enumerate(patterns):
            for identity in (pattern, _identity(pattern)):
                self._exact.setdefault(identity, number)
            if pattern.endswith((".*", ";*")):
                folder = pattern[:-1] if pattern.endswith(".*") else pattern[:-2] + "\n"
                self._folders.setdefault(folder, number)
        self._lengths = sorted({len(folder) for folder in self._folders})

    def first(self, identity: str) -> int | None:
        """Return the number of the first pattern that means a series; None if there is none."""
        found = self._exact.get(identity)
        for length in self._lengths:
            if length > len(identity):
                break
            if identity[length - 1] in _FOLDER_ENDS:
                number = self._folders.get(identity[:length])
                if number is not None and (found is None or number < found):
                    found = number
        return found


def _identity(text: str) -> str:
    name, *parts = text.split(";")
    return series_identity(name, [(key, value) for key, _, value in (part.partition("=") for part in parts)])
