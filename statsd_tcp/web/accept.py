"""What a client would rather have: the quality values of its header fields (RFC 9110, section 12.4.2).

text/plain;version=0.0.4;q=0.5, */*;q=0.1
---------- ------------- -----  ---
name       parameter     quality
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

__all__ = ["Choice", "read_choices", "wants_gzip", "wants_openmetrics"]

_OPENMETRICS = ("application/openmetrics-text;version=1.0.0", "application/openmetrics-text")
_TEXT = ("text/plain;version=0.0.4", "text/plain", "text/*", "*/*")
"""What means each of our formats, the most specific first: that one decides."""

_GZIP = ("gzip", "x-gzip", "*")
_IDENTITY = ("identity", "*")

_UNLESS_EXCLUDED = 0.0005
"""The body as it is may be sent although it is not named, but is less welcome than anything that is named."""

_WORD = r"[!#$%&'*+\-.^_`|~0-9a-z]+"
_PARAMETER = rf'({_WORD})=({_WORD}|"(?:[^"\\]|\\.)*+")'
# Possessive: whatever a client sends is read once. A quoted text without its end reaches to the end.
_MEMBER = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.?)*+"?)++', re.DOTALL)
_CHOICE = re.compile(rf"({_WORD}(?:/{_WORD})?)((?:[ \t]*+;[ \t]*+(?:{_PARAMETER})?+)*+)", re.DOTALL)
_PARAMETERS = re.compile(rf";[ \t]*+{_PARAMETER}", re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_QUALITY = re.compile(r"0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?")


class Choice(NamedTuple):
    """One member of a list: what may be sent, in lower case, and how welcome that is: from 0, not at all, to 1."""

    name: str
    parameters: Mapping[str, str]
    quality: float


def read_choices(value: str) -> Iterator[Choice]:
    """Read the value of a field. A member that is not as the RFC writes it is left out."""
    for member in _MEMBER.findall(value.lower()):
        found = _CHOICE.fullmatch(member.strip(" \t"))
        if found is None:
            continue
        parameters = {name: _unquoted(text) for name, text in _PARAMETERS.findall(found[2])}
        quality = parameters.pop("q", "1")
        if _QUALITY.fullmatch(quality):
            yield Choice(found[1], parameters, float(quality))


def wants_openmetrics(accept: str) -> bool:
    """Return whether the value of an ``Accept`` field prefers OpenMetrics 1 to the text format, which is the default.

    OpenMetrics has to be named; where both are equally welcome it is preferred.
    """
    qualities = _qualities(
        (f"{name};version={parameters['version']}" if "version" in parameters else name, quality)
        for name, parameters, quality in read_choices(accept)
    )
    openmetrics = _first(qualities, _OPENMETRICS, 0.0)
    return openmetrics > 0 and openmetrics >= _first(qualities, _TEXT, 0.0)


def wants_gzip(accept_encoding: str) -> bool:
    """Return whether the value of an ``Accept-Encoding`` field takes gzip, and at least as gladly as nothing."""
    qualities = _qualities((name, quality) for name, _, quality in read_choices(accept_encoding))
    gzip = _first(qualities, _GZIP, 0.0)
    return gzip > 0 and gzip >= _first(qualities, _IDENTITY, _UNLESS_EXCLUDED)


def _qualities(named: Iterable[tuple[str, float]]) -> Mapping[str, float]:
    """Return the quality of each name; of a name given twice the higher one."""
    qualities: dict[str, float] = {}
    for name, quality in named:
        qualities[name] = max(quality, qualities.get(name, 0.0))
    return qualities


def _first(qualities: Mapping[str, float], names: Iterable[str], otherwise: float) -> float:
    return next((qualities[name] for name in names if name in qualities), otherwise)


def _unquoted(text: str) -> str:
    return _ESCAPED.sub(r"\1", text[1:-1]) if text.startswith('"') else text
